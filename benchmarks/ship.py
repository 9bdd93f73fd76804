"""Puts a run's agent into the package, as the one that ``pearl evaluate`` plays when no checkpoint is named.

``python -m benchmarks.ship runs/NAME``; what was needed to train on (optimizers, replay, callbacks) stays behind.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.commands.entrants import SHIPPED

KEPT = ("state_dict", "hyper_parameters", "global_step", "pytorch-lightning_version")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the package's checkpoint and, beside it, the environment it was trained in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="A run's folder.")
    run = parser.parse_args(arguments).run
    checkpoint = load_checkpoint(run / "checkpoints" / "last.ckpt")
    config = yaml.safe_load((run / "config.yaml").read_text())
    SHIPPED.parent.mkdir(exist_ok=True)
    torch.save({name: checkpoint[name] for name in KEPT}, SHIPPED)
    env = {"data": {"init_args": {"env": config["data"]["init_args"]["env"]}}}
    SHIPPED.with_suffix(".yaml").write_text(yaml.safe_dump(env, sort_keys=False))
    print(f"{SHIPPED}: {SHIPPED.stat().st_size / 2**20:.1f} MiB after {checkpoint['global_step']} updates")


if __name__ == "__main__":
    main()
