"""A scripted style in the learner's place: what somebody who knows the game gets without learning."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.baselines.context_free import ContextFreeAgent
from pearl_lightning.envs.derk.interface import OBSERVATION_FEATURES
from pearl_lightning.envs.derk.opponents import OPPONENTS


class ScriptedAgent(ContextFreeAgent):
    """One of ``OPPONENTS``; ``pearl evaluate sniper`` plays it. It has nothing to learn, and no mode but its samples.

    Args:
        observation_features: Numbers in one agent's observation; what comes after the game's own is ignored.
        action_space: Layout of one agent's action.
        style: Its name.
    """

    def __init__(self, observation_features: int, action_space: ActionSpace, style: str) -> None:
        super().__init__(observation_features, action_space)
        self.style = OPPONENTS[style]()

    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        seen = observation[..., :OBSERVATION_FEATURES]  # a style draws where its generator is
        return self.style(seen if generator is None else seen.to(generator.device), generator).to(observation.device)
