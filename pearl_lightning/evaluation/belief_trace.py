"""Movement of the posterior during an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class EntropyCurve:
    """Entropy of the posterior in nats by number of transitions read, over the matches of an evaluation.

    Args:
        transitions: Number of transitions read at each point; 0 at the first one.
        low: Quantile 0.1 over the matches at each point.
        median: Median at each point.
        high: Quantile 0.9 at each point.
    """

    transitions: tuple[int, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]

    def to_json(self) -> dict[str, list[Any]]:
        """Return the curve as lists of numbers, for files and checkpoints."""
        return {each.name: list(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Sequence[Any]]) -> EntropyCurve:
        """Restore a curve from the result of ``to_json``."""
        return cls(**{each.name: tuple(entry[each.name]) for each in fields(cls)})


@dataclass(frozen=True)
class BeliefTrace:
    """Posteriors from the prior to the last episode, ``TRACE_POINTS`` per episode.

    Args:
        transitions: Number of transitions that the encoder has read ``[point]``; 0 at the first point.
        mean: Means of the posteriors ``[match, point, latent]``, the matches of a task one after another.
        std: Standard deviations of the posteriors, of the same shape.
    """

    transitions: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def entropy(self) -> np.ndarray:
        """Entropy of the posterior in nats, ``[match, point]``."""
        return (np.log(self.std) + 0.5 * math.log(2 * math.pi * math.e)).sum(axis=-1)

    def entropy_curve(self) -> EntropyCurve:
        """Quantiles of the entropy over all matches."""
        low, median, high = np.quantile(self.entropy(), [0.1, 0.5, 0.9], axis=0).tolist()
        transitions = tuple(self.transitions.tolist())
        return EntropyCurve(transitions=transitions, low=tuple(low), median=tuple(median), high=tuple(high))

    def distance(self) -> np.ndarray:
        """Distance of the mean from the last mean, divided by that of the prior's mean, ``[match, point]``."""
        left = np.linalg.norm(self.mean - self.mean[:, -1:], axis=-1)
        return left / np.maximum(np.linalg.norm(self.mean[:, -1:], axis=-1), 1e-12)

    def settled(self, share: float = 0.25) -> float:
        """Number of transitions after which ``distance`` stays within ``share``, the median over matches."""
        is_far = self.distance() > share
        last_far = np.where(is_far.any(axis=1), is_far.shape[1] - 1 - is_far[:, ::-1].argmax(axis=1), -1)
        return float(np.median(self.transitions[np.minimum(last_far + 1, len(self.transitions) - 1)]))
