"""``pearl tasks``: which tasks a config trains on and holds out."""

from __future__ import annotations

from pathlib import Path

from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.commands.worlds import make_env


def run(arguments: list[str]) -> None:
    """Print the splits of a config's tasks, and some or all of the tasks."""
    quiet()
    parser = PearlParser(prog="pearl tasks", description="The tasks of a config, split by split.")
    parser.add_argument(
        "configs", type=str, nargs="+", help="Hold data.init_args.env, as pearl fit takes them, or a run's config.yaml."
    )
    parser.add_argument("--limit", type=int, default=3, help="Tasks told of each split; 0 tells all.")
    options = parser.parse_args(arguments)
    if options.limit < 0:
        raise ValueError(f"limit must be at least 0, got {options.limit}")
    tasks = make_env([Path(config) for config in options.configs]).tasks
    for name, indices in tasks.splits.items():
        print(f"{name}: {len(indices)} tasks")
        told = indices[: options.limit or None]
        for index in told:
            print(f"  {tasks.describe(index)}")
        if len(told) < len(indices):
            print(f"  ... and {len(indices) - len(told)} more")
