"""Copies the agent of a run to the package, as the default of ``pearl evaluate``: ``python -m benchmarks.ship RUN``.

The copy does not contain what only training needs: optimizers, replay and callbacks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pearl_lightning.commands.shared_agent import write_agent
from pearl_lightning.trained import SHIPPED


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the checkpoint of the package and a config with its environment and the mode of its evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    run = parser.parse_args(arguments).run
    SHIPPED.parent.mkdir(exist_ok=True)
    updates = write_agent(run / "checkpoints" / "last.ckpt", run / "config.yaml", SHIPPED)
    print(f"{SHIPPED}: {SHIPPED.stat().st_size / 2**20:.1f} MiB after {updates} updates")


if __name__ == "__main__":
    main()
