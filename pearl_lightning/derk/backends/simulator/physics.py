"""Stage 9 of a tick: walking, falling, sliding, collisions, and kills by falls (section 8)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.arithmetic import clip
from pearl_lightning.derk.backends.simulator.bounties import earn
from pearl_lightning.derk.backends.simulator.rules import (
    DIAMETER,
    FALL_DAMAGE_TAKEN,
    FRICTION,
    GRAVITY,
    HIGHEST,
    KILL_ENEMY_UNIT,
    LETHAL_DAMAGE,
    LETHAL_SPEED,
    LOWEST,
    MEMBERS,
    SIDE_MEMBERS,
    TICK,
    f32,
    i32,
    lane,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
    COS,
    FELL,
    FX,
    FY,
    FZ,
    GROUND,
    HEIGHT,
    HP,
    LIVES,
    OBSTACLE,
    OLD_X,
    OLD_Y,
    OLD_Z,
    PUSHED_BY,
    SIN,
    STEEP,
    STUCK,
    TOUCHES,
    VX,
    VY,
    VZ,
    WALK,
    X,
    Y,
    Z,
    lanes,
)
from pearl_lightning.derk.backends.simulator.terrain import ground, is_steep

NOTHING, SLOPE, GROUND_BELOW = i32(0), i32(1), i32(2)
"""Obstacles to a tick's motion."""


@rule
def move_units(u, n, terrain, weights, events, settings):
    """Move all units over the ground, with falls and collisions (rules, section 8)."""
    for me in range(lanes(u)):
        _set_out(u, n, me)
    for me in range(MEMBERS):
        u[HEIGHT + me] = ground(terrain, u[X + me], u[Y + me])
        n[STEEP + me] = is_steep(terrain, u[X + me], u[Y + me])
    for me in range(lanes(u)):
        _rise_or_sink(u, n, me)
    if _is_any(n, OBSTACLE):
        fell = False
        for me in range(MEMBERS):
            if n[OBSTACLE + me] == SLOPE:
                u[X + me], u[Y + me] = u[OLD_X + me], u[OLD_Y + me]
                u[Z + me] = ground(terrain, u[X + me], u[Y + me])
            elif n[OBSTACLE + me] == GROUND_BELOW:
                fell = _land(u, n, weights, events, settings, me) or fell
        if fell:
            _pay_pushers(u, n, weights, events, settings)
    _bump(u, n)
    for me in range(lanes(u)):
        _arrive(u, n, me)


@lane
def _set_out(u, n, me):
    """Walk or fly without regard to obstacles; all members move relative to the others' old positions."""
    is_statue = me % SIDE_MEMBERS == 0
    u[OLD_X + me], u[OLD_Y + me], u[OLD_Z + me] = u[X + me], u[Y + me], u[Z + me]
    n[LIVES + me] = i32(u[HP + me] > f32(0))
    fx, fy, fz, vx, vy, vz = u[FX + me], u[FY + me], u[FZ + me], u[VX + me], u[VY + me], u[VZ + me]
    grounded = n[GROUND + me]
    leaves = (math.sqrt(fx * fx + fy * fy + fz * fz) > f32(0.01)) | (vz > f32(0.1))
    walks = (grounded == 1) & (not leaves)
    new_vx = u[WALK + me] * u[COS + me] if walks else vx + TICK * fx
    new_vy = u[WALK + me] * u[SIN + me] if walks else vy + TICK * fy
    new_vz = f32(0) if walks else vz + TICK * (fz - GRAVITY)
    n[GROUND + me] = grounded if is_statue else i32(walks)
    u[VX + me], u[VY + me] = vx if is_statue else new_vx, vy if is_statue else new_vy
    u[VZ + me] = vz if is_statue else new_vz
    u[X + me] += f32(0) if is_statue else TICK * new_vx
    u[Y + me] += f32(0) if is_statue else TICK * new_vy


@lane
def _rise_or_sink(u, n, me):
    """Follow the ground or fall, and record the obstacle."""
    is_statue = me % SIDE_MEMBERS == 0
    height, old_z = u[HEIGHT + me], u[OLD_Z + me]
    grounded = n[GROUND + me]
    walks = grounded == 1
    over_the_edge = old_z - height > f32(0.1)
    is_blocked = walks & (height > old_z) & (n[STEEP + me] != 0)
    flown_z = old_z + TICK * u[VZ + me]
    lands = (not walks) & (flown_z <= height)
    walked_z = old_z if over_the_edge else height
    u[Z + me] = old_z if is_statue else walked_z if walks else flown_z
    n[GROUND + me] = grounded if is_statue else i32(walks & (not over_the_edge))
    obstacle = SLOPE if is_blocked else GROUND_BELOW if lands else NOTHING
    n[OBSTACLE + me] = NOTHING if is_statue else obstacle


@rule
def _land(u, n, weights, events, settings, me):
    """Hit the ground; return whether this was lethal."""
    height = u[HEIGHT + me]
    lethal = u[VZ + me] < LETHAL_SPEED and n[LIVES + me] == 1
    if lethal:
        u[HP + me] -= LETHAL_DAMAGE
        n[FELL + me] = 1
        earn(u, weights, events, settings, me, FALL_DAMAGE_TAKEN, f32(1))
    if u[OLD_Z + me] < height and u[VZ + me] < f32(-10):  # a wall
        u[X + me], u[Y + me], u[Z + me] = u[OLD_X + me], u[OLD_Y + me], u[OLD_Z + me]
        u[VX + me], u[VY + me] = f32(0), f32(0)
        return lethal
    u[Z + me] = height
    vx, vy = FRICTION * u[VX + me], FRICTION * u[VY + me]
    if math.sqrt(vx * vx + vy * vy) < f32(1):
        u[VX + me], u[VY + me], u[VZ + me] = f32(0), f32(0), f32(0)
        n[GROUND + me] = 1
    else:  # keeps sliding, still without control
        u[VX + me], u[VY + me], u[VZ + me] = vx, vy, f32(-0.1)
    return lethal


@rule
def _bump(u, n):
    for me in range(lanes(u)):
        _feel_others(u, n, me)
    if not _is_any(n, TOUCHES):
        return
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS != 0 and n[TOUCHES + me]:
            _push_apart(u, n, me)


@lane
def _feel_others(u, n, me):
    touches = False
    for other in range(MEMBERS):
        dx, dy, dz = u[X + me] - u[OLD_X + other], u[Y + me] - u[OLD_Y + other], u[Z + me] - u[OLD_Z + other]
        touches |= (dx * dx + dy * dy + dz * dz < DIAMETER * DIAMETER) & (me != other)
    n[TOUCHES + me] = i32(touches & (n[LIVES + me] != 0))


@rule
def _is_any(n, row):
    found = i32(0)
    for member in range(MEMBERS):
        found = i32(found | n[row + member])
    return found != 0


@rule
def _push_apart(u, n, me):
    for other in range(MEMBERS):
        if other == me or n[LIVES + other] == 0:
            continue
        dx, dy, dz = u[X + me] - u[OLD_X + other], u[Y + me] - u[OLD_Y + other], u[Z + me] - u[OLD_Z + other]
        square = dx * dx + dy * dy + dz * dz
        if f32(0) < square < DIAMETER * DIAMETER:
            scale = f32(1) / math.sqrt(square)
            u[X + me] = u[OLD_X + other] + dx * scale
            u[Y + me] = u[OLD_Y + other] + dy * scale
            u[Z + me] = u[OLD_Z + other] + dz * scale


@lane
def _arrive(u, n, me):
    is_statue = me % SIDE_MEMBERS == 0
    x, y = u[X + me], u[Y + me]
    x, y = x if is_statue else clip(x, LOWEST, HIGHEST), y if is_statue else clip(y, LOWEST, HIGHEST)
    u[X + me], u[Y + me] = x, y
    u[FX + me], u[FY + me], u[FZ + me] = f32(0), f32(0), f32(0)
    pusher = n[PUSHED_BY + me]
    n[PUSHED_BY + me] = i32(-1) if n[GROUND + me] == 1 else pusher
    dx, dy, dz, walk = x - u[OLD_X + me], y - u[OLD_Y + me], u[Z + me] - u[OLD_Z + me], u[WALK + me]
    is_slow = math.sqrt(dx * dx + dy * dy + dz * dz) < f32(0.5) * TICK * walk
    n[STUCK + me] = i32(is_slow & (walk > f32(0.01)) & (n[GROUND + me] != 0))


@rule
def _pay_pushers(u, n, weights, events, settings):
    for me in range(MEMBERS):
        if n[FELL + me] == 1:
            n[FELL + me] = 0
            pusher = n[PUSHED_BY + me]
            is_enemy = pusher // SIDE_MEMBERS != me // SIDE_MEMBERS
            if pusher >= 0 and (is_enemy or not settings.corrected):
                earn(u, weights, events, settings, pusher, KILL_ENEMY_UNIT, f32(1))
