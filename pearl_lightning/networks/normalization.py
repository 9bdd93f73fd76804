"""Normalization of observations by running statistics."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

LIMIT = 10.0
"""Normalized features are clipped to [-10, 10]."""
MIN_VARIANCE = 1e-6
"""Lower bound of a variance: constant features stay finite."""


class ObservationNorm(nn.Module):
    """Shifts and scales each feature of observations to mean 0 and variance 1, and scales changes to mean square 1.

    Changes have statistics of their own, because a feature may change little in a step and much in an episode. The
    statistics are averages over all updates so far. Before the first update, inputs are unchanged. If several processes
    train, each update averages over all of them, so that their statistics stay equal.

    Args:
        features: Number of features of an observation.
    """

    updates: Tensor
    mean: Tensor
    square: Tensor
    change_updates: Tensor
    change_square: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("square", torch.ones(features, dtype=torch.float64))
        self.register_buffer("change_updates", torch.zeros((), dtype=torch.float64))
        self.register_buffer("change_square", torch.ones(features, dtype=torch.float64))

    @torch.no_grad()
    def update(self, observation: Tensor) -> None:
        """Include the observations ``[..., feature]`` of a batch in the statistics."""
        flat = observation.double().flatten(0, -2)
        moments = _over_processes(torch.stack([flat.mean(dim=0), flat.square().mean(dim=0)]))
        self.updates += 1
        self.mean += (moments[0] - self.mean) / self.updates
        self.square += (moments[1] - self.square) / self.updates

    @torch.no_grad()
    def update_change(self, change: Tensor, played: Tensor | None = None) -> None:
        """Include the changes of observations ``[..., feature]`` of a batch in the statistics.

        Args:
            change: Changes ``[..., feature]``.
            played: Mask of the changes to include ``[...]``; None for all of them.
        """
        squares = change.double().flatten(0, -2).square()
        if played is None:
            square = squares.mean(dim=0)
        else:  # a selection by a mask would wait for the GPU, whose result decides the shape
            included = played.flatten().unsqueeze(-1)
            square = torch.where(included, squares, 0.0).sum(dim=0) / included.sum()
        square = _over_processes(square)
        self.change_updates += 1
        self.change_square += (square - self.change_square) / self.change_updates

    def forward(self, observation: Tensor) -> Tensor:
        """Normalize observations ``[..., feature]``."""
        return ((observation - self.mean.float()) * self._rate()).clamp(-LIMIT, LIMIT)

    def _rate(self) -> Tensor:
        """Inverse standard deviation of each feature ``[feature]``."""
        return (self.square - self.mean.square()).clamp_min(MIN_VARIANCE).rsqrt().float()

    def of_difference(self, difference: Tensor) -> Tensor:
        """Scale differences of observations ``[..., feature]`` to differences of normalized ones, without the clip."""
        return difference * self._rate()

    def of_change(self, change: Tensor) -> Tensor:
        """Scale changes of observations ``[..., feature]``."""
        rate = self.change_square.clamp_min(MIN_VARIANCE).rsqrt().float()
        return (change * rate).clamp(-LIMIT, LIMIT)


def _over_processes(moments: Tensor) -> Tensor:
    """Return the mean of ``moments`` over all processes that train."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(moments)
        moments = moments / torch.distributed.get_world_size()
    return moments


def normalized(transitions: TensorDictBase, norm: ObservationNorm | None) -> TensorDictBase:
    """Return transitions with normalized ``observation`` and ``next_observation``; unchanged without a norm."""
    if norm is None:
        return transitions
    names = ("observation", "next_observation")
    return transitions.clone(recurse=False).update({name: norm(transitions[name]) for name in names})
