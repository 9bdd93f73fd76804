"""``pearl tasks``: list the train tasks and the held-out tasks of a config."""

from __future__ import annotations

from pearl_lightning.commands.config_files import find_config
from pearl_lightning.commands.environments import make_tasks
from pearl_lightning.commands.parser import PearlParser, quiet


def run(arguments: list[str]) -> None:
    """Print the splits of a config's tasks, and some or all of the tasks."""
    quiet()
    parser = PearlParser(prog="pearl tasks", description="List the tasks of a config by split.")
    parser.add_argument(
        "configs",
        type=str,
        nargs="+",
        help="Configs with the environment, as pearl fit takes them, or a run's config.yaml.",
    )
    parser.add_argument("--limit", type=int, default=3, help="Largest number of tasks listed per split; 0 lists all.")
    options = parser.parse_args(arguments)
    if options.limit < 0:
        raise ValueError(f"limit must be at least 0, got {options.limit}")
    tasks = make_tasks([find_config(config) for config in options.configs])
    for name, indices in tasks.splits.items():
        print(f"{name}: {len(indices)} tasks")
        listed = indices[: options.limit or None]
        for index in listed:
            print(f"  {tasks.describe(index)}")
        if len(listed) < len(indices):
            print(f"  ... and {len(indices) - len(listed)} more")
