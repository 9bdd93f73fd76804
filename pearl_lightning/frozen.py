"""Trained agents as opponents: ``checkpoint:runs/NAME/checkpoints/last.ckpt`` wherever a task names one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pearl_lightning.agent import load_agent
from pearl_lightning.envs.derk.interface import ACTION_SPACE, OBSERVATION_FEATURES
from pearl_lightning.envs.derk.opponents import Opponent


class CheckpointOpponent(Opponent):
    """An agent as a checkpoint has it, which learns nothing and remembers nothing: its z is the prior's mean, 0.

    It plays samples of its policy, as it did in training.

    Args:
        path: A ``.ckpt`` of ``pearl fit`` on Derk's Gym, trained on the game's own observations.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint, or of an agent of another world.
    """

    def __init__(self, path: str) -> None:
        self.agent = load_agent(Path(path))
        if (self.agent.observation_features, self.agent.action_space) != (OBSERVATION_FEATURES, ACTION_SPACE):
            raise ValueError(
                f"an opponent sees {OBSERVATION_FEATURES} numbers and acts in Derk's Gym, but the agent of {path} sees "
                f"{self.agent.observation_features} and has {self.agent.action_space}"
            )

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.agent.to(observation.device)
        z, _ = self.agent.prior(len(observation)).posterior()
        return self.agent.act(observation, z, generator=generator)
