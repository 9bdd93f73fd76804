"""Conversion of game observations to the observations of the learner's team."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ITEMS, observation_index

_ITEM_FLAGS = slice(observation_index(f"Has{ITEMS[0]}"), observation_index(f"FocusHas{ITEMS[-1]}") + 1)


def learner_view(
    observation: Tensor,
    *,
    flags_seen: Tensor | None = None,
    time_left: float | None = None,
    privileged: Tensor | None = None,
) -> Tensor:
    """Mask the item flags and append the observed time and task parameters.

    Args:
        observation: Game observation ``[arena, agent, 64]``.
        flags_seen: Factor on the item flags ``[arena, 1, 1]``: 0 masks them in that arena, 1 keeps them.
        time_left: Remaining share of the episode; appended if given.
        privileged: Task parameters ``[arena, agent, feature]``; appended if given.

    Returns:
        ``[arena, agent, feature]``.
    """
    if flags_seen is not None:
        observation = observation.clone()
        observation[..., _ITEM_FLAGS] *= flags_seen
    features = [observation]
    if time_left is not None:
        features.append(observation.new_full((*observation.shape[:-1], 1), time_left))
    if privileged is not None:
        features.append(privileged)
    return torch.cat(features, dim=-1) if len(features) > 1 else observation
