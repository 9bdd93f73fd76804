"""Sampling of tasks for the families: loadouts, and splits without repetition."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch

from pearl_lightning.derk.interface import AGENTS, SLOTS
from pearl_lightning.derk.tasks.task import Loadout

Drawn = TypeVar("Drawn", bound=Hashable)

_SPLITS = {0: "validation", 5: "test"}  # hash modulo 10 -> split; all other values are train tasks
_NUMBERED_STREAMS = ("train", "validation", "test", "new_styles", "corners")
"""Streams that are seeded by ``5 * seed + index``. Published results depend on these draws, so this tuple must not
change."""
_MAX_REDRAWS = 10_000  # consecutive rejected draws after which a split counts as exhausted


def check_counts(train_tasks: int, validation_tasks: int, test_tasks: int, seed: int) -> None:
    """Raise a ``ValueError`` if there is no train task, or if another count or the seed is negative."""
    counts = {"train_tasks": train_tasks, "validation_tasks": validation_tasks, "test_tasks": test_tasks, "seed": seed}
    for name, given in counts.items():
        least = 1 if name == "train_tasks" else 0
        if given < least:
            raise ValueError(f"{name} must be at least {least}, got {given}")


def split_of(seed: int, hidden: Hashable) -> str:
    """Split that a task belongs to, by a hash of the seed and of the hidden part of the task."""
    return _SPLITS.get(zlib.crc32(repr((seed, hidden)).encode()) % 10, "train")


def split_generator(seed: int, stream: str) -> torch.Generator:
    """Create a generator for one stream of draws, such as a split. Streams are independent of each other.

    Args:
        seed: Seed of the task family.
        stream: Name of the stream. A name outside ``_NUMBERED_STREAMS`` is seeded by a hash of seed and name.
    """
    if stream in _NUMBERED_STREAMS:
        return torch.Generator().manual_seed(5 * seed + _NUMBERED_STREAMS.index(stream))
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def draw_loadouts(
    generator: torch.Generator, items_by_slot: Mapping[str, tuple[str, ...]], filled_slots: float = 1.0
) -> tuple[Loadout, ...]:
    """Draw the loadouts of a team; every slot is drawn independently.

    Args:
        generator: Source of all random numbers.
        items_by_slot: Items that may be drawn for each slot.
        filled_slots: Probability that a slot holds an item.
    """
    uniform = torch.rand(AGENTS, SLOTS, 2, generator=generator, dtype=torch.float64).tolist()
    return tuple(
        tuple(
            items[int(which * len(items))] if filled < filled_slots else None
            for (filled, which), items in zip(agent, items_by_slot.values(), strict=True)
        )
        for agent in uniform
    )


def draw_new(
    name: str, draw: Callable[[], Drawn], seen: set[Drawn], wanted: Callable[[Drawn], bool] = lambda _: True
) -> Drawn:
    """Draw until the result is wanted and not in ``seen``; add it to ``seen`` and return it.

    Raises:
        ValueError: Too many draws in a row gave nothing new. The message contains ``name``, the name of a setting.
    """
    for _ in range(_MAX_REDRAWS):
        drawn = draw()
        if drawn not in seen and wanted(drawn):
            seen.add(drawn)
            return drawn
    raise ValueError(f"{name} must be at most {len(seen)}, because {_MAX_REDRAWS} draws in a row gave no new task")
