"""Minibatches of the latest episodes, for on-policy agents."""

from __future__ import annotations

from pathlib import Path

import torch
from pytorch_lightning import Trainer
from tensordict import TensorDict, TensorDictBase

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.data import EnvDataModule, data_of
from pearl_lightning.experience.replay import nothing_collected
from pearl_lightning.randomness import make_generator, restore_generator


class RolloutStore:
    """Holds the data of one iteration and returns it in minibatches, for several epochs with different orders.

    Args:
        minibatches: Number of minibatches per epoch.
        epochs: Number of epochs, that is, how often each item is used.
        generator: Generator of the orders.
    """

    def __init__(self, minibatches: int, epochs: int, generator: torch.Generator) -> None:
        self.minibatches, self.epochs, self.generator = minibatches, epochs, generator
        self.items = TensorDict({}, batch_size=[0])
        self.parts: list[torch.Tensor] = []  # items of the remaining minibatches

    def put(self, items: TensorDictBase) -> None:
        """Replace the data by ``items`` ``[item]``.

        Raises:
            ValueError: There are fewer items than minibatches.
        """
        if len(items) < self.minibatches:
            raise ValueError(
                f"minibatches must be at most {len(items)}, the number of collected items, got {self.minibatches}"
            )
        self.items = items.to("cpu")
        orders = [torch.randperm(len(items), generator=self.generator) for _ in range(self.epochs)]
        self.parts = [part for order in orders for part in order.tensor_split(self.minibatches)]

    def __len__(self) -> int:
        """Number of remaining minibatches."""
        return len(self.parts)

    def is_used_up(self) -> bool:
        """Whether all minibatches have been used."""
        return not self.parts

    def take(self) -> TensorDict:
        """Return the next minibatch.

        Raises:
            RuntimeError: No minibatch is left, because no callback collects episodes.
        """
        if not self.parts:
            raise RuntimeError(nothing_collected("RolloutCollector"))
        return self.items[self.parts.pop(0)]

    def save(self, folder: Path) -> None:
        """Write the data and the random state to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {"items": self.items.to_dict(), "parts": self.parts, "generator": self.generator.get_state()}
        torch.save(state, folder / "rollout.pt")

    def load(self, folder: Path) -> None:
        """Restore the data and the random state that ``save`` wrote."""
        state = torch.load(folder / "rollout.pt", weights_only=True)
        self.items = TensorDict(state["items"])
        self.items.auto_batch_size_(1)
        self.parts = state["parts"]
        restore_generator(self.generator, state["generator"], "the rollouts")


class RolloutDataModule(EnvDataModule):
    """Streams minibatches of the latest episodes from a ``RolloutCollector``, for on-policy agents.

    Args:
        env: Environment; its ``tasks`` define the train, validation and test splits.
        minibatches: Number of updates that use each item once, at least 1.
        epochs: How often each item is used before new episodes are collected, at least 1.
        updates_per_epoch: Number of updates in a Lightning epoch.
    """

    collector = "RolloutCollector"

    def __init__(self, env: MetaEnv, minibatches: int = 10, epochs: int = 4, updates_per_epoch: int = 1000) -> None:
        super().__init__(env, updates_per_epoch)
        for name, value in (("minibatches", minibatches), ("epochs", epochs)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.minibatches, self.epochs = minibatches, epochs

    @property
    def rollout(self) -> RolloutStore:
        """The store; available once training has started."""
        assert isinstance(self.store, RolloutStore), "setup comes first"
        return self.store

    def make_store(self, rank: int) -> RolloutStore:
        return RolloutStore(self.minibatches, self.epochs, make_generator("rollouts", rank))

    def sample(self) -> TensorDict:
        return self.rollout.take()


def rollout_data(trainer: Trainer) -> RolloutDataModule:
    """Return the trainer's data module, which must be a ``RolloutDataModule``."""
    return data_of(trainer, RolloutDataModule)
