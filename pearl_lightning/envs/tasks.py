"""TaskDistribution: the tasks of one family. This module does not import TorchRL, so that listing tasks is fast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

Task = TypeVar("Task")


class TaskDistribution(ABC, Generic[Task]):
    """Tasks of one family, fixed by a seed, in three disjoint splits.

    ``train``, ``validation`` and ``test`` are sequences of tasks: for training, for evaluation during training and the
    choice of settings and checkpoints, and for the final evaluation. A task is identified by its index in the
    concatenation of the three. A family without validation tasks cannot be evaluated during training.
    """

    hidden: ClassVar[str] = ""
    """The unobserved difference between tasks, as a phrase such as "where the goal is"; empty if unknown."""
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
        """Indices of each split by name: the three splits, and parts of ``test`` if a family defines such parts."""
        return {"train": self.train_indices, "validation": self.validation_indices, "test": self.test_indices}

    def event_weights(self) -> Tensor | None:
        """Reward of each event in each train task ``[task, agent, event]``.

        Lets one task's episodes be relabelled with another task's rewards. None if the tasks differ in anything else.
        """
        return None

    def descriptors(self) -> Tensor | None:
        """Low-dimensional parameters of the train tasks ``[task, number]``, as privileged information for training.

        None if the family defines no descriptors.
        """
        return None

    def record(self, index: int) -> Any:
        """Return a task as JSON data for the run's folder: the fields of a dataclass, else the text of ``describe``."""
        task = self[index]
        return asdict(task) if is_dataclass(task) and not isinstance(task, type) else self.describe(index)

    @abstractmethod
    def describe(self, index: int) -> str:
        """Describe a task in one line of text."""

    def kind(self, index: int) -> str:
        """Return the kind of a task in one or two words, for figures; empty if the family has no kinds."""
        return ""
