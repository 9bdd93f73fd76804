"""Data modules: they contain the environment and the collected episodes, and stream batches for the updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from tensordict import TensorDict

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.context_lengths import draw_length
from pearl_lightning.experience.progress import Progress
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.randomness import make_generator

Data = TypeVar("Data", bound="EnvDataModule")
ReplayDevice = Literal["cpu", "agent", "auto"]


class Store(Protocol):
    """Storage of a data module for the collected episodes; checkpoints contain it."""

    def __len__(self) -> int:
        """Amount of stored data; 0 if nothing was collected."""
        ...

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


class UpdateLoader:
    """A stream of batches with a length: one epoch has ``updates_per_epoch`` batches.

    The loader's only state is that of the store, which checkpoints contain, so a run can be resumed within an epoch.
    """

    def __init__(self, data: EnvDataModule) -> None:
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


class EnvDataModule(LightningDataModule, ABC):
    """An environment, and batches of the episodes that a collector has played in it.

    Args:
        env: Environment; its ``tasks`` define the train, validation and test splits.
        updates_per_epoch: Number of updates in a Lightning epoch, at least 1.
    """

    store: Store | None = None
    """Storage of the collected episodes; created when training starts, with the generator of this process."""
    preparation_seconds: float = 0.0
    """Seconds that the preparation of the environment took, such as the compilation of the simulator."""
    collector: ClassVar[str | None] = None
    """Name of the callback class that fills the store, for error messages; None if it is unknown."""
    _agent: LightningModule | None = None
    """Agent that was trained on the store."""

    def __init__(self, env: MetaEnv, updates_per_epoch: int) -> None:
        super().__init__()
        if updates_per_epoch < 1:
            raise ValueError(f"updates_per_epoch must be at least 1, got {updates_per_epoch}")
        self.env, self.updates_per_epoch = env, updates_per_epoch
        self.progress = Progress()

    @abstractmethod
    def make_store(self, rank: int) -> Store:
        """Create an empty store for the process ``rank``."""

    @abstractmethod
    def sample(self) -> TensorDict:
        """Return the batch of the next update."""

    def setup(self, stage: str) -> None:
        """Prepare the environment, and create an empty store if there is none.

        An existing store is kept if it was filled by hand or by earlier training of the same agent. For another agent,
        store and progress are replaced by new ones, so that it does not learn from the episodes of the first agent.
        """
        self.preparation_seconds = self.env.prepare()
        agent = self.trainer.lightning_module if self.trainer is not None else None
        is_another = stage == "fit" and self._agent not in (None, agent)
        if stage == "fit":
            self._agent = agent
        if is_another:
            self.progress = Progress()
        elif self.store is not None:
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


class MetaBatchDataModule(EnvDataModule):
    """Streams meta-batches from a replay that a collector fills from the environment.

    Args:
        env: Environment; its ``tasks`` define the train, validation and test splits.
        meta_batch: Number of tasks per meta-batch.
        transitions: Number of RL transitions per task.
        context_episodes: Smallest and largest number of whole context episodes per task. The number is drawn
            log-uniformly for each meta-batch, because the first episodes change a belief most. It is smaller as long as
            any task with episodes has fewer. Long contexts help if a single episode rarely identifies the task. For an
            agent that observes within episodes, half of the meta-batches have the beginning of one more episode.
        updates_per_epoch: Number of meta-batches in a Lightning epoch.
        episodes_per_task: Number of episodes that the replay keeps per task.
        recent_context: Number of a task's last context episodes that the encoder may read.
        relabelled: Share of a meta-batch's tasks that learn from another task's episodes, with the rewards of their own
            task. The environment must count events, and the tasks must define ``event_weights``.
        n_steps: Number of rewards summed before the critics' estimate (n-step returns). A larger number propagates late
            rewards faster, but evaluates actions of an older policy.
        replay_device: Device that stores the episodes and draws the meta-batches: ``cpu``, ``agent`` for the device of
            the agent, or ``auto`` for the device of the agent if a full replay takes at most half of its free memory.
    """

    collector = "EpisodeCollector"

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
        replay_device: ReplayDevice = "auto",
    ) -> None:
        super().__init__(env, updates_per_epoch)
        if replay_device not in get_args(ReplayDevice):
            raise ValueError(f"replay_device must be one of {', '.join(get_args(ReplayDevice))}, got {replay_device}")
        self.replay_device = replay_device
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
        if relabelled and env.observes_task:
            raise ValueError(f"relabelled must be 0 for an env that observes the task, got {relabelled}")
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
        """The store; available once training has started."""
        assert isinstance(self.store, TaskReplay), "setup comes first"
        return self.store

    def make_store(self, rank: int) -> TaskReplay:
        largest = self.context_episodes[1]
        if self._observe_every() is not None and largest >= self.recent_context:
            raise ValueError(
                f"recent_context must be at least {largest + 1} with belief.observe_every, for {largest} whole context "
                f"episodes and the beginning of one, got {self.recent_context}"
            )
        device = self._device_of_replay()
        return TaskReplay(
            tasks=len(self.env.tasks.train),
            episodes_per_task=self.episodes_per_task,
            horizon=self.env.horizon,
            recent_context=self.recent_context,
            generator=make_generator("replay", rank, device),
            shape_generator=make_generator("context lengths", rank),
            relabelled=self.relabelled,
            event_weights=self.event_weights,
            n_steps=self.n_steps,
            descriptors=standardized(self.env.tasks.descriptors()),
            device=device,
            keep_shapes=self._device_of_agent().type != "cpu",
        )

    def _device_of_agent(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def _device_of_replay(self) -> torch.device:
        device = self._device_of_agent()
        if device.type == "cpu" or self.replay_device == "cpu":
            return torch.device("cpu")
        if self.replay_device == "agent":
            return device
        env, rows = self.env, len(self.env.tasks.train) * self.episodes_per_task * (self.env.horizon + 1)
        numbers = env.agents * (env.features + env.action_space.width + 2 + env.events) + 1  # of four bytes, in a row
        fits = device.type == "cuda" and 4 * rows * numbers <= torch.cuda.mem_get_info(device)[0] / 2
        return device if fits else torch.device("cpu")

    def sample(self) -> TensorDict:
        """Draw a meta-batch (see ``TaskReplay.sample``)."""
        smallest, largest = self.context_episodes
        episodes, beginning = draw_length(
            smallest, largest, self.env.horizon, self._observe_every(), self.replay.shape_generator
        )
        update = self.trainer.global_step if self.trainer is not None else None
        batch, self.diagnostics = self.replay.sample(self.meta_batch, self.transitions, episodes, update, beginning)
        return batch

    def _observe_every(self) -> int | None:
        """Steps between updates of the agent's beliefs within an episode; None for an agent that has none."""
        agent = None if self.trainer is None else self.trainer.lightning_module
        every: int | None = getattr(agent, "observe_every", None)
        return every


def standardized(descriptors: torch.Tensor | None) -> torch.Tensor | None:
    """Standardize the descriptors of tasks ``[task, number]`` to mean 0 and variance 1, like z under its prior.

    A number that is equal for all tasks becomes 0.

    Raises:
        ValueError: A number is not finite, or there are not two dimensions.
    """
    if descriptors is None:
        return None
    if descriptors.ndim != 2 or not descriptors.isfinite().all():
        raise ValueError(f"descriptors must be finite numbers [task, number], got shape {tuple(descriptors.shape)}")
    numbers = descriptors.double()
    is_constant = numbers.amin(dim=0) == numbers.amax(dim=0)
    deviation = numbers - numbers.mean(dim=0)
    scale = deviation.square().mean(dim=0).sqrt()
    return torch.where(is_constant, 0.0, deviation / torch.where(is_constant, 1.0, scale)).float()


def data_of(trainer: Trainer, kind: type[Data]) -> Data:
    """Return the trainer's data module, which must be of class ``kind``.

    Raises:
        TypeError: The data module is of another class.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, kind):
        raise TypeError(f"the trainer's data must be a {kind.__name__}, got {type(data).__name__}")
    return data


def env_data(trainer: Trainer) -> EnvDataModule:
    """Return the trainer's data module, which must be an ``EnvDataModule``."""
    return data_of(trainer, EnvDataModule)  # type: ignore[type-abstract]


def meta_batches(trainer: Trainer) -> MetaBatchDataModule:
    """Return the trainer's data module, which must be a ``MetaBatchDataModule``."""
    return data_of(trainer, MetaBatchDataModule)
