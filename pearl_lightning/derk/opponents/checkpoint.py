"""Trained agents as opponents: ``checkpoint:runs/NAME/checkpoints/last.ckpt`` or ``checkpoint:hf://OWNER/NAME``."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.agents.agent import load_agent
from pearl_lightning.derk.interface import ACTION_SPACE, OBSERVATION_FEATURES
from pearl_lightning.derk.opponents import Opponent
from pearl_lightning.experience.player import Player
from pearl_lightning.inference.belief import FixedBelief


class CheckpointOpponent(Opponent):
    """The agent of a checkpoint. It does not adapt: in every match, it acts on the mean of its prior.

    It plays samples of its policy, as in training.

    Args:
        path: A ``.ckpt`` of ``pearl fit`` on Derk's Gym, or ``hf://OWNER/NAME[@REVISION]``, trained on the game's
            observations without additions.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a checkpoint, or its agent was made for another environment.
    """

    def __init__(self, path: str) -> None:
        self.agent = load_agent(path)
        if (self.agent.observation_features, self.agent.action_space) != (OBSERVATION_FEATURES, ACTION_SPACE):
            raise ValueError(
                f"an opponent sees {OBSERVATION_FEATURES} numbers and acts in Derk's Gym, but the agent of {path} sees "
                f"{self.agent.observation_features} and has {self.agent.action_space}"
            )

        self._player: Player | None = None

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self.agent.to(generator.device)
        belief = FixedBelief(self.agent.prior(arenas).expected_condition())
        self._player = Player(self.agent, arenas, belief=belief, generator=generator, remembers=False)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if self._player is None:
            raise RuntimeError("begin must come before the first action")
        return self._player.act(observation)
