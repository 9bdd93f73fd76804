"""Movement of the posterior during an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


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

    def distance(self) -> np.ndarray:
        """Distance of the mean from the last mean, divided by that of the prior's mean, ``[match, point]``."""
        left = np.linalg.norm(self.mean - self.mean[:, -1:], axis=-1)
        return left / np.maximum(np.linalg.norm(self.mean[:, -1:], axis=-1), 1e-12)

    def settled(self, share: float = 0.25) -> float:
        """Number of transitions after which ``distance`` stays within ``share``, the median over matches."""
        is_far = self.distance() > share
        last_far = np.where(is_far.any(axis=1), is_far.shape[1] - 1 - is_far[:, ::-1].argmax(axis=1), -1)
        return float(np.median(self.transitions[np.minimum(last_far + 1, len(self.transitions) - 1)]))
