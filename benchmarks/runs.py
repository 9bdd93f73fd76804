"""Trainings that several benchmarks start: ``pearl fit`` in a process of its own, unless it was run before."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

RUNS = Path("runs/results")
"""Where the runs of docs/results lie."""


@dataclass(frozen=True)
class Run:
    """A training.

    Args:
        name: Its folder's; a later call with the same name takes what lies there.
        configs: Names below ``configs/``, without the ending; later ones override.
        seed: Of the run.
        options: Further options of ``pearl fit``.
    """

    name: str
    configs: Sequence[str]
    seed: int
    options: Sequence[str] = ()


def train(run: Run, runs: Path) -> dict[str, Any]:
    """A run in a folder of its own in ``runs``, gone on with where it was interrupted; returns its summary.

    Raises:
        RuntimeError: It failed, or what lies there was not made with these settings, by the file beside it.
    """
    folder, settings_file = runs / run.name, runs / f"{run.name}.json"
    configs = [yaml.safe_load(Path(f"configs/{config}.yaml").read_text()) for config in run.configs]
    settings = {"configs": configs, "seed": run.seed, "options": [*run.options]}
    made_with = json.loads(settings_file.read_text()) if settings_file.is_file() else None
    if folder.is_dir() and made_with != settings:
        raise RuntimeError(
            f"{folder} was not made with today's settings, by {settings_file.name} beside it: delete it to train anew"
        )
    runs.mkdir(parents=True, exist_ok=True)
    settings_file.write_text(json.dumps(settings))
    summary, last = folder / "summary.json", folder / "checkpoints" / "last.ckpt"  # the summary is written at the end
    if not summary.is_file():
        command = [sys.executable, "-m", "pearl_lightning", "fit"]
        if last.is_file():
            command += ["--config", str(folder / "config.yaml"), "--ckpt_path", str(last)]
        else:
            shutil.rmtree(folder, ignore_errors=True)  # or the run would be given another name
            command += [option for config in run.configs for option in ("--config", f"configs/{config}.yaml")]
            command += ["--seed_everything", str(run.seed), "--name", run.name, "--runs_dir", str(runs)]
            command += ["--trainer.enable_progress_bar", "false", *run.options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{run.name} failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
    facts: dict[str, Any] = json.loads(summary.read_text())
    print(f"{run.name}: {facts['seconds']:.0f} s", flush=True)
    return facts


Key = TypeVar("Key")


def train_all(wanted: Mapping[Key, Run], runs: Path, parallel: int) -> dict[Key, dict[str, Any]]:
    """The summaries of several runs, ``parallel`` at a time.

    Raises:
        RuntimeError: One failed; those that have not begun do not.
    """
    with ThreadPoolExecutor(parallel) as pool:
        jobs = {pool.submit(train, run, runs): key for key, run in wanted.items()}
        try:
            return {jobs[job]: job.result() for job in as_completed(jobs)}
        except RuntimeError:
            pool.shutdown(cancel_futures=True)
            raise
