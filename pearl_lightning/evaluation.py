"""The adaptation protocol: play held-out tasks episode after episode, and its statistics."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.rollout import MetaAgent, adaptation_episodes
from pearl_lightning.statistics import interquartile_mean, paired_gain, stratified_bootstrap

TRACE_POINTS = 10
"""Per episode; an episode's transitions are read in so many parts."""
_SCORES = ("returns", "outcomes", "z_mean", "z_std")
_COLUMNS = {"episode", "z_std", "coverage"} | {
    f"{what}_{which}" for what in ("return", "win") for which in ("mean", "iqm", "low", "high", "rate")
}
"""Of a table's rows; what a row has besides are the world's statistics."""


@dataclass(frozen=True)
class BeliefTrace:
    """The posteriors on the way, from the prior to the end, ``TRACE_POINTS`` per episode.

    Args:
        transitions: Read so far ``[point]``; the first point is before any.
        mean: ``[match, point, latent]``, the matches of a task one after another.
        std: The same for the standard deviation.
    """

    transitions: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def entropy(self) -> np.ndarray:
        """Of the posterior, in nats, ``[match, point]``."""
        return (np.log(self.std) + 0.5 * math.log(2 * math.pi * math.e)).sum(axis=-1)

    def distance(self) -> np.ndarray:
        """From the mean to where it ends, as a share of how far that is from the prior's, ``[match, point]``."""
        left = np.linalg.norm(self.mean - self.mean[:, -1:], axis=-1)
        return left / np.maximum(np.linalg.norm(self.mean[:, -1:], axis=-1), 1e-12)

    def settled(self, share: float = 0.25) -> float:
        """Transitions after which the mean stays within ``share`` of that distance, the median over matches."""
        is_far = self.distance() > share
        last_far = np.where(is_far.any(axis=1), is_far.shape[1] - 1 - is_far[:, ::-1].argmax(axis=1), -1)
        return float(np.median(self.transitions[np.minimum(last_far + 1, len(self.transitions) - 1)]))


@dataclass(frozen=True)
class AdaptationResult:
    """What an agent scored on some tasks, by number of episodes it had seen.

    Args:
        tasks: Task indices.
        returns: Team return ``[task, match, episode]``: the rewards of an episode summed over steps and agents.
        outcomes: 1 won, 0 tied, -1 lost ``[task, match, episode]``; None where the world has no winner.
        z_mean: Mean of the posterior after each episode ``[task, match, episode, latent]``.
        z_std: Its standard deviation.
        env_steps: Environment steps that the evaluation took.
        statistics: What else the world tells of an episode, ``[task, match, episode]`` by name.
        trace: How the belief came about.
        kinds: What kind of task each is, ``TaskDistribution.kind``, ``[task]``; nothing where nobody told.
    """

    tasks: tuple[int, ...]
    returns: np.ndarray
    outcomes: np.ndarray | None
    z_mean: np.ndarray
    z_std: np.ndarray
    env_steps: int
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    trace: BeliefTrace | None = None
    kinds: tuple[str, ...] = ()

    def coverage(self) -> np.ndarray | None:
        """Share of latents ``[episode]`` whose last mean lies in the 95 % interval of the posterior after the episode.

        A calibrated belief is right about what it will come to think: a share below 0.95 means that it was too sure.
        The last episode's is 1. None for an agent without a latent.
        """
        if self.z_mean.shape[-1] == 0:
            return None
        distance = np.abs(self.z_mean[:, :, -1:] - self.z_mean)
        return (distance <= 1.96 * self.z_std).mean(axis=(0, 1, 3))

    def table(self) -> dict[str, Any]:
        """Per episode index: mean, interquartile mean and 95 % interval of the return, win rate; and the gain.

        Also how narrow the posterior is after the episode, and its coverage (see ``coverage``).
        """
        rows, coverage = [], self.coverage()
        for episode in range(self.returns.shape[-1]):
            returns = self.returns[..., episode]
            low, high = stratified_bootstrap(returns, np.mean)
            row = {
                "episode": episode,
                "return_mean": float(returns.mean()),
                "return_iqm": float(interquartile_mean(returns)),
                "return_low": float(low),
                "return_high": float(high),
            }
            if coverage is not None:
                row |= {"z_std": float(self.z_std[:, :, episode].mean()), "coverage": float(coverage[episode])}
            if self.outcomes is not None:
                wins = (self.outcomes[..., episode] > 0).astype(np.float64)
                win_low, win_high = stratified_bootstrap(wins, np.mean)
                row |= {"win_rate": float(wins.mean()), "win_low": float(win_low), "win_high": float(win_high)}
            row |= {name: float(values[..., episode].mean()) for name, values in self.statistics.items()}
            rows.append(row)
        gains = {"gain": self.returns} | ({} if self.outcomes is None else {"win_gain": self.outcomes > 0})
        return {
            "tasks": len(self.tasks),
            "matches_per_task": self.returns.shape[1],
            "env_steps": self.env_steps,
            "episodes": rows,
            **{name: dict(zip(("mean", "low", "high"), paired_gain(v), strict=True)) for name, v in gains.items()},
            **({} if self.trace is None else {"settled_after": self.trace.settled()}),
            **({"kinds": kinds} if (kinds := self.by_kind()) else {}),
        }

    def by_kind(self) -> dict[str, list[dict[str, float]]]:
        """Mean return, and win rate, after each number of episodes, of each kind by itself; nothing of one kind."""
        names = sorted(set(self.kinds))
        if len(names) < 2:
            return {}
        rows: dict[str, list[dict[str, float]]] = {}
        for name in names:
            chosen = [task for task, kind in enumerate(self.kinds) if kind == name]
            rows[name] = [{"return_mean": float(mean)} for mean in self.returns[chosen].mean(axis=(0, 1))]
            if self.outcomes is not None:
                for row, win_rate in zip(rows[name], (self.outcomes[chosen] > 0).mean(axis=(0, 1)), strict=True):
                    row["win_rate"] = float(win_rate)
        return rows

    def matches(self) -> list[dict[str, float]]:
        """One row per episode of each match: task, match, episode, return, and what else is known of it."""
        columns = {"return": self.returns} | ({} if self.outcomes is None else {"outcome": self.outcomes})
        columns |= self.statistics
        return [
            {"task": self.tasks[task], "match": match, "episode": episode}
            | {name: float(values[task, match, episode]) for name, values in columns.items()}
            for task, match, episode in np.ndindex(*self.returns.shape)
        ]


def evaluate_adaptation(
    env: MetaEnv,
    agent: MetaAgent,
    tasks: Sequence[int],
    *,
    episodes: int = 3,
    matches: int = 1,
    deterministic: bool = True,
    wrong_context: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AdaptationResult:
    """Play each task ``matches`` times, from the prior on, for ``episodes`` episodes (design: adaptation, measured).

    Episode 0 is played with z from the prior; each further one with z from the posterior given all before it. The same
    seed gives the same starts and draws, and neither the environment's nor anybody else's random state is changed.

    Args:
        env: Its tasks and random state are put back afterwards, whatever happens.
        agent: Plays.
        tasks: Task indices to play.
        episodes: Episodes per match, at least 1.
        matches: Independent adaptations per task, at least 1.
        deterministic: Play the policy's mode rather than a sample.
        wrong_context: Give each belief the episodes of another task, of another kind where the family tells kinds
            apart: a control, which must show no gain.
        seed: Fixes the evaluation.
        progress: Told how many episodes are played, of how many: at the start, and as the arenas end theirs.
    """
    for name, value in (("episodes", episodes), ("matches", matches), ("tasks", len(tasks))):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    saved_tasks, saved_state = env.next_tasks, env.random_state()
    try:
        env.set_seed(seed)
        tell = progress or (lambda done, total: None)
        played, trace, env_steps = _play(env, agent, tasks, episodes, matches, deterministic, wrong_context, seed, tell)
    finally:
        env.load_random_state(saved_state)
        env.set_tasks(saved_tasks)
    shaped = {
        name: values.reshape(len(tasks), matches, episodes, *values.shape[2:]).double().cpu().numpy()
        for name, values in played.items()
    }
    return AdaptationResult(
        tasks=tuple(int(task) for task in tasks),
        returns=shaped["returns"],
        outcomes=shaped.get("outcomes"),
        z_mean=shaped["z_mean"],
        z_std=shaped["z_std"],
        env_steps=env_steps,
        statistics={name: values for name, values in shaped.items() if name not in _SCORES},
        trace=trace,
        kinds=tuple(env.tasks.kind(int(task)) for task in tasks),
    )


def _play(
    env: MetaEnv,
    agent: MetaAgent,
    tasks: Sequence[int],
    episodes: int,
    matches: int,
    deterministic: bool,
    wrong_context: bool,
    seed: int,
    tell: Callable[[int, int], None],
) -> tuple[dict[str, Tensor], BeliefTrace | None, int]:
    """Scores and posteriors ``[task times match, episode, ...]``, the belief's way, the environment steps taken."""
    generator, pairing = (torch.Generator().manual_seed(seed) for _ in range(2))
    plan = torch.tensor(list(tasks)).repeat_interleave(matches)
    rounds: list[TensorDict] = []
    traces: list[Tensor] = []  # mean and standard deviation [match, point, 2, latent]
    points = [0]  # transitions read at each
    tell(0, len(plan) * episodes)
    for first in range(0, len(plan), env.arenas):
        chunk = plan[first : first + env.arenas]
        filler = plan[torch.arange(env.arenas - len(chunk)) % len(plan)]  # idle arenas repeat tasks, uncounted
        env.set_tasks(torch.cat([chunk, filler]))
        belief, played = agent.prior(env.arenas), []
        read_from = _of_another_task(env, pairing) if wrong_context else None
        points, trace = [0], [torch.stack(belief.posterior(), dim=1)]
        for rows in adaptation_episodes(
            env, agent, episodes, deterministic=deterministic, generator=generator, belief=belief, update=False
        ):
            features = agent.context_features(rows.unsqueeze(1))
            if read_from is not None:
                features = features[read_from.to(features.device)]
            for part in features.tensor_split(TRACE_POINTS, dim=1):
                belief.update(part)
                trace.append(torch.stack(belief.posterior(), dim=1))
                points.append(points[-1] + part.shape[1])
            z_mean, z_std = belief.posterior()
            scores = {"returns": rows["reward"].sum(dim=(1, 2)), "z_mean": z_mean.cpu(), "z_std": z_std.cpu()}
            if env.has_outcome:
                scores["outcomes"] = rows["outcome"][:, -1]
            scores |= env.episode_statistics()
            played.append(TensorDict(scores, batch_size=[env.arenas]))
            tell(first * episodes + len(played) * len(chunk), len(plan) * episodes)
        rounds.append(TensorDict.stack(played, dim=1)[: len(chunk)])
        traces.append(torch.stack(trace, dim=1)[: len(chunk)])
    mean, std = torch.cat(traces).double().cpu().numpy().transpose(2, 0, 1, 3)
    way = BeliefTrace(np.array(points), mean, std) if mean.shape[-1] else None
    return dict(TensorDict.cat(rounds).items()), way, len(rounds) * env.arenas * episodes * env.horizon


def _of_another_task(env: MetaEnv, generator: torch.Generator) -> Tensor:
    """For each arena one at random that plays another task, ``[arena]``: matches of a task read different tasks.

    Of another kind where one is played: an episode against the same style would be half the right context.
    """
    tasks = env.next_tasks
    names = [env.tasks.kind(task) for task in tasks.tolist()]
    kinds = torch.tensor([names.index(name) for name in names])
    is_other, is_other_kind = tasks.unsqueeze(1) != tasks, kinds.unsqueeze(1) != kinds
    if not is_other.any(dim=1).all():
        raise ValueError(
            f"wrong_context needs two tasks side by side, got {int(tasks[0])} in all arenas: play fewer matches"
        )
    eligible = torch.where(is_other_kind.any(dim=1, keepdim=True), is_other_kind, is_other)
    return torch.multinomial(eligible.float(), 1, generator=generator).squeeze(1)


def format_table(table: dict[str, Any]) -> str:
    """The adaptation table as aligned text."""
    first = table["episodes"][0]
    has_wins, counts = "win_rate" in first, [name for name in first if name not in _COLUMNS]
    head = f"{'episode':>7}  {'return':>9}  {'95 % interval':>20}  {'IQM':>9}" + ("  win rate" if has_wins else "")
    lines = [head + "".join(f"  {name.replace('_', ' '):>13}" for name in counts)]
    for row in table["episodes"]:
        interval = f"[{row['return_low']:.2f}, {row['return_high']:.2f}]"
        line = f"{row['episode']:>7}  {row['return_mean']:>9.2f}  {interval:>20}  {row['return_iqm']:>9.2f}"
        line += f"  {row['win_rate']:>8.1%}" if has_wins else ""
        lines.append(line + "".join(f"  {row[name]:>13.2f}" for name in counts))
    lines.append("gain, last minus first: " + format_interval(table["gain"]))
    if "win_gain" in table:
        lines[-1] += f", of the win rate {format_interval(table['win_gain'], '.1%')}"
    if "settled_after" in table:
        lines.append(f"the belief settles after {table['settled_after']:.0f} transitions (median)")
    for kind, entries in table.get("kinds", {}).items():
        returns = ", ".join(f"{entry['return_mean']:.2f}" for entry in entries)
        wins = ", ".join(f"{entry['win_rate']:.0%}" for entry in entries) if has_wins else ""
        lines.append(f"{kind}: return {returns}" + (f", won {wins}" if wins else ""))
    lines.append(
        f"{table['tasks']} tasks x {table['matches_per_task']} matches, {table['env_steps']} environment steps"
    )
    return "\n".join(lines)


def compare(first: Sequence[AdaptationResult], second: Sequence[AdaptationResult]) -> dict[str, dict[str, float]]:
    """How much better ``second`` did in the last episode, paired by task and match, with 95 % intervals.

    All must have played the same tasks in the same order, in as many arenas and with the same seed.

    Args:
        first: An agent's evaluations, one for each seed that it was trained with; a match counts by their mean.
        second: Another's; the number of seeds may be another.

    Raises:
        ValueError: They played other tasks, or another number of matches.
    """
    every = [*first, *second]
    for other in every[1:]:
        if other.tasks != every[0].tasks:
            pair = next(pair for pair in zip_longest(every[0].tasks, other.tasks) if pair[0] != pair[1])
            raise ValueError(f"only evaluations of the same tasks can be compared, got tasks {pair} side by side")
        matches = [result.returns.shape[1] for result in (every[0], other)]
        if matches[0] != matches[1]:
            raise ValueError(f"only as many matches can be compared, got {matches[0]} and {matches[1]} per task")
    scores = {"return": [[result.returns[..., -1] for result in side] for side in (first, second)]}
    if all(result.outcomes is not None for result in every):
        scores["win_rate"] = [[result.outcomes[..., -1] > 0 for result in side] for side in (first, second)]  # type: ignore[index]
    leads = {}
    for name, sides in scores.items():
        pairs = np.stack([np.mean(side, axis=0) for side in sides], axis=-1)
        leads[name] = dict(zip(("mean", "low", "high"), paired_gain(pairs), strict=True))
    return leads


def format_comparison(lead: Mapping[str, dict[str, float]]) -> str:
    """What ``compare`` gives, as text."""
    text = f"return {format_interval(lead['return'], '+.2f')}"
    return text + (f", win rate {format_interval(lead['win_rate'], '+.1%')}" if "win_rate" in lead else "")


def format_interval(gain: Mapping[str, float], form: str = ".2f") -> str:
    """A mean with its interval, each number in ``form``."""
    return f"{gain['mean']:{form}} [{gain['low']:{form}}, {gain['high']:{form}}]"


def format_side_by_side(tables: Mapping[str, dict[str, Any]]) -> str:
    """Returns (and win rates) by episode of several tables, one column each."""
    rows = [f"{'episode':>7}" + "".join(f"  {name:>28}" for name in tables)]
    for episode, entries in enumerate(zip(*(table["episodes"] for table in tables.values()), strict=True)):
        cells = []
        for row in entries:
            wins = f" wins {row['win_rate']:.1%}" if "win_rate" in row else ""
            cells.append(f"{row['return_mean']:.2f} [{row['return_low']:.2f}, {row['return_high']:.2f}]{wins}")
        rows.append(f"{episode:>7}" + "".join(f"  {cell:>28}" for cell in cells))
    return "\n".join(rows)


def write_matches(result: AdaptationResult, path: Path) -> None:
    """Write every episode of every match as CSV, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = result.matches()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_json(table: dict[str, Any], path: Path) -> None:
    """Write a table as JSON, creating its folder; an interval that is unknown (NaN) is written as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_nan(table), indent=2, allow_nan=False) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
