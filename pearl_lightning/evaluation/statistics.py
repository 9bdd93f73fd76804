"""Statistics of scores over tasks and matches: interquartile mean, bootstrap intervals, paired gain, leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pearl_lightning.evaluation.result import AdaptationResult


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Args:
        mean: Mean over tasks and matches.
        low: Low end of the interval; NaN if unknown.
        high: High end of the interval; NaN if unknown.
    """

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, entry: Mapping[str, float | None]) -> Interval:
        """Restore an interval from the result of ``to_json``; a number that is missing or null becomes NaN."""
        return cls(*(number_or_nan(entry.get(name)) for name in ("mean", "low", "high")))


@dataclass(frozen=True)
class Lead:
    """Difference between the scores of two agents.

    Args:
        returns: Difference of the returns.
        win_rate: Difference of the win rates; ``None`` if the environment has no winner.
        success_rate: Difference of the success rates; ``None`` if the environment reports no success.
    """

    returns: Interval
    win_rate: Interval | None = None
    success_rate: Interval | None = None

    def to_json(self) -> dict[str, dict[str, float]]:
        """Return the intervals by name."""
        intervals = {"return": self.returns, "win_rate": self.win_rate, "success_rate": self.success_rate}
        return {name: interval.to_json() for name, interval in intervals.items() if interval is not None}


def number_or_nan(value: float | None) -> float:
    """Convert a number from a JSON file; null becomes NaN."""
    return np.nan if value is None else value


def interquartile_mean(x: Any) -> float:
    """Mean of the values without the lowest and the highest quarter.

    A quarter of n values is ``n // 4`` of them, so the result for fewer than four values is their mean. It is more
    robust than the mean and more efficient than the median (Agarwal et al. 2021, sec. 4.3).

    Args:
        x: Scores of any shape, at least one.
    """
    values = np.sort(np.asarray(x, dtype=np.float64), axis=None)
    if not values.size:
        raise ValueError("x must contain at least one score, got none")
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def stratified_bootstrap(
    scores: Any,
    statistic: Callable[[np.ndarray], Any] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Any, Any]:
    """Percentile interval of a statistic, by resampling matches within each task (Agarwal et al. 2021, sec. 4.1).

    A resample contains every task. For each task, its matches are drawn with replacement, as many as were played; axes
    after the match axis (such as episodes) stay together. The interval therefore describes the variation if *the same
    agent played the same tasks again*, not if it played other tasks or was trained again.

    Like any bootstrap of small strata, resampling n matches understates the spread by a factor of about
    sqrt(1 - 1/n). An interval of a mean at level 0.95 has a coverage of about 0.95 with many matches, 0.93 with 8, 0.91
    with 4, and 0.83 with 2. With one match per task the spread is unknown, and both ends are NaN.

    Args:
        scores: Scores ``[task, match, ...]``.
        statistic: Function that maps scores of that shape to a number or an array. ``None`` for the mean over tasks and
            matches, which is computed for all resamples at once.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.
        level: Share of resamples within the interval, in (0, 1).

    Returns:
        Low and high end, each of the statistic's shape.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 2 or not scores.size:
        raise ValueError(f"scores must be [task, match, ...] and not empty, got shape {scores.shape}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    tasks, matches = scores.shape[:2]
    if matches == 1:
        unknown = np.full(np.shape(statistic(scores)) if statistic else scores.shape[2:], np.nan)[()]
        return unknown, unknown
    drawn = np.random.default_rng(seed).integers(matches, size=(resamples, tasks, matches))
    if statistic is None:
        draws = sum(scores[task, drawn[:, task]].mean(axis=1) for task in range(tasks)) / tasks  # [resample, ...]
    else:
        task = np.arange(tasks)[:, None]
        draws = np.asarray([statistic(scores[task, matches_drawn]) for matches_drawn in drawn])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def paired_gain(returns: Any, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
    """Gain by adaptation with its interval: the mean of last minus first episode of the same match.

    Pairing within a match removes the variation that both episodes share, such as the difficulty of the task. The
    interval resamples matches within each task, as in ``stratified_bootstrap``. With one episode the gain is 0.

    Args:
        returns: Returns ``[task, match, episode]``.
        resamples: Number of resamples, at least 1.
        seed: Seed of the resamples.
        level: Share of resamples within the interval, in (0, 1).
    """
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 3 or not returns.size:
        raise ValueError(f"returns must be [task, match, episode] and not empty, got shape {returns.shape}")
    gain = returns[..., -1] - returns[..., 0]
    low, high = stratified_bootstrap(gain, None, resamples, seed, level)
    return Interval(float(gain.mean()), float(low), float(high))


def compare(first: Sequence[AdaptationResult], second: Sequence[AdaptationResult]) -> Lead:
    """Lead of ``second`` over ``first`` in the last episode, paired by task and match, with 95 % intervals.

    All evaluations must have the same tasks in the same order, number of arenas and seed.

    Args:
        first: Evaluations of an agent, one per training seed; the scores of a match are averaged over them.
        second: Evaluations of the other agent; the number of training seeds may differ.

    Raises:
        ValueError: The evaluations have different tasks or numbers of matches.
    """
    every = [*first, *second]
    _check_comparable(every)
    sides = (first, second)
    returns = _lead([[result.returns[..., -1] for result in side] for side in sides])
    rates = {}
    for name in ("win", "success"):
        hits = [[result.hits()[name][..., -1] for result in side if name in result.hits()] for side in sides]
        rates[name] = _lead(hits) if sum(map(len, hits)) == len(every) else None
    return Lead(returns, rates["win"], rates["success"])


def _check_comparable(results: Sequence[AdaptationResult]) -> None:
    reference = results[0]
    for other in results[1:]:
        if other.tasks != reference.tasks:
            pair = next(pair for pair in zip_longest(reference.tasks, other.tasks) if pair[0] != pair[1])
            raise ValueError(f"evaluations must have the same tasks to be compared, got tasks {pair[0]} and {pair[1]}")
        matches = [result.returns.shape[1] for result in (reference, other)]
        if matches[0] != matches[1]:
            raise ValueError(
                f"evaluations must have the same number of matches per task to be compared, got {matches[0]} and "
                f"{matches[1]}"
            )


def _lead(sides: Sequence[Sequence[np.ndarray]]) -> Interval:
    """Lead of the second of two sides, given the scores ``[task, match]`` of each side's training seeds."""
    return paired_gain(np.stack([np.mean(side, axis=0) for side in sides], axis=-1))
