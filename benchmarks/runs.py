"""Training runs of the benchmarks: each is a process of ``pearl fit``, which is skipped if its results exist."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

RUNS = Path("runs/results")
"""Folder of the runs for docs/results."""


@dataclass(frozen=True)
class Run:
    """Settings of a training run.

    Args:
        name: Name of the run's folder; if the folder exists, its results are used.
        configs: Names of configs in ``configs/``, without the suffix; later ones override earlier ones.
        seed: Seed of the run.
        options: Further options of ``pearl fit``.
    """

    name: str
    configs: Sequence[str]
    seed: int
    options: Sequence[str] = ()


def train(run: Run, runs: Path) -> dict[str, Any]:
    """Train a run in a folder in ``runs``, or resume it if it was interrupted; return its summary.

    Raises:
        RuntimeError: The run failed, or the folder exists and was made with other settings.
    """
    folder, settings_file = runs / run.name, runs / f"{run.name}.json"
    configs = [yaml.safe_load(Path(f"configs/{config}.yaml").read_text(encoding="utf-8")) for config in run.configs]
    settings = {"configs": configs, "seed": run.seed, "options": [*run.options]}
    made_with = json.loads(settings_file.read_text(encoding="utf-8")) if settings_file.is_file() else None
    if folder.is_dir() and made_with != settings:
        raise RuntimeError(
            f"{folder} was made with other settings, according to {settings_file.name}: delete it to train it again"
        )
    runs.mkdir(parents=True, exist_ok=True)
    settings_file.write_text(json.dumps(settings), encoding="utf-8")
    summary, last = folder / "summary.json", folder / "checkpoints" / "last.ckpt"  # the summary is written at the end
    if not summary.is_file():
        command = [sys.executable, "-m", "pearl_lightning", "fit"]
        if last.is_file():
            command += ["--config", str(folder / "config.yaml"), "--ckpt_path", str(last)]
        else:
            shutil.rmtree(folder, ignore_errors=True)  # otherwise pearl fit would choose another name
            command += [option for config in run.configs for option in ("--config", f"configs/{config}.yaml")]
            command += ["--seed_everything", str(run.seed), "--name", run.name, "--runs_dir", str(runs)]
            command += ["--trainer.enable_progress_bar", "false", *run.options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(f"{run.name} failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
    facts: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
    print(f"{run.name}: {facts['seconds']:.0f} s", flush=True)
    return facts


Key = TypeVar("Key")


def train_all(wanted: Mapping[Key, Run], runs: Path, parallel: int) -> dict[Key, dict[str, Any]]:
    """Train several runs, ``parallel`` at a time; return their summaries.

    Raises:
        RuntimeError: A run failed; runs that have not started are cancelled.
    """
    has_failed = threading.Event()  # checked by the threads, because cancelling a job may come after it has started

    def unless_one_has_failed(run: Run) -> dict[str, Any] | None:
        if has_failed.is_set():
            return None
        try:
            return train(run, runs)
        except RuntimeError:
            has_failed.set()
            raise

    with ThreadPoolExecutor(parallel) as pool:
        jobs = {pool.submit(unless_one_has_failed, run): key for key, run in wanted.items()}
        summaries = {jobs[job]: job.result() for job in as_completed(jobs)}
    return {key: summary for key, summary in summaries.items() if summary is not None}
