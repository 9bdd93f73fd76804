"""Data modules: they hold the environment and what was collected in it, and stream what updates learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pytorch_lightning import LightningDataModule, Trainer
from tensordict import TensorDict

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.randomness import make_generator
from pearl_lightning.replay import TaskReplay

Data = TypeVar("Data", bound="WorldDataModule")


class Store(Protocol):
    """What a data module keeps of the collected episodes; a checkpoint saves it."""

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


class UpdateLoader:
    """A sized stream of batches: one epoch is ``updates_per_epoch`` of them.

    Its only state is the store's, which is saved with it; a run resumed in mid-epoch goes on where it was.
    """

    def __init__(self, data: WorldDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.updates_per_epoch

    def __iter__(self) -> Iterator[TensorDict]:
        while True:  # Lightning stops at len(self), counting the batches before a resume
            yield self.data.sample()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


class WorldDataModule(LightningDataModule, ABC):
    """An environment, and batches of what a collector stored of it.

    Args:
        env: The world; its ``tasks`` give the train, validation and test splits.
        updates_per_epoch: Batches in one epoch, at least 1.
    """

    store: Store | None = None
    """Made when training starts, with this process' generator."""

    def __init__(self, env: MetaEnv, updates_per_epoch: int) -> None:
        super().__init__()
        if updates_per_epoch < 1:
            raise ValueError(f"updates_per_epoch must be at least 1, got {updates_per_epoch}")
        self.env, self.updates_per_epoch = env, updates_per_epoch

    @abstractmethod
    def make_store(self, rank: int) -> Store:
        """An empty store for a process."""

    @abstractmethod
    def sample(self) -> TensorDict:
        """What the next update learns from."""

    def setup(self, stage: str) -> None:
        if self.store is not None:
            return
        rank = self.trainer.global_rank if self.trainer is not None else 0
        self.env.set_seed(int(torch.randint(2**31, (), generator=make_generator("environment", rank))))
        self.store = self.make_store(rank)

    def train_dataloader(self) -> UpdateLoader:
        return UpdateLoader(self)

    def val_dataloader(self) -> list[int]:
        return [0]  # one empty step: AdaptationEvaluation plays the validation tasks

    def test_dataloader(self) -> list[int]:
        return [0]

    def teardown(self, stage: str) -> None:
        self.env.close(raise_if_closed=False)


class MetaBatchDataModule(WorldDataModule):
    """Streams meta-batches from a replay that a collector fills from the environment.

    Args:
        env: The world; its ``tasks`` give the train, validation and test splits.
        meta_batch: Tasks per meta-batch.
        transitions: RL transitions per task.
        context_episodes: Smallest and largest number of whole context episodes per task. Drawn anew for each
            meta-batch, log-uniformly: a belief changes most in its first episodes, and long contexts show that
            something can be known at all where one episode seldom finds it.
        updates_per_epoch: Meta-batches in one epoch.
        episodes_per_task: Episodes the replay keeps per task.
        recent_context: How many of a task's last context episodes the encoder may be given.
        relabelled: Share of the tasks in a meta-batch that are given another task's data, paid as their own would be;
            for worlds that write events and families that differ in what these pay (``event_weights``).
        n_steps: Steps whose rewards a transition sums before the critics' estimate takes over (n-step returns). More
            than one bring news of what is paid late to where it was earned sooner, at the price of judging in part by
            the actions of an older policy.
    """

    def __init__(
        self,
        env: MetaEnv,
        meta_batch: int = 16,
        transitions: int = 256,
        context_episodes: Sequence[int] = (1, 2),
        updates_per_epoch: int = 1000,
        episodes_per_task: int = 100,
        recent_context: int = 4,
        relabelled: float = 0.0,
        n_steps: int = 1,
    ) -> None:
        super().__init__(env, updates_per_epoch)
        for name, size in (("meta_batch", meta_batch), ("transitions", transitions), ("n_steps", n_steps)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if len(context_episodes) != 2 or not 1 <= context_episodes[0] <= context_episodes[1] <= recent_context:
            raise ValueError(
                "context_episodes must be [smallest, largest] with 1 <= smallest <= largest <= recent_context "
                f"({recent_context}), got {list(context_episodes)}"
            )
        weights = env.tasks.event_weights() if relabelled else None
        if not 0 <= relabelled <= 1:
            raise ValueError(f"relabelled must be in [0, 1], got {relabelled}")
        if relabelled and env.tells_task:
            raise ValueError(f"relabelled must be 0 for an env that tells the task it was played in, got {relabelled}")
        if relabelled and (weights is None or not env.events):
            raise ValueError(
                f"relabelled must be 0 for an env without events or tasks without event weights, got {relabelled}"
            )
        self.relabelled, self.event_weights, self.n_steps = relabelled, weights, n_steps
        self.meta_batch, self.transitions = meta_batch, transitions
        self.context_episodes = tuple(context_episodes)
        self.episodes_per_task, self.recent_context = episodes_per_task, recent_context
        self.diagnostics: dict[str, torch.Tensor] = {}

    @property
    def replay(self) -> TaskReplay:
        """The store, once training has started."""
        assert isinstance(self.store, TaskReplay), "setup comes first"
        return self.store

    def make_store(self, rank: int) -> TaskReplay:
        return TaskReplay(
            tasks=len(self.env.tasks.train),
            episodes_per_task=self.episodes_per_task,
            horizon=self.env.horizon,
            recent_context=self.recent_context,
            generator=make_generator("replay", rank),
            relabelled=self.relabelled,
            event_weights=self.event_weights,
            n_steps=self.n_steps,
            descriptors=standardized(self.env.tasks.descriptors()),
        )

    def sample(self) -> TensorDict:
        """One meta-batch (see ``TaskReplay.sample``)."""
        smallest, largest = self.context_episodes
        uniform = float(torch.rand((), generator=self.replay.generator))
        episodes = int(smallest * ((largest + 1) / smallest) ** uniform)  # floor of a log-uniform number
        update = self.trainer.global_step if self.trainer is not None else None
        batch, self.diagnostics = self.replay.sample(self.meta_batch, self.transitions, episodes, update)
        return batch


def standardized(descriptors: torch.Tensor | None) -> torch.Tensor | None:
    """What tells the tasks ``[task, number]``, of mean 0 and variance 1 over them, as the prior over z has its numbers.

    A number that is alike for all is 0.

    Raises:
        ValueError: They are not finite, or not of two dimensions.
    """
    if descriptors is None:
        return None
    if descriptors.ndim != 2 or not descriptors.isfinite().all():
        raise ValueError(f"descriptors must be finite numbers [task, number], got shape {tuple(descriptors.shape)}")
    numbers = descriptors.double()
    alike = numbers.amin(dim=0) == numbers.amax(dim=0)
    deviation = numbers - numbers.mean(dim=0)
    scale = deviation.square().mean(dim=0).sqrt()
    return torch.where(alike, 0.0, deviation / torch.where(alike, 1.0, scale)).float()


def data_of(trainer: Trainer, kind: type[Data]) -> Data:
    """The trainer's data module, which must be of a kind.

    Raises:
        TypeError: It is not.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, kind):
        raise TypeError(f"the trainer's data must be a {kind.__name__}, got {type(data).__name__}")
    return data


def world_data(trainer: Trainer) -> WorldDataModule:
    """The trainer's data module, of whatever kind."""
    return data_of(trainer, WorldDataModule)  # type: ignore[type-abstract]


def meta_batches(trainer: Trainer) -> MetaBatchDataModule:
    """The trainer's data module, which must be a ``MetaBatchDataModule``."""
    return data_of(trainer, MetaBatchDataModule)
