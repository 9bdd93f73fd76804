"""Results of an evaluation: scores of all matches, and the table by number of episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pearl_lightning.evaluation.belief_trace import BeliefTrace, EntropyCurve
from pearl_lightning.evaluation.rows import EpisodeRow, KindRow
from pearl_lightning.evaluation.statistics import Interval, interquartile_mean, paired_gain, stratified_bootstrap

ProtocolName = Literal["adaptive", "pearl"]
"""Names of the protocols of ``evaluate_adaptation``."""

SUCCESS = "success"
"""Name of the statistic that is above 0 if an episode was a success."""


@dataclass(frozen=True, kw_only=True)
class AdaptationTable:
    """Scores by number of episodes seen before.

    Args:
        tasks: Number of tasks.
        matches_per_task: Number of independent adaptations per task.
        env_steps: Number of environment steps of the evaluation.
        episodes: One row per episode index.
        gain: Return of the last episode minus that of the first, paired within a match.
        win_gain: Gain of the win rate; ``None`` if the environment has no winner.
        success_gain: Gain of the success rate; ``None`` if the environment reports no success.
        settled_after: Result of ``BeliefTrace.settled``; ``None`` for an agent without a latent.
        entropy: Entropy of the posterior by number of transitions read; ``None`` for an agent without a latent. Every
            episode has the same number of points.
        kinds: Rows of each kind of task, one per episode index; empty if all tasks are of one kind.
        protocol: Protocol of the evaluation.
    """

    tasks: int
    matches_per_task: int
    env_steps: int
    episodes: tuple[EpisodeRow, ...]
    gain: Interval
    win_gain: Interval | None = None
    success_gain: Interval | None = None
    settled_after: float | None = None
    entropy: EntropyCurve | None = None
    kinds: Mapping[str, tuple[KindRow, ...]] = field(default_factory=dict)
    protocol: str = "adaptive"

    def to_json(self) -> dict[str, Any]:
        """Return the table as dicts, lists and numbers, for files and checkpoints."""
        entry: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        entry |= {"episodes": [row.to_json() for row in self.episodes], "gain": self.gain.to_json()}
        for name in ("win_gain", "success_gain"):
            if (gain := getattr(self, name)) is not None:
                entry[name] = gain.to_json()
        if self.settled_after is not None:
            entry["settled_after"] = self.settled_after
        if self.entropy is not None:
            entry["entropy"] = self.entropy.to_json()
        if self.kinds:
            entry["kinds"] = {kind: [row.to_json() for row in rows] for kind, rows in self.kinds.items()}
        if self.protocol != "adaptive":  # files of earlier versions have no protocol
            entry["protocol"] = self.protocol
        return entry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> AdaptationTable:
        """Restore a table from the result of ``to_json``; additional entries are ignored.

        Raises:
            ValueError: An entry is missing, or there are no episodes.
        """
        missing = [name for name in (*_COUNTS, "episodes", "gain") if name not in entry]
        if missing or not entry["episodes"]:
            raise ValueError(f"an adaptation table must have {', '.join(missing) or 'at least one episode'}")
        kinds = entry.get("kinds") or {}
        return cls(
            **{name: entry[name] for name in _COUNTS},
            episodes=tuple(EpisodeRow.from_json(row) for row in entry["episodes"]),
            gain=Interval.from_json(entry["gain"]),
            win_gain=Interval.from_json(entry["win_gain"]) if "win_gain" in entry else None,
            success_gain=Interval.from_json(entry["success_gain"]) if "success_gain" in entry else None,
            settled_after=entry.get("settled_after"),
            entropy=EntropyCurve.from_json(entry["entropy"]) if "entropy" in entry else None,
            kinds={kind: tuple(KindRow.from_json(row) for row in rows) for kind, rows in kinds.items()},
            protocol=entry.get("protocol", "adaptive"),
        )


_COUNTS = ("tasks", "matches_per_task", "env_steps")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation during training.

    Args:
        update: Number of updates before the evaluation.
        env_steps: Number of environment steps collected before the evaluation.
        table: Scores on the validation tasks.
    """

    update: int
    env_steps: int
    table: AdaptationTable

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as dicts, lists and numbers, for files and checkpoints."""
        return {"update": self.update, "env_steps": self.env_steps, "table": self.table.to_json()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Evaluation:
        """Restore an evaluation from the result of ``to_json``."""
        return cls(entry["update"], entry["env_steps"], AdaptationTable.from_json(entry["table"]))


@dataclass(frozen=True)
class AdaptationResult:
    """Scores of an agent in all matches of an evaluation.

    Args:
        tasks: Indices of the tasks.
        returns: Team return ``[task, match, episode]``: the rewards of an episode summed over steps and agents.
        outcomes: Outcome ``[task, match, episode]``: 1 won, 0 tied, -1 lost; ``None`` if the environment has no winner.
        z_mean: Mean of the posterior after each episode ``[task, match, episode, latent]``.
        z_std: Standard deviation of the posterior after each episode, of the same shape.
        env_steps: Number of environment steps of the evaluation.
        statistics: Further statistics of the environment by name, ``[task, match, episode]`` each.
        trace: Posteriors during the episodes; ``None`` for an agent without a latent.
        kinds: Kind of each task by ``TaskDistribution.kind`` ``[task]``; empty if unknown.
        protocol: Protocol of the evaluation.
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
    protocol: ProtocolName = "adaptive"

    def coverage(self) -> np.ndarray | None:
        """Share of latents ``[episode]`` whose last mean lies in the 95 % interval of the posterior after the episode.

        In a calibrated belief the share is 0.95; a smaller share means that the belief was too certain. After the last
        episode the share is 1. ``None`` for an agent without a latent.
        """
        if self.z_mean.shape[-1] == 0:
            return None
        distance = np.abs(self.z_mean[:, :, -1:] - self.z_mean)
        return (distance <= 1.96 * self.z_std).mean(axis=(0, 1, 3))

    def table(self) -> AdaptationTable:
        """Return the table of return, rates and belief by episode, with 95 % intervals and the paired gain."""
        coverage = self.coverage()
        gains = {name: paired_gain(hits) for name, hits in self.hits().items()}
        return AdaptationTable(
            tasks=len(self.tasks),
            matches_per_task=self.returns.shape[1],
            env_steps=self.env_steps,
            episodes=tuple(self._row(episode, coverage) for episode in range(self.returns.shape[-1])),
            gain=paired_gain(self.returns),
            win_gain=gains.get("win"),
            success_gain=gains.get("success"),
            settled_after=None if self.trace is None else self.trace.settled(),
            entropy=None if self.trace is None else self.trace.entropy_curve(),
            kinds=self.by_kind(),
            protocol=self.protocol,
        )

    def hits(self) -> dict[str, np.ndarray]:
        """Return which episodes were won, and which a success ``[task, match, episode]``, as far as it is known."""
        found = {"win": self.outcomes, "success": self.statistics.get(SUCCESS)}
        return {name: values > 0 for name, values in found.items() if values is not None}

    def _row(self, episode: int, coverage: np.ndarray | None) -> EpisodeRow:
        returns = self.returns[..., episode]
        numbers = dict(zip(("return_low", "return_high"), map(float, stratified_bootstrap(returns)), strict=True))
        if coverage is not None:
            numbers |= {"z_std": float(self.z_std[:, :, episode].mean()), "coverage": float(coverage[episode])}
        for name, hits in self.hits().items():
            low, high = stratified_bootstrap(hits[..., episode])
            rate = float(hits[..., episode].mean())
            numbers |= {f"{name}_rate": rate, f"{name}_low": float(low), f"{name}_high": float(high)}
        return EpisodeRow(
            episode=episode,
            return_mean=float(returns.mean()),
            return_iqm=interquartile_mean(returns),
            **numbers,
            statistics={
                name: float(values[..., episode].mean()) for name, values in self.statistics.items() if name != SUCCESS
            },
        )

    def by_kind(self) -> dict[str, tuple[KindRow, ...]]:
        """Return the scores of each kind of task, one row per episode index; empty if all tasks are of one kind."""
        names = sorted(set(self.kinds))
        if len(names) < 2:
            return {}
        rows = {}
        for name in names:
            chosen = [task for task, kind in enumerate(self.kinds) if kind == name]
            returns = self.returns[chosen].mean(axis=(0, 1))
            rates = {f"{rate}_rate": hits[chosen].mean(axis=(0, 1)) for rate, hits in self.hits().items()}
            rows[name] = tuple(
                KindRow(float(mean), **{rate: float(values[episode]) for rate, values in rates.items()})
                for episode, mean in enumerate(returns)
            )
        return rows

    def matches(self) -> list[dict[str, float]]:
        """Return a row per episode of each match: task, match, episode, return, outcome and further statistics."""
        columns = {"return": self.returns} | ({} if self.outcomes is None else {"outcome": self.outcomes})
        columns |= self.statistics
        return [
            {"task": self.tasks[task], "match": match, "episode": episode}
            | {name: float(values[task, match, episode]) for name, values in columns.items()}
            for task, match, episode in np.ndindex(*self.returns.shape)
        ]
