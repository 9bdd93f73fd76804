"""The tasks of a run as a file in its folder, so that nobody evaluates or resumes it on other ones unawares."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pearl_lightning.envs.meta_env import TaskDistribution

STORED_TASKS = "tasks.json"
"""Holds the tasks of each split, as ``TaskDistribution.record`` has them."""


def store_tasks(tasks: TaskDistribution[Any], folder: Path) -> None:
    """Write ``STORED_TASKS`` into a run's folder, whole or not at all.

    Raises:
        OSError: It cannot be written there.
    """
    part = folder / f"{STORED_TASKS}.part"
    try:
        part.write_text(json.dumps(_records(tasks)) + "\n")
        part.replace(folder / STORED_TASKS)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(f"cannot write {folder / STORED_TASKS}: {error}") from error


def check_tasks(tasks: TaskDistribution[Any], folder: Path) -> None:
    """Refuse tasks that are not those of the run in a folder; anything goes where it stored none.

    Raises:
        ValueError: They differ, or the file is no JSON.
    """
    file = folder / STORED_TASKS
    if not file.is_file():
        return
    try:
        stored = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: delete it to play the tasks that the config draws") from error
    drawn = json.loads(json.dumps(_records(tasks)))
    for split, own in drawn.items():
        for index, (then, now) in enumerate(zip_longest(stored.get(split, ()), own)):
            if then != now:
                raise ValueError(
                    f"the tasks that the config draws are not those that {file} holds, first {split} task {index}: "
                    "take the config and the version of pearl-lightning that the run was made with, "
                    "or delete the file to play the new ones"
                )


def _records(tasks: TaskDistribution[Any]) -> dict[str, list[Any]]:
    return {name: [tasks.record(index) for index in tasks.splits[name]] for name in ("train", "validation", "test")}
