"""What the learner's team is shown of the game."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ITEMS, observation_index

_ITEM_FLAGS = slice(observation_index(f"Has{ITEMS[0]}"), observation_index(f"FocusHas{ITEMS[-1]}") + 1)


def learner_view(
    observation: Tensor,
    *,
    flags_seen: Tensor | None = None,
    time_left: float | None = None,
    told: Tensor | None = None,
) -> Tensor:
    """What the learner's team sees of an observation.

    Args:
        observation: The game's ``[arena, agent, 64]``.
        flags_seen: 0 for arenas whose team does not see who holds what, else 1: ``[arena, 1, 1]``.
        time_left: Share of the episode that is left, for agents that are told it.
        told: What the tasks hide ``[arena, agent, feature]``, for agents that are told it.

    Returns:
        ``[arena, agent, feature]``.
    """
    if flags_seen is not None:
        observation = observation.clone()
        observation[..., _ITEM_FLAGS] *= flags_seen
    features = [observation]
    if time_left is not None:
        features.append(observation.new_full((*observation.shape[:-1], 1), time_left))
    if told is not None:
        features.append(told)
    return torch.cat(features, dim=-1) if len(features) > 1 else observation
