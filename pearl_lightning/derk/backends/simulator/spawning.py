"""The start of a match: seeds, offsets of the spawns, and the task as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.interface import AGENTS, BOUNTY_KEYS, ITEMS, SIDES
from pearl_lightning.derk.tasks import DerkTask

_JITTER = 1.0  # metres
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def arena_seeds(seed: int | Sequence[int], arenas: int) -> np.ndarray:
    """Seeds ``[arena]`` as uint64: those given, or different ones that follow from a single number.

    Raises:
        ValueError: The number of seeds is not the number of arenas.
    """
    if isinstance(seed, (int, np.integer)):
        return _mix(np.uint64(int(seed) % 2**64) + np.arange(arenas, dtype=np.uint64) * _GOLDEN)
    if len(seed) != arenas:
        raise ValueError(f"seed must be one number or one per arena ({arenas}), got {len(seed)}")
    return np.array([int(each) % 2**64 for each in seed], dtype=np.uint64)


def _mix(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele et al. 2014): a bijection of uint64 in which all output bits depend on all input
    bits."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return numbers ^ (numbers >> np.uint64(31))


def spawn_jitter(seeds: np.ndarray) -> np.ndarray:
    """Offsets in metres of the spawns' x and y ``[arena, 6, 2]``, uniform in [-1, 1), for uint64 seeds ``[arena]``."""
    shape = (len(seeds), SIDES * AGENTS, 2)
    with np.errstate(over="ignore"):
        counters = seeds[:, None] + (1 + np.arange(SIDES * AGENTS * 2, dtype=np.uint64)) * _GOLDEN
    uniform = (_mix(counters) >> np.uint64(40)).astype(np.float64) / 2**24
    return (_JITTER * (2 * uniform - 1)).astype(np.float32).reshape(shape)


def encode(tasks: Sequence[DerkTask]) -> tuple[Tensor, Tensor]:
    """Encode the items ``[arena, 6, slot]`` and reward weights ``[arena, 6, bounty]`` of each arena's task."""
    rows: dict[int, int] = {}
    different: list[DerkTask] = []
    for task in tasks:
        if id(task) not in rows:
            rows[id(task)] = len(different)
            different.append(task)
    items = [
        [[0 if item is None else 1 + ITEMS.index(item) for item in loadout] for loadout in (*home, *away)]
        for home, away in ((task.home_loadouts, task.away_loadouts) for task in different)
    ]
    weights = [
        [[bounties.get(key, 0.0) for key in BOUNTY_KEYS] for bounties in (*home, *away)]
        for home, away in ((task.home_bounties, task.away_bounties) for task in different)
    ]
    index = torch.tensor([rows[id(task)] for task in tasks])
    return torch.tensor(items, dtype=torch.int32)[index], torch.tensor(weights)[index]
