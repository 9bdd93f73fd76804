"""Players: the only acting loop, in which an agent plays one episode after another and adapts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.inference.belief import Belief
from pearl_lightning.inference.steps import steps_of


class MetaAgent(Protocol):
    """The part of ``Agent`` that a ``Player`` uses."""

    observe_every: int | None
    resample_every: int | None

    def prior(self, arenas: int) -> Belief: ...

    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor: ...


class EpisodePlayer(ABC):
    """Plays whole episodes in all arenas.

    Each step is a call of ``act`` and then of ``observe``; ``end`` or ``drop`` is called after the last step.
    """

    def begin(self, observation: Tensor) -> None:  # noqa: B027
        """Called before the first step by a caller that records the episode, as ``play_episode`` does.

        This tensor and those that ``observe`` then receives keep their numbers until the episode ends, so the player
        can keep them without a copy.

        Args:
            observation: First observations ``[arena, agent, feature]``.
        """

    @abstractmethod
    def act(self, observation: Tensor) -> Tensor:
        """Return actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]``."""

    def observe(  # noqa: B027
        self, reward: Tensor, next_observation: Tensor, is_running: Tensor | None = None
    ) -> None:
        """Receive the result of the last action.

        Args:
            reward: Rewards ``[arena, agent]``.
            next_observation: Observations after the action ``[arena, agent, feature]``.
            is_running: Whether the episode has not ended yet in each arena ``[arena]``; true for all by default.
        """

    def end(self, episode: TensorDictBase | None = None) -> None:  # noqa: B027
        """Finish the episode.

        Args:
            episode: Rows of the episode (see ``play_episode``), if the caller has them. A player that learns from the
                whole episode then need not put it together again.
        """

    def drop(self) -> None:
        """Discard the steps of an episode that was lost. The episode is played again from the start."""
        self.end()


class Player(EpisodePlayer):
    """Plays with an agent and updates its beliefs.

    A belief is updated every ``agent.observe_every`` steps and at the end of the episode. A new condition is drawn
    after each update, after each ``agent.resample_every`` steps, and for each episode.

    Args:
        agent: Agent that plays in all arenas.
        arenas: Number of arenas.
        belief: Beliefs at the start; the prior by default.
        deterministic: Whether to play the policy's mode instead of a sample.
        generator: Generator of the conditions and of the policy's samples.
        remembers: Whether the belief keeps what it has inferred when an episode ends. If not, every episode starts from
            the same belief.
        explores: Whether the agent acts on the conditions on which it learns, to collect (see ``MeanCondition``).
    """

    def __init__(
        self,
        agent: MetaAgent,
        arenas: int,
        *,
        belief: Belief | None = None,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
        remembers: bool = True,
        explores: bool = False,
    ) -> None:
        self.agent, self.belief = agent, agent.prior(arenas) if belief is None else belief
        self.deterministic, self.generator = deterministic, generator
        self.remembers, self.explores = remembers, explores
        self._is_recording = remembers or agent.observe_every is not None
        self._start()

    def _start(self) -> None:
        self._first_belief = self.belief.copy()
        self._steps, self._copies = 0, True
        self._condition: Tensor | None = None
        # steps that are not in the belief yet; there is one more observation than actions and rewards
        self._observations: list[Tensor] = []
        self._actions: list[Tensor] = []
        self._rewards: list[Tensor] = []
        self._is_running: list[Tensor | None] = [None]  # before each step; None: in all arenas

    def begin(self, observation: Tensor) -> None:
        self._copies = False
        if self._is_recording:
            self._observations = [observation]

    def act(self, observation: Tensor) -> Tensor:
        if self._is_due(self.agent.observe_every):
            self._update_belief(self._recorded(done=False))
        if self._condition is None or self._is_due(self.agent.resample_every):
            draw = self.belief.exploring_condition if self.explores else self.belief.condition
            self._condition = draw(self.generator)
        action = self.agent.act(observation, self._condition, self.deterministic, self.generator)
        if self._is_recording:
            self._observations = self._observations or [observation.clone()]
            self._actions.append(action)
        return action

    def observe(self, reward: Tensor, next_observation: Tensor, is_running: Tensor | None = None) -> None:
        self._steps += 1
        if self._is_recording:
            if self._copies:  # an environment may use the memory again
                reward, next_observation = reward.clone(), next_observation.clone()
            self._rewards.append(reward)
            self._observations.append(next_observation)
            self._is_running.append(is_running)

    def end(self, episode: TensorDictBase | None = None) -> None:
        if self.remembers and self._rewards:
            steps = None if episode is None else steps_of(episode)[:, self._steps - len(self._rewards) : self._steps]
            self._update_belief(self._recorded(done=True) if steps is None else steps)
        elif not self.remembers:
            self.belief = self._first_belief
        self._start()

    def drop(self) -> None:
        self.belief = self._first_belief
        self._start()

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self._steps > 0 and self._steps % every == 0

    def _recorded(self, done: bool) -> TensorDict:
        """Steps ``[arena, step]`` that are not in the belief yet; with ``done``, the episode is over after them."""
        observations = torch.stack(self._observations, dim=1)
        named = {"action": self._actions, "reward": self._rewards}
        parts = {name: torch.stack(values, dim=1) for name, values in named.items()}
        parts |= {"observation": observations[:, :-1], "next_observation": observations[:, 1:]}
        everywhere = torch.ones(len(observations), dtype=torch.bool, device=observations.device)
        running = torch.stack([everywhere if each is None else each for each in self._is_running], dim=1)
        parts |= {"played": running[:, :-1], "done": ~running[:, 1:]}
        parts["done"][:, -1] |= done
        return TensorDict(parts, batch_size=parts["done"].shape)

    def _update_belief(self, steps: TensorDict) -> None:
        self.belief.observe(steps)
        self._observations, self._actions, self._rewards = self._observations[-1:], [], []
        self._is_running = self._is_running[-1:]
        self._condition = None


class FunctionPlayer(EpisodePlayer):
    """Plays the actions that a function returns.

    Args:
        function: Function that maps observations ``[arena, agent, feature]`` and the number of the step to actions
            ``[arena, agent, width]``.
    """

    def __init__(self, function: Callable[[Tensor, int], Tensor]) -> None:
        self.function = function
        self._step = 0

    def act(self, observation: Tensor) -> Tensor:
        action = self.function(observation, self._step)
        self._step += 1
        return action

    def end(self, episode: TensorDictBase | None = None) -> None:
        self._step = 0


class UniformPlayer(FunctionPlayer):
    """Plays uniform legal actions.

    Args:
        action_space: Layout of one agent's action.
        hold: Number of steps for which each action is repeated, at least 1.
        generator: Generator of the actions.
    """

    def __init__(self, action_space: ActionSpace, hold: int, generator: torch.Generator | None = None) -> None:
        super().__init__(self._held)
        self.action_space, self.hold, self.generator = action_space, hold, generator
        self._action = torch.empty(0)

    def _held(self, observation: Tensor, step: int) -> Tensor:
        if step % self.hold == 0:
            action = self.action_space.sample(observation.shape[:-1], self.generator)
            self._action = action.to(observation.device)
        return self._action


class DemonstratorPlayer(FunctionPlayer):
    """Plays the actions of a demonstrator.

    Args:
        demonstrator: Demonstrator that plays in all arenas.
        generator: Generator of the seeds for the demonstrator.
    """

    def __init__(self, demonstrator: Demonstrator, generator: torch.Generator) -> None:
        super().__init__(self._shown)
        self.demonstrator, self.generator = demonstrator, generator
        self._own_generator = torch.Generator()

    def _shown(self, observation: Tensor, step: int) -> Tensor:
        if step == 0:
            self._own_generator = torch.Generator(observation.device)
            self._own_generator.manual_seed(int(torch.randint(2**31 - 1, (), generator=self.generator)))
            self.demonstrator.begin(len(observation), self._own_generator)
        return self.demonstrator(observation, self._own_generator)
