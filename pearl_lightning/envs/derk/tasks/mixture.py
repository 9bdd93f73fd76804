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
        self.test = tuple(task for family in self.families for task in family.test)

    @property
    def splits(self) -> Mapping[str, range]:
        splits = dict(super().splits)
        for number, family in enumerate(self.families):
            for name, indices in family.splits.items():
                first = self._place(number, indices.start)
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
        for number, family in enumerate(self.families):
            for own in range(len(family)):
                if self._place(number, own) == index:
                    return family, own
        raise IndexError(f"task index must be in [0, {len(self)}), got {index}")

    def _place(self, number: int, own: int) -> int:
        """Index here of a family's own index."""
        family = self.families[number]
        earlier = self.families[:number]
        if own < len(family.train):
            return sum(len(each.train) for each in earlier) + own
        return len(self.train) + sum(len(each.test) for each in earlier) + own - len(family.train)
