"""The tasks of a run as a file in its folder, to detect if it is evaluated or resumed with different tasks."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.envs.tasks import TaskDistribution

STORED_TASKS = "tasks.json"
"""File with the tasks of each split, as returned by ``TaskDistribution.record``."""


def store_tasks(tasks: TaskDistribution[Any], folder: Path) -> None:
    """Write ``STORED_TASKS`` to a run's folder atomically.

    Raises:
        OSError: The file cannot be written.
    """
    part = folder / f"{STORED_TASKS}.part"
    try:
        part.write_text(json.dumps(_records(tasks)) + "\n", encoding="utf-8")
        part.replace(folder / STORED_TASKS)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(f"cannot write {folder / STORED_TASKS}: {error}") from error


def check_tasks(tasks: TaskDistribution[Any], folder: Path) -> None:
    """Raise an error if tasks differ from those stored in a run's folder. There is no check if none are stored.

    Raises:
        ValueError: The tasks differ, or the file is not valid JSON.
    """
    file = folder / STORED_TASKS
    if not file.is_file():
        return
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: delete it to play the tasks of the config") from error
    drawn = json.loads(json.dumps(_records(tasks)))
    for split, own in drawn.items():
        for index, (then, now) in enumerate(zip_longest(stored.get(split, ()), own)):
            if then != now:
                raise ValueError(
                    f"the tasks of the config differ from those in {file}, first at {split} task {index}: "
                    "use the config and the version of pearl-lightning that the run was made with, "
                    "or delete the file to play the new tasks"
                )


def _records(tasks: TaskDistribution[Any]) -> dict[str, list[Any]]:
    return {name: [tasks.record(index) for index in tasks.splits[name]] for name in ("train", "validation", "test")}
