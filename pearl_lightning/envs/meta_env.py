"""MetaEnv: a TorchRL environment whose arenas can be given tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Composite, Unbounded
from torchrl.envs import EnvBase

from pearl_lightning.action_space import ActionSpace

Task = TypeVar("Task")


class EpisodeLost(RuntimeError):
    """The world broke in mid-episode and was restarted: drop the episode, reset, and play it again."""


class Demonstrator(ABC):
    """Who shows a learner how a world may be played, seeing what the learner sees."""

    follows: ClassVar[bool] = False
    """Whether it must be told what every step gave, as some opponents must; such a one cannot demonstrate."""

    @abstractmethod
    def begin(self, arenas: int, generator: torch.Generator) -> None:
        """An episode starts in so many arenas."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Legal actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]``.

        Every random number comes from the generator, which is on the observation's device.
        """


class TaskDistribution(ABC, Generic[Task]):
    """Tasks of one family, fixed by a seed, in three disjoint splits.

    ``train``, ``validation`` and ``test`` are sequences of tasks: those that are learned from, those that are played
    while training, by which settings and checkpoints may be chosen, and those that are played at the end only. A task
    is named by its index, in this order. A family without validation tasks cannot be evaluated while training.
    """

    train: Sequence[Task]
    validation: Sequence[Task] = ()
    test: Sequence[Task]

    def __len__(self) -> int:
        return len(self.train) + len(self.validation) + len(self.test)

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < len(self):
            raise IndexError(f"task index must be in [0, {len(self)}), got {index}")
        for split in (self.train, self.validation):
            if index < len(split):
                return split[index]
            index -= len(split)
        return self.test[index]

    @property
    def train_indices(self) -> range:
        """Indices of the train split."""
        return range(len(self.train))

    @property
    def validation_indices(self) -> range:
        """Indices of the validation split."""
        return range(len(self.train), len(self.train) + len(self.validation))

    @property
    def test_indices(self) -> range:
        """Indices of the test split."""
        return range(len(self) - len(self.test), len(self))

    @property
    def splits(self) -> Mapping[str, range]:
        """Indices by a split's name: the three, and parts of ``test`` where a family tells them apart."""
        return {"train": self.train_indices, "validation": self.validation_indices, "test": self.test_indices}

    def event_weights(self) -> Tensor | None:
        """What each train task pays for an event, ``[task, agent, event]``: with it, what was played in one can be paid
        as in another. None where tasks differ in more than what pays and what is drawn whatever pays.
        """
        return None

    def descriptors(self) -> Tensor | None:
        """The few numbers that decide how a train task is played, ``[task, number]``, which learners may be taught.

        None where the family says nothing.
        """
        return None

    def record(self, index: int) -> Any:
        """All of a task, as JSON has it: a run stores it. The fields of a dataclass, else what ``describe`` tells."""
        task = self[index]
        return asdict(task) if is_dataclass(task) and not isinstance(task, type) else self.describe(index)

    @abstractmethod
    def describe(self, index: int) -> str:
        """One line about a task, for people."""

    def kind(self, index: int) -> str:
        """What kind of task it is, in a word or two, for figures; nothing where the family knows no kinds."""
        return ""


class MetaEnv(EnvBase):
    """An environment batched over arenas, each of which hosts one task; all arenas end together.

    Keys: ``("agents", "observation")`` ``[arena, agent, feature]``, ``("agents", "action")``
    ``[arena, agent, action]``, ``("agents", "reward")`` ``[arena, agent, 1]``, ``done``/``terminated``/``truncated``
    ``[arena, 1]`` and ``task`` ``[arena]`` (int64, index into ``tasks``; not for the policy). Optional, where a world
    has them: ``("agents", "training_reward")`` like the reward, what the learner may train on where the task's own
    reward is too rare; ``("agents", "events")`` ``[arena, agent, event]``, what happened in a step that some task pays
    for; and ``outcome`` ``[arena, 1]`` (1 won, 0 tied, -1 lost; 0 before the last step).

    Args:
        arenas: Number of arenas, at least 1.
        tasks: The task distribution the arenas' tasks come from.
        action_space: Layout of one agent's action.
        agents: Agents per arena.
        features: Numbers in one agent's observation.
        horizon: Steps of an episode.
        events: Kinds of events that the world also writes into ``("agents", "events")``; 0 for none.
        has_training_reward: Whether the world also writes ``("agents", "training_reward")``.
        has_outcome: Whether the world also writes ``outcome``.
        tells_task: Whether observations tell the task.
        device: Where the world's tensors lie.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        # EnvBase's is a class method, which configs would take for the constructor instead of ``__init__``.
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
        tells_task: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if arenas < 1:
            raise ValueError(f"arenas must be at least 1, got {arenas}")
        super().__init__(device=device, batch_size=[arenas])
        self.arenas, self.agents, self.features, self.horizon = arenas, agents, features, horizon
        self.tasks, self.action_space = tasks, action_space
        self.events, self.has_training_reward, self.has_outcome = events, has_training_reward, has_outcome
        self.tells_task = tells_task
        observation = Composite(observation=Unbounded((arenas, agents, features)), shape=(arenas, agents))
        extra: dict[str, Any] = {}
        if has_training_reward:
            observation["training_reward"] = Unbounded((arenas, agents, 1))
        if events:
            observation["events"] = Unbounded((arenas, agents, events))
        if has_outcome:
            extra["outcome"] = Unbounded((arenas, 1))
        self.observation_spec = Composite(
            agents=observation, task=Unbounded((arenas,), dtype=torch.int64), **extra, shape=(arenas,)
        )
        self.action_spec = Composite(
            agents=Composite(action=action_space.spec((arenas, agents)), shape=(arenas, agents)), shape=(arenas,)
        )
        self.reward_spec = Composite(
            agents=Composite(reward=Unbounded((arenas, agents, 1)), shape=(arenas, agents)), shape=(arenas,)
        )
        self.done_spec = Composite(
            {key: Binary(1, (arenas, 1), dtype=torch.bool) for key in ("done", "terminated", "truncated")},
            shape=(arenas,),
        )
        self.generator = torch.Generator().manual_seed(0)
        self._upcoming = torch.arange(arenas) % len(tasks)  # tasks of the next episode
        self._current = self._upcoming  # tasks of the running one

    def set_tasks(self, indices: Sequence[int] | Tensor) -> None:
        """Give each arena a task, from the next reset on.

        Args:
            indices: One index into ``tasks`` per arena.

        Raises:
            ValueError: Wrong number of indices, or an index outside the distribution.
        """
        upcoming = torch.as_tensor(indices, dtype=torch.int64)
        if upcoming.shape != (self.arenas,):
            raise ValueError(f"indices must hold one task per arena ({self.arenas}), got shape {tuple(upcoming.shape)}")
        if int(upcoming.min()) < 0 or int(upcoming.max()) >= len(self.tasks):
            raise ValueError(f"task indices must be in [0, {len(self.tasks)}), got {upcoming.tolist()}")
        self._upcoming = upcoming.clone()

    @property
    def next_tasks(self) -> Tensor:
        """Task indices ``[arena]`` that the next reset takes up."""
        return self._upcoming.clone()

    @abstractmethod
    def begin(self, tasks: list[Any]) -> Tensor:
        """Start an episode with one task per arena; returns observations ``[arena, agent, feature]``."""

    @abstractmethod
    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        """Play one step of actions ``[arena, agent, action]``.

        Returns:
            ``observation`` and ``reward`` ``[arena, agent]``, ``terminated`` and ``truncated`` (one bool for all
            arenas), and ``training_reward`` ``[arena, agent]`` / ``events`` ``[arena, agent, event]`` / ``outcome``
            ``[arena]`` where the world has them.
        """

    def episode_statistics(self) -> dict[str, Tensor]:
        """What else happened to the learner's team in the episode just played, ``[arena]`` by name."""
        return {}

    def random_state(self) -> dict[str, Tensor]:
        """State of every generator of the world, as a checkpoint stores it."""
        return {name: generator.get_state() for name, generator in self.generators().items()}

    def load_random_state(self, state: dict[str, Tensor]) -> None:
        """Take up what ``random_state`` gave."""
        for name, generator in self.generators().items():
            generator.set_state(state[name])

    def generators(self) -> dict[str, torch.Generator]:
        """The world's generators by name; ``set_seed`` seeds them all."""
        return {"world": self.generator}

    def report(self) -> dict[str, str | int]:
        """Facts about the world for a run's summary, such as versions and restarts."""
        return {}

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDictBase:
        self._current = self._upcoming.clone()
        observation = self.begin([self.tasks[i] for i in self._current.tolist()])
        return self._pack({"observation": observation, "terminated": False, "truncated": False})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = self.advance(tensordict["agents", "action"])
        stepped = self._pack(result)
        stepped["agents", "reward"] = result["reward"].unsqueeze(-1)  # type: ignore[union-attr]
        return stepped

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
            packed[key] = torch.full((self.arenas, 1), bool(result[key]), device=self.device)
        packed["done"] = packed["terminated"] | packed["truncated"]
        return packed

    def _set_seed(self, seed: int | None) -> None:
        for offset, generator in enumerate(self.generators().values()):
            generator.manual_seed((seed or 0) + offset)
