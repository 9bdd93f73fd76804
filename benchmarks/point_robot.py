"""Training results of the point robot over several seeds: ``python -m benchmarks.point_robot``.

It runs ``pearl fit`` on the ready-made configs, one process per run, and writes the table and curves of docs/results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.runs import RUNS, Run, train_all
from pearl_lightning.evaluation import Evaluation

CONFIGS = {"dense": "point_robot", "sparse": "sparse_point_robot"}
REFERENCES = {
    "dense": {"greedy to the goal": -5.2, "to the origin": -15.8, "random": -21.4},
    "sparse": {"greedy to the goal": 13.4, "random": 0.0},
}
"""Returns of policies that can be derived from the rules; tests/envs/test_point_robot.py checks them."""


def _returns(point: dict[str, Any]) -> list[float]:
    return [round(row.return_mean, 2) for row in Evaluation.from_json(point).table.episodes]


def write_table(runs: list[dict[str, Any]], path: Path, parallel: int) -> None:
    """Write the final scores of all runs as Markdown."""
    lines = [
        "# Point robot",
        "",
        "Mean return on validation tasks by number of episodes of context, at the end of training.",
        f"Made by `python -m benchmarks.point_robot` with one thread per run, {parallel} at a time, so the seconds are",
        "those of one busy core.",
    ]
    for variant, config in CONFIGS.items():
        chosen = [run for run in runs if run["variant"] == variant]
        if not chosen:
            continue
        episodes = len(_returns(chosen[0]["history"][-1]))
        references = ", ".join(f"{name} {score}" for name, score in REFERENCES[variant].items())
        lines += ["", f"## {variant.capitalize()} (`configs/{config}.yaml`)", "", f"References: {references}.", ""]
        lines += ["| seed | " + " | ".join(f"after {k}" for k in range(episodes)) + " | environment steps | seconds |"]
        lines += ["|---" * (episodes + 3) + "|"]
        for run in chosen:
            last = run["history"][-1]
            scores = " | ".join(f"{score:.2f}" for score in _returns(last))
            lines += [f"| {run['seed']} | {scores} | {last['env_steps']:,} | {run['seconds']:.0f} |"]
        lines += ["", f"![curves](point_robot_{variant}.png)"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def plot(runs: list[dict[str, Any]], variant: str) -> Figure:
    """Plot the validation return during training by number of episodes of context: mean and range over the seeds."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    histories = [run["history"] for run in runs if run["variant"] == variant]
    steps = [point["env_steps"] for point in histories[0]]
    scores = np.array([[_returns(point) for point in history] for history in histories])  # [seed, point, episode]
    for episode in range(scores.shape[-1]):
        axes.plot(steps, scores[..., episode].mean(axis=0), label=f"after {episode} episodes of context")
        axes.fill_between(steps, scores[..., episode].min(axis=0), scores[..., episode].max(axis=0), alpha=0.2)
    for name, score in REFERENCES[variant].items():
        axes.axhline(score, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(name, (steps[-1], score), ha="right", va="bottom", fontsize=8, color="grey")
    axes.set_xlabel("environment steps of training")
    axes.set_ylabel("return on validation tasks")
    axes.legend(loc="center right")
    axes.set_title(f"Point robot, {variant}: {len(histories)} seeds (mean and range)")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write ``point_robot.md``, ``.json`` and one figure per variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/results"), help="folder for the results")
    parser.add_argument("--variants", nargs="+", choices=sorted(CONFIGS), default=sorted(CONFIGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
    options, extra = parser.parse_known_args(arguments)
    wanted = {
        (variant, seed): Run(f"{CONFIGS[variant]}-seed{seed}", [CONFIGS[variant]], seed, extra)
        for variant, seed in product(options.variants, options.seeds)
    }
    summaries = train_all(wanted, options.runs_dir, options.parallel)
    runs = []
    for (variant, seed), run in wanted.items():
        history = json.loads((options.runs_dir / run.name / "adaptation.json").read_text(encoding="utf-8"))["history"]
        seconds = summaries[variant, seed]["seconds"]
        runs.append({"variant": variant, "seed": seed, "seconds": seconds, "history": history})
    options.output.mkdir(parents=True, exist_ok=True)
    for variant in options.variants:
        plot(runs, variant).savefig(options.output / f"point_robot_{variant}.png", dpi=110)
    write_table(runs, options.output / "point_robot.md", options.parallel)
    (options.output / "point_robot.json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
