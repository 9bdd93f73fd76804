"""Tests and figures that need a GPU: ``make gpu-check`` or ``python -m benchmarks.gpu_check``.

It runs the tests that are skipped without a GPU and measures updates, the simulator, sizes for the config ``derk_gpu``,
and the time in which two families reach a given return. Figures go to ``docs/results/data/gpu.json``. Every part has a
time-out, and the error of a part does not stop the others. ``--only`` selects parts.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures_file import write_figures
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.trained import shipped_agent

ROOT = Path(__file__).parent.parent
WRITTEN = ROOT / "docs" / "results" / "data" / "gpu.json"
TIMEOUT = 1500.0
"""Seconds of a part."""
ARENAS = (1024, 4096, 16384)
UPDATED = ("derk", "locomotion", "quickstart")
GOALS: dict[str, tuple[list[str], list[str], float, float]] = {
    "opponents": (["derk", "derk_gpu", "opponents"], [], 12.7, 180.0),
    "cheetah_vel": (["locomotion", "mujoco/cheetah_vel"], ["--evaluation.protocol", "pearl"], -40.0, 1200.0),
}
"""Configs and options of a training, the return of the last episode to reach on validation tasks, and the seconds."""


def run_json(module: str, *arguments: str) -> dict[str, Any]:
    """Figures that another benchmark writes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, "-m", module, "--device", "cuda", *arguments, "--json", str(file)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT)
        read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


def tests() -> dict[str, Any]:
    """Run the tests with the marker ``gpu``; at least one must run, and none may fail."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    status = subprocess.run(command, cwd=ROOT, timeout=TIMEOUT).returncode
    return {"passed": status == 0}  # pytest's status is 5 if no test ran


def updates() -> dict[str, Any]:
    """Updates per second in every precision, and those of shipped configs with sampling and Lightning."""
    whole = run_json("benchmarks.update", "--config", *UPDATED, "--updates", "2000")["updates"]
    return {
        "updates_per_second": run_json("benchmarks.update", "--rounds", "200")["updates_per_second"],
        "updates_per_second_with_lightning": {each["config"]: 1e3 / each["milliseconds"] for each in whole},
    }


def simulator() -> dict[str, Any]:
    """Million agent steps per second of the simulator."""
    rates = run_json("benchmarks.simulator", "--no-game")["agent_steps_per_s"]
    return {"million_agent_steps_per_second": {name: rate / 1e6 for name, rate in rates.items()}}


def sizes() -> dict[str, Any]:
    """Agent steps per second of collection, by number of arenas: the sizes of ``derk_gpu`` follow from them."""
    return {"agent_steps_per_second": {arenas: rate_of_process(arenas, "cuda") for arenas in ARENAS}}


def rate_of_process(arenas: int, device: str) -> float:
    """Return ``collection_rate`` of another process, which frees the GPU's memory when it ends."""
    code = f"from benchmarks.gpu_check import collection_rate; print(collection_rate({arenas}, {device!r}))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT, stdout=subprocess.PIPE, encoding="utf-8")
    return float(result.stdout.split()[-1])


def collection_rate(arenas: int, device: str) -> float:
    """Agent steps per second of the agent of the package in episodes of Derk's Gym, after one to warm up."""
    tasks = LoadoutTasks(train_tasks=64, opponent="random", bounties="shaped")
    env = DerkEnv(arenas=arenas, tasks=tasks, backend_options={"device": device})
    agent, generator = shipped_agent().to(device), torch.Generator().manual_seed(0)
    for _ in range(2):
        env.set_tasks([arena % 64 for arena in range(arenas)])
        start = time.perf_counter()
        rows = play_episode(env, Player(agent, arenas, generator=generator))
        steps = int(rows["played"].sum()) * env.agents  # waits for the GPU
    seconds = time.perf_counter() - start
    env.close(raise_if_closed=False)
    return steps / seconds


def goals() -> dict[str, Any]:
    """Seconds until the mean return of the last episode on validation tasks reaches a goal; None if it does not."""
    found = {}
    for name, (configs, settings, target, limit) in GOALS.items():
        with tempfile.TemporaryDirectory() as folder:
            chosen = [part for config in configs for part in ("--config", config)]
            options = ["--runs_dir", folder, "--name", name, "--trainer.accelerator", "gpu", "--trainer.devices", "1"]
            options += ["--trainer.enable_progress_bar", "false", *settings]
            command = [str(Path(sys.executable).parent / "pearl"), "fit", *chosen, *options]
            found[name] = seconds_to_reach(command, Path(folder) / name / "metrics.csv", target, limit)
    return {"seconds_to_reach": found}


def seconds_to_reach(command: Sequence[str], metrics: Path, target: float, limit: float) -> float | None:
    """Run a training until an evaluation reaches the target; return the seconds, or None after ``limit`` seconds.

    Raises:
        RuntimeError: The training ends with an error.
    """
    start = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT) as training:
        try:
            while time.monotonic() - start < limit:
                status = training.poll()
                if best_return(metrics) >= target:
                    return time.monotonic() - start
                if status:
                    raise RuntimeError(f"the training ended with status {status}")
                if status == 0:
                    break
                time.sleep(0.5)
        finally:
            training.kill()
    return None


def best_return(metrics: Path) -> float:
    """Highest mean return of the last episode in the evaluations of a run so far; minus infinity without any."""
    if not metrics.is_file():
        return -float("inf")
    with metrics.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    evaluated = [
        {name: value for name, value in row.items() if name.startswith("evaluation/return_") and value} for row in rows
    ]
    return max((float(row[max(row)]) for row in evaluated if row), default=-float("inf"))


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "tests": tests,
    "updates": updates,
    "simulator": simulator,
    "sizes": sizes,
    "goals": goals,
}


def compared(figures: dict[str, dict[str, Any]]) -> list[str]:
    """One line per goal of the figures that were measured."""

    def line(name: str, value: float | None, goal: float, is_upper: bool = False) -> str:
        reached = value is not None and (value <= goal if is_upper else value >= goal)
        shown = "not reached" if value is None else f"{value:,.1f}"
        bound = f"{'at most' if is_upper else 'at least'} {goal:,.1f}"
        return f"{'reached' if reached else 'MISSED'}: {name}: {shown} (goal: {bound})"

    lines = [f"FAILED: {part}: {found['error']}" for part, found in figures.items() if "error" in found]
    figures = {part: found for part, found in figures.items() if "error" not in found}
    if "tests" in figures:
        lines.append(f"{'passed' if figures['tests']['passed'] else 'FAILED'}: tests")
    if "updates" in figures:
        rates, whole = (figures["updates"][f"updates_per_second{end}"] for end in ("", "_with_lightning"))
        lines.append(line("updates per second", max(rates.values()), 1000.0))
        lines.append(line("updates per second with Lightning, derk", whole["derk"], 600.0))
    if "simulator" in figures:
        rates = figures["simulator"]["million_agent_steps_per_second"]
        lines.append(line("million agent steps per second of the simulator", max(rates.values()), 85.0))
    if "goals" in figures:
        for name, seconds in figures["goals"]["seconds_to_reach"].items():
            _, _, target, limit = GOALS[name]
            lines.append(line(f"seconds until {name} has a return of {target:g}", seconds, limit, is_upper=True))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; return 1 if a test fails or a goal is missed, and 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("gpu-check: torch finds no CUDA GPU, so nothing was checked", file=sys.stderr)
        return 2
    earlier = json.loads(WRITTEN.read_text(encoding="utf-8")) if WRITTEN.is_file() else {}
    figures = {part: earlier[part] for part in PARTS if part in earlier}
    for part in options.only:
        print(f"gpu-check: {part}", flush=True)
        try:
            figures[part] = PARTS[part]()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            figures[part] = {"error": str(error)}
        write_figures(WRITTEN, figures)
    lines = compared({part: figures[part] for part in options.only})
    print("\n".join(lines))
    return int(any(line.startswith(("FAILED", "MISSED")) for line in lines))


if __name__ == "__main__":
    sys.exit(main())
