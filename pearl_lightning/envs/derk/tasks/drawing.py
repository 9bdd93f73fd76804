"""What the families draw their tasks with: loadouts, and splits without repetition."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch

from pearl_lightning.envs.derk.interface import AGENTS, SLOTS
from pearl_lightning.envs.derk.tasks.task import Loadout

Drawn = TypeVar("Drawn", bound=Hashable)

_SPLITS = {0: "validation", 5: "test"}  # of ten things that a family can draw; the others are trained on
_STREAMS = ("train", "validation", "test", "new_styles", "corners")  # in this order: another would draw other tasks
_MAX_REDRAWS = 10_000  # rejected draws in a row before a split counts as exhausted


def check_counts(train_tasks: int, validation_tasks: int, test_tasks: int, seed: int) -> None:
    """Refuse less than one train task, and less than none of what may be left out."""
    counts = {"train_tasks": train_tasks, "validation_tasks": validation_tasks, "test_tasks": test_tasks, "seed": seed}
    for name, given in counts.items():
        least = 1 if name == "train_tasks" else 0
        if given < least:
            raise ValueError(f"{name} must be at least {least}, got {given}")


def split_of(seed: int, hidden: Hashable) -> str:
    """The split that what a task hides belongs to: a hash decides, whatever else is drawn."""
    return _SPLITS.get(zlib.crc32(repr((seed, hidden)).encode()) % 10, "train")


def split_generator(seed: int, stream: str) -> torch.Generator:
    """Each split's own source of draws, so that one can grow without changing another."""
    return torch.Generator().manual_seed(len(_STREAMS) * seed + _STREAMS.index(stream))


def draw_loadouts(
    generator: torch.Generator, items_by_slot: Mapping[str, tuple[str, ...]], filled_slots: float = 1.0
) -> tuple[Loadout, ...]:
    """A team's loadouts, each slot on its own.

    Args:
        generator: Source of every draw.
        items_by_slot: What may be drawn for each slot.
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
    """Something wanted that was not drawn before; it is added to ``seen``.

    Raises:
        ValueError: There is nothing new; ``name`` says for which setting.
    """
    for _ in range(_MAX_REDRAWS):
        drawn = draw()
        if drawn not in seen and wanted(drawn):
            seen.add(drawn)
            return drawn
    raise ValueError(f"{name} must be at most {len(seen)} here: {_MAX_REDRAWS} draws in a row gave nothing new")
