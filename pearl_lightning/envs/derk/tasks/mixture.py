"""Several families as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pearl_lightning.envs.derk.tasks.task import DerkTasks


class MixtureTasks(DerkTasks):
    """Tasks of several families side by side; each has as large a share as it brings tasks.

    The splits are the families' own, joined; ``FAMILY/SPLIT`` names one of a single family, numbered from 0.

    Args:
        families: The families, at least one.

    Raises:
        ValueError: No family.
    """

    def __init__(self, *, families: Sequence[DerkTasks]) -> None:
        if not families:
            raise ValueError("families must hold at least one family, got none")
        self.families = tuple(families)
        self.train = tuple(task for family in self.families for task in family.train)
        self.validation = tuple(task for family in self.families for task in family.validation)
        self.test = tuple(task for family in self.families for task in family.test)
        numbered = list(enumerate(self.families))
        self._own = [  # of each task here: its family's number, and its index there
            *((number, index) for number, family in numbered for index in family.train_indices),
            *((number, index) for number, family in numbered for index in family.validation_indices),
            *((number, index) for number, family in numbered for index in family.test_indices),
        ]

    @property
    def splits(self) -> Mapping[str, range]:
        splits = dict(super().splits)
        for number, family in enumerate(self.families):
            for name, indices in family.splits.items():
                first = self._own.index((number, indices[0])) if indices else 0
                splits[f"{number}/{name}"] = range(first, first + len(indices))
        return splits

    def describe(self, index: int) -> str:
        family, own = self._find(index)
        return f"{type(family).__name__}: {family.describe(own)}"

    def kind(self, index: int) -> str:
        family, own = self._find(index)
        return f"{type(family).__name__} {family.kind(own)}".strip()

    def _find(self, index: int) -> tuple[DerkTasks, int]:
        """The family that a task is of, and its index there."""
        if not 0 <= index < len(self):
            raise IndexError(f"task index must be in [0, {len(self)}), got {index}")
        number, own = self._own[index]
        return self.families[number], own
