"""Headroom of Derk's task families, and how much of it adaptation gains: ``python -m benchmarks.families``.

It trains with ``pearl fit`` on the ready-made configs, one process and thread per run: PEARL, and the context-free
agent and the oracle for as many environment steps and updates. With the first seed only, it also trains PPO and the
evolution strategy for at least the steps and seconds of PEARL. All agents, and uniform random actions, play the same
test tasks, starts and seeds. The control is PEARL with the episodes of another task as context. The results are in
``families.json``, which keeps those of other families, and each seed of PEARL in ``FAMILY_seeds.csv``;
``python -m benchmarks.pages`` puts them on the pages.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import methodcaller
from pathlib import Path
from typing import Any

from benchmarks.family_measures import FAMILIES, MAIN, measure
from benchmarks.pages.blocks import DATA
from benchmarks.runs import RUNS, Run, train_all

OTHERS = {  # overlay, and updates of an iteration; the first seed only, to save hours
    "ppo": ("baselines/ppo", 40),
    "evolution_strategy": ("baselines/evolution_strategy", 1),
}
ITERATION_ENV_STEPS = 9600
"""Environment steps of an iteration of one of ``OTHERS``."""
NO_EVALUATION = ["--trainer.limit_val_batches=0"]
Key = tuple[str, str, int]
"""Family, agent and seed of a run."""


def budget(agent: str, pearl: dict[str, Any]) -> list[str]:
    """Options that give one of ``OTHERS`` at least the steps and seconds of PEARL's run, without evaluations.

    Args:
        agent: Name in ``OTHERS``.
        pearl: Summary of PEARL's run.
    """
    updates = math.ceil(pearl["env_steps"] / ITERATION_ENV_STEPS) * OTHERS[agent][1]
    # Lightning stops when the time is up and min_steps updates are done
    limit = [f"--trainer.max_time={{'seconds': {math.ceil(pearl['seconds'])}}}", "--trainer.max_steps=-1"]
    return [*limit, f"--trainer.min_steps={updates}", *NO_EVALUATION]


def check_budget(agent: str, facts: dict[str, Any], pearl: dict[str, Any]) -> None:
    """Check that a baseline had at least the environment steps and seconds of PEARL.

    Raises:
        RuntimeError: It had fewer, because it was trained before PEARL.
    """
    for name in ("env_steps", "seconds"):
        if facts[name] < pearl[name]:
            raise RuntimeError(f"{agent} had {facts[name]:.0f} {name}, PEARL {pearl[name]:.0f}: train it again")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of all runs.

    Args:
        families: Names of the families.
        seeds: Seeds of the main agents; the first one is also the seed of the others.
        updates: Updates of each run; None for the number in the config.
        precision: Lightning's ``precision`` for all agents but ``OTHERS``.
        extra: Further options of ``pearl fit``.
    """

    families: Sequence[str]
    seeds: Sequence[int]
    updates: int | None
    precision: str
    extra: Sequence[str]

    def run(self, key: Key, overlay: str | None, settings: Sequence[str]) -> Run:
        """One run, with the options that only this agent has."""
        family, agent, seed = key
        configs = [name for name in ("derk", FAMILIES[family][0], overlay) if name is not None]
        updates = "" if self.updates is None else f"_{self.updates}"
        name = f"{family}_{agent}{updates}_{self.precision}_{seed}"  # the budget of others depends on the precision
        return Run(name, configs, seed, ["--threads", "1", *settings, *self.extra])

    def main_runs(self) -> dict[Key, Run]:
        """Runs of the agents in ``MAIN``."""
        settings = [f"--trainer.precision={self.precision}"]
        if self.updates is not None:
            size = (f"--trainer.max_steps={self.updates}", f"--trainer.val_check_interval={self.updates}")
            settings = [*size, *settings]
        keys = [(family, agent, seed) for family, seed, agent in product(self.families, self.seeds, MAIN)]
        return {key: self.run(key, MAIN[key[1]], settings) for key in keys}

    def other_runs(self, summaries: Mapping[Key, dict[str, Any]]) -> dict[Key, Run]:
        """Runs of the agents in ``OTHERS``, given the summaries of PEARL's runs."""
        seed = self.seeds[0]
        keys = [(family, agent, seed) for family, agent in product(self.families, OTHERS)]
        return {key: self.run(key, OTHERS[key[1]][0], budget(key[1], summaries[key[0], "pearl", seed])) for key in keys}


def train_and_measure(plan: Plan, runs: Path, parallel: int) -> list[dict[str, Any]]:
    """Train all agents, unless they are trained already, and play the test splits.

    Args:
        plan: Settings of the runs.
        runs: Folder of the runs.
        parallel: Number of runs at a time.
    """
    trained = plan.main_runs()
    summaries = train_all(trained, runs, parallel)
    others = plan.other_runs(summaries)
    for (family, agent, seed), facts in train_all(others, runs, parallel).items():
        check_budget(others[family, agent, seed].name, facts, summaries[family, "pearl", seed])
    trained |= others
    measured = []
    for family in plan.families:
        folders = {
            agent: [runs / trained[key].name for seed in plan.seeds if (key := (family, agent, seed)) in trained]
            for agent in (*MAIN, *OTHERS)
        }
        measured += [measure(family, split, folders) for split in FAMILIES[family][1]]
    return measured


def write_rows(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Move the rows of PEARL's seeds from the entries of a family to a CSV file."""
    rows = [row for entry in entries for row in entry.pop("seeds")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, play the test splits, and update ``families.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder for families.json")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, help="updates of each run; the config's by default")
    parser.add_argument("--precision", default="32-true", help="for all agents but PPO and the evolution strategy")
    parser.add_argument("--parallel", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
    options, extra = parser.parse_known_args(arguments)
    plan = Plan(
        families=options.families,
        seeds=options.seeds,
        updates=options.updates,
        precision=options.precision,
        extra=extra,
    )
    measured = train_and_measure(plan, options.runs_dir, options.parallel)
    options.data.mkdir(parents=True, exist_ok=True)
    for family in plan.families:
        write_rows(options.data / f"{family}_seeds.csv", [each for each in measured if each["family"] == family])
    path = options.data / "families.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    entries = [each for each in stored if each["family"] not in plan.families] + measured
    entries.sort(key=lambda each: list(FAMILIES).index(each["family"]))  # stable: splits keep their order
    path.write_text(json.dumps(entries, indent=1, default=methodcaller("to_json")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
