"""The game's constants and tables, and the decorator that compiles a rule.

Section numbers in this folder refer to ``docs/environments/derk_rules.md``. Numbers are 32-bit: with a Python float the
compiler would compute in 64 bits, which is slower on a GPU and differs from the game.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.compiler import Compiler

from pearl_lightning.derk.interface import BOUNTY_KEYS, ITEMS


class _ApartCompiler(Compiler):
    """Declares to LLVM that the array arguments of a rule do not overlap; otherwise it does not vectorize loops."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.flags.noalias = True


_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "_nrt": False,  # a rule owns no memory, so it needs no reference counting
    "pipeline_class": _ApartCompiler,
}
rule = numba.njit(**_OPTIONS)
"""Decorator that compiles a scalar function of one arena, for the CPU's loop or a GPU's kernel."""
lane = numba.njit(**_OPTIONS, forceinline=True)
"""Like ``rule``, for a branch-free function that is applied to all members in a loop over ``state.lanes``."""

f32, i32 = np.float32, np.int32


class Settings(NamedTuple):
    """Settings that are the same in all arenas. Only plain numbers, because it is an argument of compiled functions."""

    substeps: int
    episode_ticks: int
    recorded: bool
    """Compute angles like the renderer of the recordings instead of exactly."""
    turbo: bool
    """Shots start from the pose at the start of the step instead of the tick."""
    corrected: bool
    """Reward kills and damage to the unit that causes them, and nothing for hits on the dead."""
    counts_events: bool
    """Count the events of every bounty, rewarded or not."""


MEMBERS = 8
"""Number of members: statue and three Derklings of home, then of away."""
SIDE_MEMBERS = 4

# Time and space (section 1, 2)
TICK = f32(1 / 60)
CENTRE = f32(64)
LOWEST, HIGHEST = f32(44), f32(84)
"""Bounds of a Derkling's x and y."""
TERRITORY_PERIOD = 300

# Units (section 3)
FULL_HP = f32(100)
REGENERATION = f32(0.25 * 100 / 1200)
TOP_SPEED = f32(12)
TOP_TURN = f32(0.15)
FOCUS_RANGE = f32(30)

# Physics (section 8)
GRAVITY = f32(9.82 * 6)
FRICTION = f32(0.9)
DIAMETER = f32(1)
LETHAL_SPEED = f32(-40)
LETHAL_DAMAGE = f32(10000)

# States of a cast (section 6.1)
INACTIVE, CASTING, PERFORMING, WIND_DOWN = 0, 1, 2, 3

# Abilities: 0 is an empty slot; the others have the order of the observation.
(
    TALONS,
    BLOOD_CLAWS,
    CLEAVERS,
    CRIPPLERS,
    HEALING_GLAND,
    VAMPIRE_GLAND,
    FROG_LEGS,
    PISTOL,
    MAGNUM,
    BLASTER,
    PARALYZING_DART,
    IRON_BUBBLEGUM,
    HELIUM_BUBBLEGUM,
    SHELL,
    TROMBONE,
) = range(1, 1 + len(ITEMS))

ANYWHERE, CLOSE, RANGED = 0, 1, 2
"""Classes of range."""
NEAREST = np.array([0, 0, 1.5], dtype=np.float32)
FARTHEST = np.array([0, 2, 15], dtype=np.float32)

_TABLE = {  # item: range, cast, perform, wind down, cooldown in ticks, damage (section 6.2)
    "Talons": (CLOSE, 20, 1, 30, 0, 30.0),
    "BloodClaws": (CLOSE, 20, 1, 30, 0, 20.0),
    "Cleavers": (CLOSE, 40, 1, 60, 0, 60.0),
    "Cripplers": (CLOSE, 20, 1, 30, 0, 20.0),
    "HealingGland": (RANGED, 5, 120, 30, 240, 0.0),
    "VampireGland": (RANGED, 5, 250, 30, 420, 0.4),
    "FrogLegs": (ANYWHERE, 9, 1, 30, 0, 0.0),
    "Pistol": (RANGED, 13, 1, 17, 45, 20.0),
    "Magnum": (RANGED, 13, 1, 17, 80, 15.0),
    "Blaster": (RANGED, 26, 1, 34, 90, 45.0),
    "ParalyzingDart": (RANGED, 10, 1, 30, 420, 0.0),
    "IronBubblegum": (CLOSE, 20, 1, 30, 300, 0.0),
    "HeliumBubblegum": (CLOSE, 20, 1, 30, 300, 0.0),
    "Shell": (ANYWHERE, 5, 20, 5, 0, 0.0),
    "Trombone": (ANYWHERE, 20, 60, 30, 300, 0.0),
}
_ROWS = [(ANYWHERE, 0, 0, 0, 0, 0.0), *(_TABLE[item] for item in ITEMS)]
RANGE_CLASS, CAST_TICKS, PERFORM_TICKS, WIND_DOWN_TICKS, COOLDOWN_TICKS = (
    np.array([row[column] for row in _ROWS], dtype=np.int32) for column in range(5)
)
DAMAGE = np.array([row[5] for row in _ROWS], dtype=np.float32)

HEAL = f32(1)
VAMPIRE_HEAL = f32(0.3)
CRIPPLE_TICKS, BUBBLE_TICKS, DAZE_TICKS = 180, 300, 180
KNOCK_FORCE = f32(2000)
GUN_SPEED, DART_SPEED = f32(0.5), f32(1)
"""Metres per tick."""

# Bounties (section 10)
(
    DAMAGE_ENEMY_UNIT,
    DAMAGE_ENEMY_STATUE,
    FRIENDLY_FIRE,
    KILL_ENEMY_UNIT,
    KILL_ENEMY_STATUE,
    HEAL_FRIENDLY_STATUE,
    HEAL_TEAMMATE_1,
    HEAL_TEAMMATE_2,
    HEAL_ENEMY,
    DAMAGE_TAKEN,
    STATUE_DAMAGE_TAKEN,
    FALL_DAMAGE_TAKEN,
    TIME_HOME_BASE,
    TIME_HOME_TERRITORY,
    TIME_AWAY_TERRITORY,
    TIME_AWAY_BASE,
    VICTORY,
    LOSS,
    TIE,
    TEAM_SPIRIT,
    TIME_SCALING,
    MANUAL_BONUS,
) = range(len(BOUNTY_KEYS))
BOUNTIES = len(BOUNTY_KEYS)
BASE_RADIUS = f32(5)
STATUE_POINTS, UNIT_POINTS = 13, 4
