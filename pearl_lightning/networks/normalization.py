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
    """Shifts and scales each feature of observations to mean 0 and variance 1, as far as it was updated.

    The statistics are averages over all updates so far. Before the first update observations are unchanged. If several
    processes train, each update averages over all of them, so that their statistics stay equal.

    Args:
        features: Number of features of an observation.
    """

    updates: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("square", torch.ones(features, dtype=torch.float64))

    @torch.no_grad()
    def update(self, observation: Tensor) -> None:
        """Include the observations ``[..., feature]`` of a batch in the statistics."""
        flat = observation.double().flatten(0, -2)
        moments = torch.stack([flat.mean(dim=0), flat.square().mean(dim=0)])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(moments)
            moments = moments / torch.distributed.get_world_size()
        self.updates += 1
        self.mean += (moments[0] - self.mean) / self.updates
        self.square += (moments[1] - self.square) / self.updates

    def forward(self, observation: Tensor) -> Tensor:
        """Normalize observations ``[..., feature]``."""
        return ((observation - self.mean.float()) * self._rate()).clamp(-LIMIT, LIMIT)

    def of_change(self, change: Tensor) -> Tensor:
        """Scale changes of observations ``[..., feature]`` as ``forward`` scales observations."""
        return (change * self._rate()).clamp(-LIMIT, LIMIT)

    def _rate(self) -> Tensor:
        return (self.square - self.mean.square()).clamp_min(MIN_VARIANCE).rsqrt().float()


def update_norm(norm: ObservationNorm | None, observation: Tensor) -> None:
    """Include observations ``[..., feature]`` in the statistics, if there is a norm."""
    if norm is not None:
        norm.update(observation)


def normalized(transitions: TensorDictBase, norm: ObservationNorm | None) -> TensorDictBase:
    """Return transitions with normalized ``observation`` and ``next_observation``; unchanged without a norm."""
    if norm is None:
        return transitions
    names = ("observation", "next_observation")
    return transitions.clone(recurse=False).update({name: norm(transitions[name]) for name in names})
