"""Agents that adapt within the first episode in Derk's Gym: ``python -m benchmarks.within_derk``.

It trains, where missing, with ``pearl fit`` on the ready-made configs: PEARL with a belief that is updated every few
steps or between episodes, PEARL that acts on the mean of its belief, and RL². It leaves out the agent of a family's own
config, which ``benchmarks.families`` trains. Each agent plays the test tasks, as in ``benchmarks.families``. A row per
run and split goes to ``within_derk.csv``; rows of other runs stay. The evaluations of a run on the validation tasks go
to a CSV file of its own. ``python -m benchmarks.pages`` compares the agents with those of the pages of the families.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.curve_runs import make_parser, run_name
from benchmarks.curves import write_curve
from benchmarks.family_measures import EPISODES, FAMILIES, play
from benchmarks.pages.tables import read_rows
from benchmarks.pages.within_episode import OF_CONFIG
from benchmarks.runs import Run, train_all

EVERY = {"opponents": 10, "sentinels": 10, "blind_loadouts": 5, "bounties": 10}
"""Steps between two updates of the belief, of 150 steps of an episode, by family."""
RL2_UPDATES = 640
"""Updates of RL², 16 for 28,800 environment steps; about the time of PEARL, because each reads whole episodes."""


def pearl(observe_every: str, condition: str) -> tuple[list[str], list[str]]:
    """Overlays and options of PEARL with these settings of the belief; ``{every}`` stands for a number in ``EVERY``."""
    belief = ["--model.belief.observe_every", observe_every, "--model.belief.condition", condition]
    return [], ["--trainer.precision", "bf16-mixed", *belief]


AGENTS: dict[str, tuple[list[str], list[str]]] = {
    "between": pearl("null", "SampledCondition"),
    "within": pearl("{every}", "SampledCondition"),
    "within_mean": pearl("{every}", "MeanCondition"),
    "posterior": pearl("{every}", "PosteriorCondition"),
    "mean": pearl("null", "MeanCondition"),
    "rl2": (
        ["baselines/rl2"],
        ["--collector.init_args.tasks_per_iteration", "64", "--trainer.max_steps", str(RL2_UPDATES)],
    ),
}
"""Overlays and options of each agent."""
FILE = "within_derk.csv"
KEY = ("family", "test_tasks", "agent", "seed")


def make_run(agent: str, family: str, seed: int, extra: Sequence[str]) -> Run:
    """Return the run of an agent."""
    overlays, options = AGENTS[agent]
    settings = ["--threads", "1", *(option.format(every=EVERY[family]) for option in options), *extra]
    return Run(run_name(f"{agent}_{family}", seed), ["derk", f"families/{family}", *overlays], seed, settings)


def score(run: Path, split: str) -> dict[str, Any]:
    """Play a split of the test tasks with the last checkpoint of a run; return the numbers of its row."""
    result = play(run, split)
    spent = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    numbers: dict[str, Any] = {"matches": result.returns[..., 0].size}
    for episode in range(EPISODES):
        numbers[f"return_{episode}"] = f"{result.returns[..., episode].mean():.2f}"
    for episode in range(EPISODES):
        numbers[f"won_{episode}_percent"] = f"{100 * result.hits()['win'][..., episode].mean():.1f}"
    return numbers | {"env_steps": spent["env_steps"], "seconds": round(spent["seconds"])}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, play the test tasks, and write the files."""
    parser = make_parser(__doc__, EVERY)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS), help="agents to train")
    options, extra = parser.parse_known_args(arguments)
    keys = product(options.agents, options.families, options.seeds)
    wanted = {key: make_run(*key, extra) for key in keys if key[0] != OF_CONFIG[key[1]]}
    if not options.no_train:
        train_all(wanted, options.runs_dir, options.parallel)
    path = options.data / FILE
    rows = {tuple(row[name] for name in KEY): row for row in (read_rows(path) if path.is_file() else [])}
    for (agent, family, seed), run in wanted.items():
        if (options.runs_dir / run.name / "summary.json").is_file():  # written at the end of a run
            write_curve(options.runs_dir / run.name, options.data / f"{run.name}.csv")
            for split in FAMILIES[family][1]:
                key = (family, split, agent, str(seed))
                rows[key] = dict(zip(KEY, key, strict=True)) | score(options.runs_dir / run.name, split)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(next(iter(rows.values()))))
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


if __name__ == "__main__":
    main()
