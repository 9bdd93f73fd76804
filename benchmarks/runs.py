"""Trainings that several benchmarks start: ``pearl fit`` in a process of its own, unless it was run before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def train(name: str, configs: Sequence[str], seed: int, runs: Path, extra: Sequence[str] = ()) -> dict[str, Any]:
    """One run in ``runs / name``, or what an earlier call left there; returns its summary.

    Args:
        name: The run's folder.
        configs: Names below ``configs/``, without the ending; later ones override.
        seed: Of the run.
        runs: Folder of all runs.
        extra: Further options of ``pearl fit``.
    """
    summary = runs / name / "summary.json"  # written last
    if not summary.is_file():
        command = [sys.executable, "-m", "pearl_lightning", "fit"]
        command += [option for config in configs for option in ("--config", f"configs/{config}.yaml")]
        command += ["--seed_everything", str(seed), "--name", name, "--runs_dir", str(runs)]
        done = subprocess.run(
            [*command, "--trainer.enable_progress_bar", "false", *extra], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
    facts: dict[str, Any] = json.loads(summary.read_text())
    print(f"{name}: {facts['seconds']:.0f} s", flush=True)
    return facts
