"""An agent that plays somebody else's games of Derk's Gym, and adapts between them."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.envs.derk.game.wire import Array
from pearl_lightning.envs.derk.view import learner_view
from pearl_lightning.rollout import MetaAgent


class AdaptingPlayer:
    """An agent in one session: a belief per team, from the prior on, which takes in every finished episode.

    Args:
        agent: Plays.
        teams: Number of teams, each of which meets a task of its own.
        masks_items: Do not show the agent who holds what.
        horizon: Steps of an episode, for an agent that is told how much of it is left.
        deterministic: Play the policy's mode rather than a sample.
        generator: Draws z and the policy's samples.
    """

    def __init__(
        self,
        agent: MetaAgent,
        teams: int,
        *,
        masks_items: bool = False,
        horizon: int | None = None,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        self.agent, self.belief = agent, agent.prior(teams)
        self.horizon, self.deterministic, self.generator = horizon, deterministic, generator
        self._flags_seen = torch.zeros(teams, 1, 1) if masks_items else None
        self._z = torch.empty(0)
        self._observations: list[Tensor] = []  # of the running episode, as the agent saw them
        self._actions: list[Tensor] = []
        self._rewards: list[Tensor] = []

    def act(self, observation: Array) -> Array:
        """Actions ``[team, agent, 5]`` for the game's observations ``[team, agent, 64]``."""
        step = len(self._rewards)
        seen = self._seen(observation)
        if step % self.agent.z_steps == 0 if self.agent.z_steps else step == 0:
            self._z = self.belief.sample(self.generator)
        action = self.agent.act(seen, self._z, self.deterministic, self.generator)
        self._observations.append(seen)
        self._actions.append(action)
        return action.numpy()

    def _seen(self, observation: Array) -> Tensor:
        """What the agent is shown ``[team, agent, feature]`` of the game's observations."""
        time_left = (self.horizon - len(self._rewards)) / self.horizon if self.horizon else None
        return learner_view(torch.from_numpy(observation), flags_seen=self._flags_seen, time_left=time_left)

    def pay(self, reward: Array) -> None:
        """What the last action was paid, ``[team, agent]``."""
        self._rewards.append(torch.from_numpy(reward))

    def end(self, observation: Array) -> None:
        """The episode is over, and this the last that was seen ``[team, agent, 64]``: the belief takes it in."""
        self._observations.append(self._seen(observation))
        self._actions.append(torch.zeros_like(self._actions[-1]))
        self._rewards.append(torch.zeros_like(self._rewards[-1]))
        rows = {"observation": self._observations, "action": self._actions, "reward": self._rewards}
        episode = {name: torch.stack(steps, dim=1).unsqueeze(1) for name, steps in rows.items()}
        shape = episode["reward"].shape[:3]  # [team, 1, row]
        self.belief.update(self.agent.context_features(TensorDict(episode, batch_size=shape)))
        for steps in rows.values():
            steps.clear()
