"""Stage 4 of a tick: starting, aborting and ending casts, and cooldowns (section 6.1)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.arithmetic import is_in_cast_cone
from pearl_lightning.derk.backends.simulator.rules import (
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
from pearl_lightning.derk.backends.simulator.state import (
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
from pearl_lightning.derk.interface import SLOTS


@rule
def update_casts(u, n, tick, recorded):
    """Advance all casts by one tick: start, wind up, perform, wind down (rules, section 6.1)."""
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        slot = n[CASTING_SLOT + me] - 1
        ready = 0 <= slot < SLOTS and n[COOLDOWN + MEMBERS * slot + me] == 0  # before this tick's decrement
        for each in range(SLOTS):
            if n[COOLDOWN + MEMBERS * each + me] > 0:
                n[COOLDOWN + MEMBERS * each + me] -= 1
        state, ability = n[CAST_STATE + me], n[ABILITY + me]
        able = u[HP + me] > f32(0) and n[DAZE + me] == 0
        if state == INACTIVE:
            if ready and able and n[ITEM + MEMBERS * slot + me] > 0:
                ability, target = n[ITEM + MEMBERS * slot + me], n[FOCUS + me]
                if reaches(u, me, target, ability, recorded):
                    n[TARGET + me] = target
                    n[ABILITY + me] = ability
                    n[COOLDOWN + MEMBERS * slot + me] = COOLDOWN_TICKS[ability]
                    enter(n, me, CASTING, tick)
        elif state == WIND_DOWN:
            if tick - n[START + me] >= WIND_DOWN_TICKS[ability]:
                n[ABILITY + me] = 0
                n[TARGET + me] = -1
                enter(n, me, INACTIVE, -1)
        elif not able or not reaches(u, me, n[TARGET + me], ability, recorded):
            enter(n, me, WIND_DOWN, tick)
        elif state == CASTING:
            if tick - n[START + me] >= CAST_TICKS[ability]:
                enter(n, me, PERFORMING, tick)
        elif tick - n[START + me] >= PERFORM_TICKS[ability]:
            enter(n, me, WIND_DOWN, tick)


@rule
def enter(n, me, state, start):
    """Set the state of a unit's cast and the tick at which the state starts."""
    n[CAST_STATE + me] = state
    n[START + me] = start


@rule
def reaches(u, me, target, ability, recorded):
    """Whether the target, friend or enemy, is alive, in range and in front."""
    range_class = RANGE_CLASS[ability]
    if range_class == ANYWHERE:
        return True
    if target < 0 or u[HP + target] <= f32(0):
        return False
    dx, dy, dz = u[X + target] - u[X + me], u[Y + target] - u[Y + me], u[Z + target] - u[Z + me]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    if distance < NEAREST[range_class] or distance >= FARTHEST[range_class]:
        return False
    return is_in_cast_cone(u[COS + me], u[SIN + me], dx, dy, recorded)
