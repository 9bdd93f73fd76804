"""Stage 4 of a tick: starting, aborting and ending casts, and cooldowns (section 6.1)."""

from __future__ import annotations

import math

from pearl_lightning.envs.derk.interface import SLOTS
from pearl_lightning.envs.derk.simulator.arithmetic import is_in_cast_cone
from pearl_lightning.envs.derk.simulator.rules import (
    ANYWHERE,
    CAST_TICKS,
    CASTING,
    COOLDOWN_TICKS,
    FARTHEST,
    INACTIVE,
    MEMBERS,
    NEAREST,
    PERFORM_TICKS,
    PERFORMING,
    RANGE_CLASS,
    SIDE_MEMBERS,
    WIND_DOWN,
    WIND_DOWN_TICKS,
    f32,
    rule,
)
from pearl_lightning.envs.derk.simulator.state import (
    ABILITY,
    CAST_STATE,
    CASTING_SLOT,
    COOLDOWN,
    COS,
    DAZE,
    FOCUS,
    HP,
    ITEM,
    SIN,
    START,
    TARGET,
    X,
    Y,
    Z,
)


@rule
def update_casts(u, n, tick, recorded):
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        slot = n[me, CASTING_SLOT] - 1
        ready = 0 <= slot < SLOTS and n[me, COOLDOWN + slot] == 0  # before this tick's decrement
        for each in range(SLOTS):
            if n[me, COOLDOWN + each] > 0:
                n[me, COOLDOWN + each] -= 1
        state, ability = n[me, CAST_STATE], n[me, ABILITY]
        able = u[me, HP] > f32(0) and n[me, DAZE] == 0
        if state == INACTIVE:
            if ready and able and n[me, ITEM + slot] > 0:
                ability, target = n[me, ITEM + slot], n[me, FOCUS]
                if reaches(u, me, target, ability, recorded):
                    n[me, TARGET] = target
                    n[me, ABILITY] = ability
                    n[me, COOLDOWN + slot] = COOLDOWN_TICKS[ability]
                    enter(n, me, CASTING, tick)
        elif state == WIND_DOWN:
            if tick - n[me, START] >= WIND_DOWN_TICKS[ability]:
                n[me, ABILITY] = 0
                n[me, TARGET] = -1
                enter(n, me, INACTIVE, -1)
        elif not able or not reaches(u, me, n[me, TARGET], ability, recorded):
            enter(n, me, WIND_DOWN, tick)
        elif state == CASTING:
            if tick - n[me, START] >= CAST_TICKS[ability]:
                enter(n, me, PERFORMING, tick)
        elif tick - n[me, START] >= PERFORM_TICKS[ability]:
            enter(n, me, WIND_DOWN, tick)


@rule
def enter(n, me, state, start):
    n[me, CAST_STATE] = state
    n[me, START] = start


@rule
def reaches(u, me, target, ability, recorded):
    """Whether the target is alive, in range and in front; friend or foe."""
    range_class = RANGE_CLASS[ability]
    if range_class == ANYWHERE:
        return True
    if target < 0 or u[target, HP] <= f32(0):
        return False
    dx, dy, dz = u[target, X] - u[me, X], u[target, Y] - u[me, Y], u[target, Z] - u[me, Z]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    if distance < NEAREST[range_class] or distance >= FARTHEST[range_class]:
        return False
    return is_in_cast_cone(u[me, COS], u[me, SIN], dx, dy, recorded)
