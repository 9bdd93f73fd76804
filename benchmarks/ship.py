"""Copies the agent of a run to the package, as the default of ``pearl evaluate``: ``python -m benchmarks.ship RUN``.

The copy does not contain what only training needs: optimizers, replay and callbacks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.commands.playing import evaluated_deterministically
from pearl_lightning.trained import SHIPPED

KEPT = ("state_dict", "hyper_parameters", "global_step", "pytorch-lightning_version")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the checkpoint of the package and a config with its environment and the mode of its evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    run = parser.parse_args(arguments).run
    checkpoint = load_checkpoint(run / "checkpoints" / "last.ckpt")
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    SHIPPED.parent.mkdir(exist_ok=True)
    torch.save({name: checkpoint[name] for name in KEPT}, SHIPPED)
    evaluation = {"deterministic": evaluated_deterministically([run / "config.yaml"])}
    kept = {
        "evaluation": {"init_args": evaluation},
        "data": {"init_args": {"env": config["data"]["init_args"]["env"]}},
    }
    SHIPPED.with_suffix(".yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    print(f"{SHIPPED}: {SHIPPED.stat().st_size / 2**20:.1f} MiB after {checkpoint['global_step']} updates")


if __name__ == "__main__":
    main()
