"""The last episodes, as a stream of minibatches."""

from __future__ import annotations

from pathlib import Path

import torch
from pytorch_lightning import Trainer
from tensordict import TensorDict, TensorDictBase

from pearl_lightning.data import WorldDataModule, data_of
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.randomness import make_generator


class RolloutStore:
    """What one iteration brought, given out in minibatches so many times over, in a new order each time.

    Args:
        minibatches: Parts of an epoch.
        epochs: How often each item is given out.
        generator: Draws the orders.
    """

    def __init__(self, minibatches: int, epochs: int, generator: torch.Generator) -> None:
        self.minibatches, self.epochs, self.generator = minibatches, epochs, generator
        self.items = TensorDict({}, batch_size=[0])
        self.parts: list[torch.Tensor] = []  # items of the minibatches still to be given out

    def put(self, items: TensorDictBase) -> None:
        """Replace what is held by ``items`` ``[item]``.

        Raises:
            ValueError: Fewer items than minibatches.
        """
        if len(items) < self.minibatches:
            raise ValueError(f"minibatches must be at most the {len(items)} items collected, got {self.minibatches}")
        self.items = items.to("cpu")
        orders = [torch.randperm(len(items), generator=self.generator) for _ in range(self.epochs)]
        self.parts = [part for order in orders for part in order.tensor_split(self.minibatches)]

    def is_used_up(self) -> bool:
        """Whether every item was given out as often as it should."""
        return not self.parts

    def take(self) -> TensorDict:
        """The next minibatch.

        Raises:
            RuntimeError: Nothing is left, so nobody collects.
        """
        if not self.parts:
            raise RuntimeError("nothing was collected to learn from: a RolloutCollector must be among the callbacks")
        return self.items[self.parts.pop(0)]

    def save(self, folder: Path) -> None:
        """Write everything into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {"items": self.items.to_dict(), "parts": self.parts, "generator": self.generator.get_state()}
        torch.save(state, folder / "rollout.pt")

    def load(self, folder: Path) -> None:
        """Take up what ``save`` wrote."""
        state = torch.load(folder / "rollout.pt", weights_only=True)
        self.items = TensorDict(state["items"])
        self.items.auto_batch_size_(1)
        self.parts = state["parts"]
        self.generator.set_state(state["generator"])


class RolloutDataModule(WorldDataModule):
    """Streams minibatches of what a ``RolloutCollector`` played last, for on-policy agents.

    Args:
        env: The world; its ``tasks`` give the train, validation and test splits.
        minibatches: Updates in which every item is seen once.
        epochs: How often each is seen before the next episodes are played.
        updates_per_epoch: Updates in one of Lightning's epochs.
    """

    def __init__(self, env: MetaEnv, minibatches: int = 10, epochs: int = 4, updates_per_epoch: int = 1000) -> None:
        super().__init__(env, updates_per_epoch)
        for name, value in (("minibatches", minibatches), ("epochs", epochs)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.minibatches, self.epochs = minibatches, epochs

    @property
    def rollout(self) -> RolloutStore:
        """The store, once training has started."""
        assert isinstance(self.store, RolloutStore), "setup comes first"
        return self.store

    def make_store(self, rank: int) -> RolloutStore:
        return RolloutStore(self.minibatches, self.epochs, make_generator("rollouts", rank))

    def sample(self) -> TensorDict:
        return self.rollout.take()


def rollout_data(trainer: Trainer) -> RolloutDataModule:
    """The trainer's data module, which must be a ``RolloutDataModule``."""
    return data_of(trainer, RolloutDataModule)
