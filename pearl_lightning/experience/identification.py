"""Identification bonus: a training reward for experience that reveals the task."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.inference.belief import Belief
from pearl_lightning.inference.steps import steps_of

EVERY = 10
"""Number of steps between two measurements of a belief's error; the steps between them share the bonus."""


def identification_bonus(episode: TensorDictBase, belief: Belief, descriptor: Tensor) -> Tensor:
    """Return how much each step of an episode reduces a belief's error about the task ``[arena, step]``.

    The error is the squared error of the first numbers of the posterior's mean, which ``TaskInference`` trains to equal
    the descriptor, averaged over these numbers. It is about 1 for the prior, because descriptors have variance 1. The
    bonuses of an episode add up to the error before it minus the error after it. The idea is the peer identification
    reward of Ma et al. 2024, "Fast peer adaptation with context-aware exploration".

    Args:
        episode: Rows of an episode (see ``play_episode``).
        belief: Belief before the episode; it is not changed. Its posterior must be a Gaussian.
        descriptor: Standardized descriptors of the tasks ``[arena, number]``.
    """
    steps, belief = steps_of(episode), belief.copy()
    bonus = torch.zeros(steps.shape, device=episode.device)
    before = _error(belief, descriptor)
    for first in range(0, steps.shape[1], EVERY):
        part = steps[:, first : first + EVERY]
        belief.observe(part)
        after = _error(belief, descriptor)
        played = part["played"].float()
        share = played / played.sum(dim=1, keepdim=True).clamp_min(1)
        bonus[:, first : first + EVERY] = (before - after).to(bonus.device).unsqueeze(1) * share
        before = after
    return bonus


def _error(belief: Belief, descriptor: Tensor) -> Tensor:
    posterior = belief.posterior()
    assert posterior is not None, "an agent with TaskInference has a Gaussian belief"
    mean = posterior[0][:, : descriptor.shape[1]]
    return (mean - descriptor.to(mean.device)).square().mean(dim=1)
