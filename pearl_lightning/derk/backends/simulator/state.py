"""Memory layout of a match: rows of four tensors, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pearl_lightning.derk.backends.simulator.rules import BOUNTIES, MEMBERS, rule
from pearl_lightning.derk.interface import AGENTS, ITEMS, SIDES, SLOTS

# First column of each row of ``numbers`` [arena, row * 8 + member], float32. A row fills a vector register.
# The last rows, here and in ``counts``, are scratch memory of a single stage.
(
    X, Y, Z, VX, VY, VZ, FX, FY, FZ,
    HEADING, COS, SIN,
    WALK, HP, HP_BEFORE, CUMULATIVE_HP,
    GOLD, GAIN,
    RENDER_X, RENDER_Y, RENDER_Z, RENDER_COS, RENDER_SIN,
    MOVE, ROTATE, CHASE,
    OLD_X, OLD_Y, OLD_Z, HURT,
    HEIGHT, TO_X, TO_Y, DISTANCE, ANGLE,
) = range(0, 35 * MEMBERS, MEMBERS)  # fmt: skip
NUMBERS = 35 * MEMBERS

# First column of each row of ``counts`` [arena, row * 8 + member], int32.
(
    GROUND, STUCK, FOCUS,
    CAST_STATE, ABILITY, TARGET, START,
    COOLDOWN, _COOLDOWN_1, _COOLDOWN_2,
    DAZE, IRON, HELIUM, CRIPPLE,
    PUSHED_BY, FELL, LIVES, ALIVE_TICKS,
    ITEM, _ITEM_1, _ITEM_2,
    CASTING_SLOT, CHANGE_FOCUS,
    STEEP, OBSTACLE, TOUCHES,
) = range(0, 26 * MEMBERS, MEMBERS)  # fmt: skip
COUNTS = 26 * MEMBERS

# First column of each row of ``shots`` [arena, row * 18 + agent of both sides * 3 + slot], float32. ``shot_targets``
# has a member, or -1, for each shot.
SHOTS = SIDES * AGENTS * SLOTS
QX, QY, QZ, OLD_QX, OLD_QY, OLD_QZ = range(0, 6 * SHOTS, SHOTS)


@rule
def lanes(u):
    """Number of members, as an expression that the compiler cannot evaluate.

    The compiler would unroll a loop of eight iterations; it vectorizes a loop of unknown length.
    """
    return len(u) // (NUMBERS // MEMBERS)


HOME_SPAWNS = np.array([(52.7, 58.4), (58.2, 58.2), (60.4, 54.8)])
"""x and y of home's Derklings before the jitter (section 1.4); away's are rotated by 180 degrees about (64, 64)."""
SPAWN_Z, STATUE_Z = 2.23807, 3.31552
STATUES = ((51.0, 51.0), (77.0, 77.0))
HEADINGS = (np.pi / 4, 5 * np.pi / 4)


@dataclass(frozen=True)
class Field:
    """Location of a named field.

    Args:
        tensor: Attribute of ``MatchState`` that contains the rows.
        first: First column of the first row.
        width: Number of rows, which become the last axis; None for a single row without such an axis.
    """

    tensor: str
    first: int
    width: int | None = None


FIELDS: dict[str, Field] = {
    "position": Field("numbers", X, 3),  # metres
    "velocity": Field("numbers", VX, 3),  # metres per second
    "force": Field("numbers", FX, 3),
    "heading": Field("numbers", HEADING),  # radians, counter-clockwise from east
    "direction": Field("numbers", COS, 2),  # cosine and sine of the heading
    "walk_speed": Field("numbers", WALK),
    "hitpoints": Field("numbers", HP),
    "hitpoints_before": Field("numbers", HP_BEFORE),  # at the end of the last tick, before its regeneration
    "cumulative_hitpoints": Field("numbers", CUMULATIVE_HP),
    "gold": Field("numbers", GOLD),  # reward so far
    "rendered_position": Field("numbers", RENDER_X, 3),  # the shots of this step start from here
    "rendered_direction": Field("numbers", RENDER_COS, 2),
    "on_ground": Field("counts", GROUND),
    "stuck": Field("counts", STUCK),
    "focus": Field("counts", FOCUS),  # a member, or -1
    "cast_state": Field("counts", CAST_STATE),
    "cast_ability": Field("counts", ABILITY),  # 0, or 1 + the index in ITEMS
    "cast_target": Field("counts", TARGET),
    "cast_start": Field("counts", START),
    "cooldown": Field("counts", COOLDOWN, SLOTS),  # ticks
    "dazed": Field("counts", DAZE),  # remaining ticks, like the next three
    "iron": Field("counts", IRON),
    "helium": Field("counts", HELIUM),
    "crippled": Field("counts", CRIPPLE),
    "last_pushed_by": Field("counts", PUSHED_BY),
    "alive_ticks": Field("counts", ALIVE_TICKS),
    "items": Field("counts", ITEM, SLOTS),  # 0, or 1 + the index in ITEMS
    "shot_position": Field("shots", QX, 3),
    "shot_previous_position": Field("shots", OLD_QX, 3),
}
"""Fields of a match that can be read and written by name: ``[arena, member, ...]``; for shots ``[arena, shot, 3]``."""

BOUNDS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("focus", "cast_target", "last_pushed_by", "shot_targets"), (-1, MEMBERS - 1)),
    **dict.fromkeys(("cast_ability", "items"), (0, len(ITEMS))),
    "cast_state": (0, 3),
}
"""Smallest and largest value of the fields that the rules use as an index."""

WHOLE = ("shot_targets", "weights", "events")
"""Further names, which refer to whole tensors."""


class MatchState:
    """The tensors of ``arenas`` matches.

    Args:
        arenas: Number of matches.
        device: Device of the tensors.
        counts_events: Whether to count the events of every bounty.
    """

    def __init__(self, arenas: int, device: torch.device, counts_events: bool) -> None:
        def table(columns: int, dtype: torch.dtype = torch.float32, rows: int = arenas) -> Tensor:
            """Zeros ``[rows, columns]``. A match is contiguous in memory on the CPU. On a GPU a column is contiguous,
            because neighbouring threads play neighbouring matches and read the same column at the same time."""
            if device.type == "cuda":
                return torch.zeros(columns, rows, dtype=dtype, device=device).T
            return torch.zeros(rows, columns, dtype=dtype, device=device)

        bounties = SIDES * AGENTS * BOUNTIES
        self.numbers = table(NUMBERS)
        self.counts = table(COUNTS, torch.int32)
        self.shots = table(6 * SHOTS)
        self.shot_targets = table(SHOTS, torch.int32).fill_(-1)
        self.weights = table(bounties)
        self.events = table(bounties, rows=arenas if counts_events else 1)
        self.tensors = (self.numbers, self.counts, self.shots, self.shot_targets, self.weights, self.events)
        """All tensors, in the order in which the loops over arenas take them."""

    @cached_property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The same memory as NumPy arrays, if it is on the CPU."""
        return tuple(tensor.numpy() for tensor in self.tensors)

    def view(self, name: str) -> Tensor:
        """Return the field called ``name``, ``[arena, member, ...]``, as a view.

        Raises:
            ValueError: No field has that name.
        """
        if name in WHOLE:
            whole: Tensor = getattr(self, name)
            return whole if name == "shot_targets" else whole.unflatten(1, (-1, BOUNTIES))
        if name not in FIELDS:
            raise ValueError(f"unknown state {name!r}; known ones: tick, {', '.join([*FIELDS, *WHOLE])}")
        field = FIELDS[name]
        columns = SHOTS if field.tensor == "shots" else MEMBERS
        rows: Tensor = getattr(self, field.tensor).unflatten(1, (-1, columns))
        first = field.first // columns
        if field.width is None:
            return rows[:, first]
        return rows[:, first : first + field.width].transpose(1, 2)

    def spawn(self, items: Tensor, weights: Tensor, jitter: Tensor) -> None:
        """Reset all matches and place every member at its spawn.

        Args:
            items: Items ``[arena, 6, slot]``.
            weights: Reward weights ``[arena, 6, bounty]``.
            jitter: Offsets of x and y in metres ``[arena, 6, 2]``.
        """
        self.numbers.zero_()
        self.counts.zero_()
        self.shots.zero_()
        self.shot_targets.fill_(-1)
        self.events.zero_()
        self.view("weights").copy_(weights)
        statue = torch.zeros(MEMBERS, dtype=torch.bool)
        statue[[0, 4]] = True
        place = torch.empty(MEMBERS, 3, dtype=torch.float64)
        place[statue] = torch.tensor([[*xy, STATUE_Z] for xy in STATUES], dtype=torch.float64)
        home = torch.from_numpy(HOME_SPAWNS)
        place[~statue] = torch.cat([torch.cat([home, 128 - home]), torch.full((6, 1), SPAWN_Z)], dim=1)
        self.view("position").copy_(place.float())
        derklings = [member for member in range(MEMBERS) if not statue[member]]
        self.view("position")[:, derklings, :2] += jitter
        heading = torch.tensor(HEADINGS).repeat_interleave(MEMBERS // 2).float()
        self.view("heading").copy_(heading)
        self.view("hitpoints").fill_(100.0)
        self.view("hitpoints_before").fill_(100.0)
        self.view("on_ground").fill_(1)
        for name in ("focus", "cast_target", "last_pushed_by"):
            self.view(name).fill_(-1)
        self.view("items")[:, derklings] = items
