"""Play of an agent in remote games of Derk's Gym, where it adapts from episode to episode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pearl_lightning.derk.backends.game.wire import Array
from pearl_lightning.derk.view import learner_view
from pearl_lightning.experience.player import MetaAgent, Player


class RemotePlayer:
    """A ``Player`` in one session of a remote game. It converts the game's arrays to the observations of the agent.

    Args:
        agent: Agent that plays.
        teams: Number of teams; each has its own task.
        masks_items: Whether the item flags of the observation are set to 0.
        horizon: Number of steps in an episode, for an agent that observes the remaining time; None for other agents.
        settings: Further settings of the ``Player``.
    """

    def __init__(
        self,
        agent: MetaAgent,
        teams: int,
        *,
        masks_items: bool = False,
        horizon: int | None = None,
        **settings: Any,
    ) -> None:
        self.player = Player(agent, teams, **settings)
        self.horizon = horizon
        self._flags_seen = torch.zeros(teams, 1, 1) if masks_items else None
        self._step = 0

    def act(self, observation: Array) -> Array:
        """Actions ``[team, agent, 5]`` for the game's observations ``[team, agent, 64]``."""
        return self.player.act(self._seen(observation)).numpy()

    def observe(self, reward: Array, next_observation: Array) -> None:
        """Take in the result of the last action: rewards ``[team, agent]``, observations ``[team, agent, 64]``."""
        self._step += 1
        self.player.observe(torch.from_numpy(reward), self._seen(next_observation))

    def end(self) -> None:
        """Finish the episode."""
        self.player.end()
        self._step = 0

    def _seen(self, observation: Array) -> Tensor:
        """Convert the game's observations to those of the agent ``[team, agent, feature]``."""
        time_left = (self.horizon - self._step) / self.horizon if self.horizon else None
        return learner_view(torch.from_numpy(observation), flags_seen=self._flags_seen, time_left=time_left)
