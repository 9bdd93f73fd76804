"""MetaEnv: a TorchRL environment with a task per arena."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Composite, Unbounded
from torchrl.envs import EnvBase

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.tasks import TaskDistribution
from pearl_lightning.randomness import restore_generator

_RESULTS = {"observation", "reward", "training_reward", "events", "outcome", "terminated", "truncated"}
"""Keys of the result of ``advance``; others are ignored."""
_KEPT_AFTER_END = ("observation", "outcome", "terminated", "truncated")
"""Parts of the result of an arena's last step that stay while others still play; the rest becomes 0."""


class EpisodeLost(RuntimeError):
    """Raised if the environment breaks during an episode: discard the episode, reset, and play it again."""


class MetaEnv(EnvBase):
    """An environment batched over arenas, each of which hosts one task.

    An episode is over when it has ended in every arena, or at the horizon. An arena that ends before the others waits
    for them: its actions have no effect.

    Keys of every environment:

    * ``("agents", "observation")`` ``[arena, agent, feature]``
    * ``("agents", "action")`` ``[arena, agent, action]``
    * ``("agents", "reward")`` ``[arena, agent, 1]``
    * ``done``, ``terminated`` and ``truncated`` ``[arena, 1]``
    * ``task`` ``[arena]``: int64, index into ``tasks``; the policy must not read it

    Optional keys:

    * ``("agents", "training_reward")``, of the reward's shape: a denser reward for training if the reward is sparse
    * ``("agents", "events")`` ``[arena, agent, event]``: the events of a step that some task rewards
    * ``outcome`` ``[arena, 1]``: 1 won, 0 tied, -1 lost; 0 before the last step

    Args:
        arenas: Number of arenas, at least 1.
        tasks: Task distribution that the arenas draw their tasks from. A subclass that takes ``tasks`` must pass it on
            unchanged, because ``pearl tasks`` reads it from a config without creating the environment.
        action_space: Layout of one agent's action.
        agents: Number of agents per arena.
        features: Number of features in one agent's observation.
        horizon: Largest number of steps in an episode.
        events: Number of event types in ``("agents", "events")``; 0 if the environment does not write this key.
        has_training_reward: Whether the environment writes ``("agents", "training_reward")``.
        has_outcome: Whether the environment writes ``outcome``.
        observes_task: Whether observations contain the task parameters.
        device: Device of the environment's tensors.
    """

    pictures_per_second: float = 20.0
    """Number of steps per second at which pictures are shown."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        # EnvBase.__new__ is a class method; jsonargparse would use its signature instead of that of ``__init__``.
        return super().__new__(cls)

    def __init__(
        self,
        *,
        arenas: int,
        tasks: TaskDistribution[Any],
        action_space: ActionSpace,
        agents: int,
        features: int,
        horizon: int,
        events: int = 0,
        has_training_reward: bool = False,
        has_outcome: bool = False,
        observes_task: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if arenas < 1:
            raise ValueError(f"arenas must be at least 1, got {arenas}")
        super().__init__(device=device, batch_size=[arenas])
        self.arenas, self.agents, self.features, self.horizon = arenas, agents, features, horizon
        self.tasks, self.action_space = tasks, action_space
        self.events, self.has_training_reward, self.has_outcome = events, has_training_reward, has_outcome
        self.observes_task = observes_task
        optional = {"training_reward": has_training_reward, "events": events}
        self._promised = {"observation", "reward", "terminated", "truncated"}  # keys that every step must have
        self._promised |= {name for name, is_written in optional.items() if is_written}
        self._make_specs()
        self.generator = torch.Generator().manual_seed(0)
        self._upcoming = torch.arange(arenas) % len(tasks)  # tasks of the next episode
        self._current = self._upcoming  # tasks of the running episode
        self._steps = 0  # of the running episode
        self._last: dict[str, Tensor] | None = None  # result of the last step, if arenas end one by one
        self.ended = torch.zeros(arenas, dtype=torch.bool)
        """Whether the running episode is over in each arena ``[arena]``."""
        self.is_over = True
        """Whether the episode is over in every arena."""

    def _make_specs(self) -> None:
        """Declare the keys, shapes and bounds of observations, actions, rewards and ends of episodes for TorchRL."""
        arenas, agents = self.arenas, self.agents
        observation = Composite(observation=Unbounded((arenas, agents, self.features)), shape=(arenas, agents))
        extra: dict[str, Any] = {}
        if self.has_training_reward:
            observation["training_reward"] = Unbounded((arenas, agents, 1))
        if self.events:
            observation["events"] = Unbounded((arenas, agents, self.events))
        if self.has_outcome:
            extra["outcome"] = Unbounded((arenas, 1))
        self.observation_spec = Composite(
            agents=observation, task=Unbounded((arenas,), dtype=torch.int64), **extra, shape=(arenas,)
        )
        self.action_spec = Composite(
            agents=Composite(action=self.action_space.spec((arenas, agents)), shape=(arenas, agents)), shape=(arenas,)
        )
        self.reward_spec = Composite(
            agents=Composite(reward=Unbounded((arenas, agents, 1)), shape=(arenas, agents)), shape=(arenas,)
        )
        self.done_spec = Composite(
            {key: Binary(1, (arenas, 1), dtype=torch.bool) for key in ("done", "terminated", "truncated")},
            shape=(arenas,),
        )

    def set_tasks(self, indices: Sequence[int] | Tensor) -> None:
        """Set the task of each arena, effective at the next reset.

        Args:
            indices: One index into ``tasks`` per arena.

        Raises:
            ValueError: The number of indices is wrong, or an index is outside the distribution.
        """
        upcoming = torch.as_tensor(indices, dtype=torch.int64)
        if upcoming.shape != (self.arenas,):
            raise ValueError(
                f"indices must contain one task per arena ({self.arenas}), got shape {tuple(upcoming.shape)}"
            )
        if int(upcoming.min()) < 0 or int(upcoming.max()) >= len(self.tasks):
            raise ValueError(f"task indices must be in [0, {len(self.tasks)}), got {upcoming.tolist()}")
        self._upcoming = upcoming.clone()

    @property
    def next_tasks(self) -> Tensor:
        """Task indices ``[arena]`` that the next reset uses."""
        return self._upcoming.clone()

    @abstractmethod
    def begin(self, tasks: list[Any]) -> Tensor:
        """Start an episode with one task per arena; return observations ``[arena, agent, feature]``."""

    @abstractmethod
    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        """Play one step with actions ``[arena, agent, action]``.

        The actions of an arena that has ended (see ``ended``) have no effect: whatever is returned for it is replaced
        by its last observation and by zeros.

        Returns:
            ``observation`` and ``reward`` ``[arena, agent]``, ``terminated`` and ``truncated`` ``[arena]`` (or one bool
            for all arenas), and ``training_reward`` ``[arena, agent]`` / ``events`` ``[arena, agent, event]`` /
            ``outcome`` ``[arena]`` if the environment has them.
        """

    def picture(self) -> NDArray[np.uint8]:
        """Draw the first arena, as RGB values ``[row, column, 3]``.

        Raises:
            NotImplementedError: The environment draws no pictures.
        """
        raise NotImplementedError(f"{type(self).__name__} draws no pictures")

    def prepare(self) -> float:
        """Do work that would delay the first episode, such as compilation; return the seconds it took.

        A run calls it before its clock and its progress bar start. The default does nothing and returns 0.
        """
        return 0.0

    def episode_statistics(self) -> dict[str, Tensor]:
        """Further statistics of the learner's team in the last episode, ``[arena]`` by name."""
        return {}

    def random_state(self) -> dict[str, Tensor]:
        """Return the states of all generators of the environment, for a checkpoint."""
        return {name: generator.get_state() for name, generator in self.generators().items()}

    def load_random_state(self, state: dict[str, Tensor]) -> None:
        """Restore the states that ``random_state`` returned."""
        for name, generator in self.generators().items():
            restore_generator(generator, state[name], f"the environment's generator {name!r}")

    def generators(self) -> dict[str, torch.Generator]:
        """Return the environment's generators by name; ``set_seed`` seeds all of them."""
        return {"environment": self.generator}

    def report(self) -> dict[str, str | int]:
        """Return facts about the environment for the summary of a run, such as versions and restarts."""
        return {}

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDictBase:
        self._current = self._upcoming.clone()
        self._steps, self._last, self.is_over = 0, None, False
        self.ended = torch.zeros(self.arenas, dtype=torch.bool, device=self.device)
        observation = self.begin([self.tasks[i] for i in self._current.tolist()])
        return self._pack({"observation": observation, "terminated": False, "truncated": False})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = self.play_step(tensordict["agents", "action"])
        stepped = self._pack(result)
        stepped["agents", "reward"] = result["reward"].unsqueeze(-1)  # type: ignore[union-attr]
        return stepped

    def play_step(self, action: Tensor) -> dict[str, Tensor | bool]:
        """Play one step as TorchRL's ``step`` does, without its dictionaries, which cost more than a small environment.

        Args:
            action: Actions ``[arena, agent, action]``.

        Returns:
            The result of ``advance``. In an arena that had ended before, nothing happens: its observation, outcome and
            end are those of its last step, and everything else is 0. At the horizon, ``truncated`` is true where the
            episode has not terminated.
        """
        result = dict(self.advance(action))  # a copy: an environment may keep what it returns
        self._steps += 1
        if missing := self._promised - result.keys():
            raise KeyError(f"{type(self).__name__}.advance must return {', '.join(sorted(missing))}")
        is_last = self._steps == self.horizon
        terminated, truncated = result["terminated"], result["truncated"]
        if self._last is None and not torch.is_tensor(terminated) and not torch.is_tensor(truncated):
            result["truncated"] = bool(truncated or (is_last and not terminated))
            self.is_over = bool(terminated or result["truncated"])
            return result
        return self._end_one_by_one(result, is_last)

    def _end_one_by_one(self, result: dict[str, Any], is_last: bool) -> dict[str, Tensor | bool]:
        """Complete the result of a step after which some arenas may have ended and others not."""
        for name in ("terminated", "truncated"):
            given = torch.as_tensor(result[name], dtype=torch.bool, device=self.device)
            result[name] = given.reshape(-1).expand(self.arenas)
        if self.has_outcome and "outcome" not in result:
            result["outcome"] = torch.zeros(self.arenas, device=self.device)
        if self._last is not None:
            for name in _RESULTS & result.keys():
                value = result[name]
                ended = self.ended.view(-1, *[1] * (value.ndim - 1))
                result[name] = torch.where(ended, self._last.get(name, torch.zeros_like(value)), value)
        done = result["terminated"] | result["truncated"]
        if is_last:
            result["truncated"] = result["truncated"] | ~done
            done = torch.ones_like(done)
        self._last = {name: result[name].clone() for name in _KEPT_AFTER_END if name in result}
        self.ended, self.is_over = done, bool(done.all())
        return result

    def _pack(self, result: dict[str, Any]) -> TensorDict:
        zeros = torch.zeros(self.arenas, self.agents, device=self.device)
        agents = TensorDict({"observation": result["observation"]}, batch_size=[self.arenas, self.agents])
        if self.has_training_reward:
            agents["training_reward"] = result.get("training_reward", zeros).unsqueeze(-1)
        if self.events:
            nothing = torch.zeros(self.arenas, self.agents, self.events, device=self.device)
            agents["events"] = result.get("events", nothing)
        packed = TensorDict(
            {"agents": agents, "task": self._current.to(self.device, copy=True)}, batch_size=[self.arenas]
        )
        if self.has_outcome:
            packed["outcome"] = result.get("outcome", zeros[:, 0]).unsqueeze(-1)
        for key in ("terminated", "truncated"):
            given = torch.as_tensor(result[key], dtype=torch.bool, device=self.device)
            packed[key] = given.reshape(-1, 1).expand(self.arenas, 1).clone()
        packed["done"] = packed["terminated"] | packed["truncated"]
        return packed

    def _set_seed(self, seed: int | None) -> None:
        for offset, generator in enumerate(self.generators().values()):
            generator.manual_seed((seed or 0) + offset)
