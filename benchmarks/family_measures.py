"""Scores of trained agents on the test splits of Derk's task families, for ``benchmarks.families``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages.families import UNOBSERVED
from pearl_lightning.agents.agent import load_agent
from pearl_lightning.agents.uniform import UniformAgent
from pearl_lightning.commands.environments import make_env
from pearl_lightning.evaluation import AdaptationResult, compare, evaluate_adaptation
from pearl_lightning.evaluation.statistics import paired_gain
from pearl_lightning.experience.player import MetaAgent
from pearl_lightning.report.records import RunRecord, read_run

FAMILIES = {  # overlay, and the splits that are played
    "loadouts": (None, ["test"]),
    "bounties": ("families/bounties", ["mixtures", "corners"]),
    "blind_loadouts": ("families/blind_loadouts", ["test"]),
    "opponents": ("families/opponents", ["known_styles", "new_styles"]),
    "sentinels": ("families/sentinels", ["known_styles"]),
}
MAIN = {"context_free": "baselines/context_free", "pearl": None, "oracle": "baselines/oracle"}
PLAY_THEIR_BEST = ("context_free", "oracle")
"""Agents that play their best checkpoint on the validation tasks, because without a belief some of them oscillate."""
CONTROL = "pearl, wrong context"
LEAST_MATCHES = 256
EPISODES = 3


def play(
    run: Path, split: str, checkpoint: str = "last", *, random: bool = False, wrong_context: bool = False
) -> AdaptationResult:
    """Play a split of a run's tasks with one of its checkpoints. Actions are sampled, as in training.

    Args:
        run: Folder of the run.
        split: Name of the split.
        checkpoint: ``last``, or ``best`` on the validation tasks.
        random: Play uniform legal actions instead of the checkpoint.
        wrong_context: Give each belief the episodes of another task (see ``evaluate_adaptation``).
    """
    env = make_env(run / "config.yaml")
    try:
        agent: MetaAgent
        if random:
            agent = UniformAgent(env.features, env.action_space)
        else:
            agent = load_agent(run / "checkpoints" / f"{checkpoint}.ckpt")
        tasks = env.tasks.splits[split]
        return evaluate_adaptation(
            env,
            agent,
            tasks,
            episodes=EPISODES,
            matches=math.ceil(LEAST_MATCHES / len(tasks)),
            deterministic=False,
            wrong_context=wrong_context,
        )
    finally:
        env.close(raise_if_closed=False)


def pool_seeds(results: Sequence[AdaptationResult]) -> AdaptationResult:
    """Pool the matches of several runs on the same tasks, as if one agent had played them.

    Raises:
        ValueError: The runs played different tasks.
    """
    if any(result.tasks != results[0].tasks for result in results):
        raise ValueError("results must have the same tasks to be pooled")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(result, name) for result in results], axis=1)

    first = results[0]
    return AdaptationResult(
        tasks=first.tasks,
        returns=joined("returns"),
        outcomes=None if first.outcomes is None else joined("outcomes"),
        z_mean=joined("z_mean"),
        z_std=joined("z_std"),
        env_steps=sum(result.env_steps for result in results),
        kinds=first.kinds,
    )


def seed_row(split: str, context: str, seed: int, result: AdaptationResult) -> dict[str, Any]:
    """Return a row of ``FAMILY_seeds.csv``: scores of a seed by episode, and its gains.

    Args:
        split: Name of the split.
        context: Episodes that the beliefs read.
        seed: Position of the seed among the seeds of the runs.
        result: Result of the seed.
    """
    row: dict[str, Any] = {"test_tasks": split.replace("_", " "), "context": context, "seed": seed}
    wins = result.hits().get("win")
    for name, values, scale, digits in (("return_{}", result.returns, 1, 2), ("won_{}_percent", wins, 100, 1)):
        if values is None:
            continue
        means = scale * values.mean(axis=(0, 1))
        row |= {name.format(episode): f"{mean:.{digits}f}" for episode, mean in enumerate(means)}
        gain, column = paired_gain(values), "gain" if scale == 1 else "win_gain_points"
        ends = {column: gain.mean, f"{column}_low": gain.low, f"{column}_high": gain.high}
        row |= {column: f"{scale * each:.{digits}f}" for column, each in ends.items()}
    return row


def headroom(played: dict[str, list[AdaptationResult]], split: str) -> dict[str, Any]:
    """Leads in the last episode: of the oracle over the context-free agent, and of PEARL over each agent."""
    lead = compare(played["context_free"], played["oracle"])
    own = compare(played["context_free"], played["pearl"])
    has_some = lead.returns.low > 0 and split not in UNOBSERVED
    share = own.returns.mean / lead.returns.mean if has_some else None
    others = {agent: compare(seeds, played["pearl"]) for agent, seeds in played.items() if agent != "pearl"}
    return {"lead": lead, "share": share, "pearl_over": others}


def validation_return(run: RunRecord, seconds: float) -> float:
    """Validation return of the last episode after some seconds of a run, interpolated between its evaluations.

    Updates are assumed to be evenly spaced in time.
    """
    points = run.metrics[max(name for name in run.metrics if name.startswith("evaluation/return_"))]
    updates = run.summary["updates"] * seconds / run.summary["seconds"]
    return float(np.interp(updates, [point.update for point in points], [point.value for point in points]))


def at_equal_seconds(runs: Sequence[Path], others: Sequence[Path]) -> list[float]:
    """Mean validation returns of two agents over their seeds, at the end of the faster run of each seed."""
    returns = []
    for pair in zip(map(read_run, runs), map(read_run, others), strict=True):
        seconds = min(run.summary["seconds"] for run in pair)
        returns += [[validation_return(run, seconds) for run in pair]]
    return [float(mean) for mean in np.mean(returns, axis=0)]


def measure(family: str, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Play a split with every agent; return pooled tables, scores by seed, rows of PEARL's seeds, and leads.

    Args:
        family: Name of the task family.
        split: Name of a split of its test tasks.
        runs: Folders of the runs of each agent, one per seed.
    """
    played = {"random": [play(runs["pearl"][0], split, random=True)]}
    for agent, folders in runs.items():
        played[agent] = [play(run, split, "best" if agent in PLAY_THEIR_BEST else "last") for run in folders]
    played[CONTROL] = [play(run, split, wrong_context=True) for run in runs["pearl"]]
    spent = {}
    for agent, folders in runs.items():
        summaries = [json.loads((run / "summary.json").read_text(encoding="utf-8")) for run in folders]
        spent[agent] = {name: float(np.mean([each[name] for each in summaries])) for name in ("env_steps", "seconds")}
    print(f"{family}, {split}: played", flush=True)
    return {
        "family": family,
        "split": split,
        "spent": spent,
        "tables": {agent: pool_seeds(seeds).table() for agent, seeds in played.items()},
        "seeds": [
            seed_row(split, context, seed, result)
            for context, agent in (("its own", "pearl"), ("another task's", CONTROL))
            for seed, result in enumerate(played[agent])
        ],
        "by_seed": {agent: [float(seed.returns[..., -1].mean()) for seed in seeds] for agent, seeds in played.items()},
        "headroom": headroom(played, split),
        "equal_seconds": {agent: at_equal_seconds(runs["pearl"], runs[agent]) for agent in MAIN if agent != "pearl"},
    }
