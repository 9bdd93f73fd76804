"""A scripted opponent in the place of the learner, as a baseline without learning."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.context_free import ContextFreeAgent
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import OBSERVATION_FEATURES
from pearl_lightning.derk.opponents import OPPONENTS
from pearl_lightning.envs.meta_env import MetaEnv

NAMES = frozenset(OPPONENTS)
"""Names of the scripted players."""


class ScriptedAgent(ContextFreeAgent):
    """An agent that plays one of ``OPPONENTS``, for example with ``pearl evaluate sniper``. It does not learn.

    It has no mode, so deterministic actions are samples too.

    Args:
        observation_features: Number of features in one agent's observation; features after the game's are ignored.
        action_space: Layout of one agent's action.
        style: Name of the opponent.
    """

    def __init__(self, observation_features: int, action_space: ActionSpace, style: str) -> None:
        super().__init__(observation_features, action_space)
        self.style = OPPONENTS[style]()

    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        seen = observation[..., :OBSERVATION_FEATURES]  # an opponent samples on the device of its generator
        return self.style(seen if generator is None else seen.to(generator.device), generator).to(observation.device)


def make_agent(name: str, env: MetaEnv) -> ScriptedAgent:
    """The scripted player of this name for an environment.

    Raises:
        ValueError: The environment is not Derk's Gym.
    """
    if not isinstance(env, DerkEnv):
        raise ValueError(f"{name} only plays Derk's Gym, got a config of {type(env).__name__}")
    return ScriptedAgent(env.features, env.action_space, name)
