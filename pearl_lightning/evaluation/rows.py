"""Rows of the results of an evaluation: the scores of one episode index, of all tasks or of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pearl_lightning.evaluation.statistics import Interval, number_or_nan


@dataclass(frozen=True)
class EpisodeRow:
    """Scores of one episode index, over all tasks and matches.

    Args:
        episode: Number of episodes of the task that the agent has seen before.
        return_mean: Mean team return.
        return_iqm: Interquartile mean of the return.
        return_low: Low end of the 95 % interval of the mean return; NaN if unknown, as with one match per task.
        return_high: High end of that interval.
        z_std: Mean standard deviation of the posterior after the episode; ``None`` for an agent without a latent.
        coverage: ``AdaptationResult.coverage`` after the episode; ``None`` for an agent without a latent.
        win_rate: Share of matches won; ``None`` if the environment has no winner.
        win_low: Low end of the 95 % interval of the win rate.
        win_high: High end of that interval.
        success_rate: Share of episodes with a success; ``None`` if the environment reports none.
        success_low: Low end of the 95 % interval of the success rate.
        success_high: High end of that interval.
        statistics: Means of the environment's own statistics, by name.
    """

    episode: int
    return_mean: float
    return_iqm: float
    return_low: float
    return_high: float
    z_std: float | None = None
    coverage: float | None = None
    win_rate: float | None = None
    win_low: float | None = None
    win_high: float | None = None
    success_rate: float | None = None
    success_low: float | None = None
    success_high: float | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)

    @property
    def returns(self) -> Interval:
        """Mean return with its interval."""
        return Interval(self.return_mean, self.return_low, self.return_high)

    @property
    def wins(self) -> Interval | None:
        """Win rate with its interval."""
        return _interval(self.win_rate, self.win_low, self.win_high)

    @property
    def successes(self) -> Interval | None:
        """Success rate with its interval."""
        return _interval(self.success_rate, self.success_low, self.success_high)

    @property
    def rates(self) -> dict[str, Interval]:
        """The win rate and the success rate, by name, as far as the environment has them."""
        found = {"win rate": self.wins, "success rate": self.successes}
        return {name: interval for name, interval in found.items() if interval is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the numbers by name, including the environment's statistics, without those that are ``None``."""
        numbers = {name: getattr(self, name) for name in _COLUMNS}
        return {name: value for name, value in numbers.items() if value is not None} | dict(self.statistics)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> EpisodeRow:
        """Restore a row from the result of ``to_json``; null becomes NaN."""
        known = {name: number_or_nan(entry.get(name)) for name in _COLUMNS if name in entry or name in _ALWAYS}
        statistics = {name: number_or_nan(value) for name, value in entry.items() if name not in _COLUMNS}
        return cls(**{**known, "episode": entry["episode"]}, statistics=statistics)


_ALWAYS = ("episode", "return_mean", "return_iqm", "return_low", "return_high")
_RATES = tuple(f"{rate}_{number}" for rate in ("win", "success") for number in ("rate", "low", "high"))
_COLUMNS = (*_ALWAYS, "z_std", "coverage", *_RATES)
"""Names of an episode's numbers in a file; all other names are statistics of the environment."""


def _interval(mean: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if mean is None else Interval(mean, number_or_nan(low), number_or_nan(high))


@dataclass(frozen=True)
class KindRow:
    """Scores of one kind of task at one episode index.

    Args:
        return_mean: Mean team return.
        win_rate: Share of matches won; ``None`` if the environment has no winner.
        success_rate: Share of episodes with a success; ``None`` if the environment reports none.
    """

    return_mean: float
    win_rate: float | None = None
    success_rate: float | None = None

    def to_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        numbers = {"return_mean": self.return_mean, "win_rate": self.win_rate, "success_rate": self.success_rate}
        return {name: value for name, value in numbers.items() if value is not None}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> KindRow:
        """Restore a row from the result of ``to_json``."""
        return cls(number_or_nan(entry.get("return_mean")), entry.get("win_rate"), entry.get("success_rate"))
