"""The folder of a run: its path, the checkpoint that resumes it, and a lock against concurrent writes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities import rank_zero_only

LOCK = ".lock"
"""Lock file of the process that trains in the folder. It contains the process's name; the system releases the lock
when the process ends."""
SLURM_JOB = "slurm.json"
"""File with the SLURM job and the command that started the run, so that the same command resumes it after a requeue."""


def make_folder(folder: Path, runs: Path, exist_ok: bool = True) -> None:
    """Create a folder below ``runs``.

    Raises:
        FileExistsError: The folder exists and ``exist_ok`` is false.
        OSError: The folder cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # also for a dangling link, which "exists" but is not a folder
        raise OSError(f"runs_dir must be a folder that can be created or written to, got {runs}: {error}") from error
    try:
        folder.mkdir(exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(f"runs_dir must be a folder that can be written to, got {runs}: {error}") from error


def new_run_folder(runs: Path, name: str) -> Path:
    """Create a new folder ``runs/name``, with a number if the name is in use; return its path.

    The folder is created immediately, so that two runs started at the same time get different folders. Only the first
    process of a run creates it; Lightning sends its path to the others.

    Raises:
        OSError: The folder cannot be created.
    """
    folder, number = runs / name, 1
    while getattr(rank_zero_only, "rank", 0) == 0:
        try:
            make_folder(folder, runs, exist_ok=False)
            break
        except FileExistsError:
            number += 1
            folder = runs / f"{name}-{number}"
    return folder


def resumed_folder(checkpoint: Path) -> Path | None:
    """Folder of the run that a checkpoint resumes; None if the checkpoint is not in a run's folder."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" else None


def keep_place(config: Namespace, folder: Path, arguments: Sequence[str]) -> None:
    """Set ``name`` and ``runs_dir`` of a resumed run to their original values, because it writes to the same folder.

    Different values in a config are replaced, because every config has a name and most runs are resumed with their
    original config. Different values on the command line raise an error.

    Args:
        config: Settings of the command; modified in place.
        folder: Folder of the run.
        arguments: Command line.

    Raises:
        ValueError: The command line contains different values.
    """
    file = folder / "config.yaml"
    own = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for option, here in (("name", folder.name), ("runs_dir", str(folder.parent.resolve()))):
        given, began = config[option], own.get(option, config[option])
        is_here = here == (given if option == "name" else str(Path(given).resolve()))
        is_explicit = any(word.split("=")[0] == f"--{option}" for word in arguments)
        if is_explicit and given != began and not is_here:
            raise ValueError(
                f"{option} must be {began}, as in the run in {folder}, got {given}: a resumed run keeps its folder; "
                "omit ckpt_path to start a new run"
            )
        config[option] = began


def lock_folder(folder: Path) -> FileLock | None:
    """Lock a folder against training by other processes until the lock is released or this process ends.

    Only the first process of a run takes the lock; the others return None.

    Raises:
        RuntimeError: Another process trains in the folder.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        holder = path.read_text(encoding="utf-8").strip() or "another process"
        raise RuntimeError(f"{folder} is in use by {holder}: wait until it ends, or stop it") from error
    path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


def remember_slurm_job(folder: Path, arguments: Sequence[str]) -> None:
    """Write ``SLURM_JOB`` to the folder of a new run if SLURM started this process."""
    if job := os.environ.get("SLURM_JOB_ID"):
        content = {"job": job, "arguments": list(arguments)}
        (folder / SLURM_JOB).write_text(json.dumps(content) + "\n", encoding="utf-8")


def requeued_checkpoint(runs: Path, name: str, arguments: Sequence[str]) -> Path | None:
    """Last checkpoint of the run that the same command in the same SLURM job started before a requeue, if any."""
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")) < 1:
        return None
    begun = {"job": os.environ.get("SLURM_JOB_ID"), "arguments": list(arguments)}
    for marker in sorted(runs.glob(f"{name}*/{SLURM_JOB}"), key=lambda path: path.stat().st_mtime, reverse=True):
        last = marker.parent / "checkpoints" / "last.ckpt"
        if last.is_file() and json.loads(marker.read_text(encoding="utf-8")) == begun:
            return last
    return None


def limit_reached(trainer: Trainer, checkpoint: dict[str, Any]) -> str | None:
    """Describe the limit that the run in a checkpoint has reached, and the setting to raise; None if there is none.

    Args:
        trainer: Trainer with the limits of the resumed run.
        checkpoint: Content of the run's checkpoint, from ``load_checkpoint``.
    """
    updates = checkpoint["global_step"]
    if 0 <= trainer.max_steps <= updates:
        return f"the run has made {updates} of max_steps {trainer.max_steps} updates: raise --trainer.max_steps"
    loop = checkpoint["loops"]["fit_loop"]
    # a checkpoint of an epoch's last batch is saved before the epoch counts as completed
    is_last = loop["epoch_loop.batch_progress"]["is_last_batch"]
    epochs = loop["epoch_progress"]["current"]["ready" if is_last else "completed"]
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs:
        return f"the run has made {epochs} of max_epochs {trainer.max_epochs} epochs: raise --trainer.max_epochs"
    for timer in (c for c in trainer.callbacks if isinstance(c, Timer)):  # type: ignore[attr-defined]
        spent = checkpoint["callbacks"].get(timer.state_key, {}).get("time_elapsed", {}).get("train", 0.0)
        allowed = timer.time_remaining()  # the timer has not started, so this is the whole limit
        if allowed is not None and allowed <= spent:
            return f"the run has trained {spent:.0f} of max_time {allowed:.0f} seconds: raise --trainer.max_time"
    return None
