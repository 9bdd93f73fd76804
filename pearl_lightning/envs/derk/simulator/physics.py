"""Stage 9 of a tick: walking, falling, sliding, bumping into others, and fall kills (section 8)."""

from __future__ import annotations

import math

from pearl_lightning.envs.derk.simulator.arithmetic import clip
from pearl_lightning.envs.derk.simulator.bounties import earn
from pearl_lightning.envs.derk.simulator.rules import (
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
    rule,
)
from pearl_lightning.envs.derk.simulator.state import (
    COS,
    FELL,
    FX,
    FY,
    FZ,
    GROUND,
    HP,
    LIVES,
    OLD_X,
    OLD_Y,
    OLD_Z,
    PUSHED_BY,
    SIN,
    STUCK,
    VX,
    VY,
    VZ,
    WALK,
    X,
    Y,
    Z,
)
from pearl_lightning.envs.derk.simulator.terrain import ground, is_steep


@rule
def move_units(u, n, terrain, weights, events, settings):
    for member in range(MEMBERS):  # everyone moves against the others' old places
        u[member, OLD_X], u[member, OLD_Y], u[member, OLD_Z] = u[member, X], u[member, Y], u[member, Z]
        n[member, LIVES] = 1 if u[member, HP] > f32(0) else 0
    fell = False
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        fx, fy, fz = u[me, FX], u[me, FY], u[me, FZ]
        if math.sqrt(fx * fx + fy * fy + fz * fz) > f32(0.01) or u[me, VZ] > f32(0.1):
            n[me, GROUND] = 0
        if n[me, GROUND] == 1:
            _walk(u, n, terrain, me)
        else:
            fell = _fly(u, n, terrain, weights, events, settings, me) or fell
        if n[me, LIVES] == 1:
            _bump(u, n, me)
        u[me, X] = clip(u[me, X], LOWEST, HIGHEST)
        u[me, Y] = clip(u[me, Y], LOWEST, HIGHEST)
        u[me, FX], u[me, FY], u[me, FZ] = f32(0), f32(0), f32(0)
        n[me, STUCK] = 1 if _is_stuck(u, n, me) else 0
    if fell:
        _pay_pushers(u, n, weights, events, settings)
    for me in range(MEMBERS):
        if n[me, GROUND] == 1:
            n[me, PUSHED_BY] = -1


@rule
def _walk(u, n, terrain, me):
    u[me, VX], u[me, VY], u[me, VZ] = u[me, WALK] * u[me, COS], u[me, WALK] * u[me, SIN], f32(0)
    x, y, old_z = u[me, X] + TICK * u[me, VX], u[me, Y] + TICK * u[me, VY], u[me, Z]
    height = ground(terrain, x, y)
    if old_z - height > f32(0.1):
        n[me, GROUND] = 0  # over the edge
    elif height > old_z and is_steep(terrain, x, y):
        u[me, Z] = ground(terrain, u[me, X], u[me, Y])
        return
    else:
        u[me, Z] = height
    u[me, X], u[me, Y] = x, y


@rule
def _fly(u, n, terrain, weights, events, settings, me):
    """One tick in the air; returns whether the landing was lethal."""
    u[me, VX] += TICK * u[me, FX]
    u[me, VY] += TICK * u[me, FY]
    u[me, VZ] += TICK * (u[me, FZ] - GRAVITY)
    u[me, X] += TICK * u[me, VX]
    u[me, Y] += TICK * u[me, VY]
    u[me, Z] += TICK * u[me, VZ]
    height = ground(terrain, u[me, X], u[me, Y])
    if u[me, Z] > height:
        return False
    lethal = u[me, VZ] < LETHAL_SPEED and n[me, LIVES] == 1
    if lethal:
        u[me, HP] -= LETHAL_DAMAGE
        n[me, FELL] = 1
        earn(u, weights, events, settings, me, FALL_DAMAGE_TAKEN, f32(1))
    if u[me, OLD_Z] < height and u[me, VZ] < f32(-10):  # a wall
        u[me, X], u[me, Y], u[me, Z] = u[me, OLD_X], u[me, OLD_Y], u[me, OLD_Z]
        u[me, VX], u[me, VY] = f32(0), f32(0)
        return lethal
    u[me, Z] = height
    vx, vy = FRICTION * u[me, VX], FRICTION * u[me, VY]
    if math.sqrt(vx * vx + vy * vy) < f32(1):
        u[me, VX], u[me, VY], u[me, VZ] = f32(0), f32(0), f32(0)
        n[me, GROUND] = 1
    else:  # slides on, still without control
        u[me, VX], u[me, VY], u[me, VZ] = vx, vy, f32(-0.1)
    return lethal


@rule
def _bump(u, n, me):
    for other in range(MEMBERS):
        if other == me or n[other, LIVES] == 0:
            continue
        dx, dy, dz = u[me, X] - u[other, OLD_X], u[me, Y] - u[other, OLD_Y], u[me, Z] - u[other, OLD_Z]
        square = dx * dx + dy * dy + dz * dz
        if f32(0) < square < DIAMETER * DIAMETER:
            scale = f32(1) / math.sqrt(square)
            u[me, X] = u[other, OLD_X] + dx * scale
            u[me, Y] = u[other, OLD_Y] + dy * scale
            u[me, Z] = u[other, OLD_Z] + dz * scale


@rule
def _is_stuck(u, n, me):
    if n[me, GROUND] == 0 or u[me, WALK] <= f32(0.01):
        return False
    dx, dy, dz = u[me, X] - u[me, OLD_X], u[me, Y] - u[me, OLD_Y], u[me, Z] - u[me, OLD_Z]
    return math.sqrt(dx * dx + dy * dy + dz * dz) < f32(0.5) * TICK * u[me, WALK]


@rule
def _pay_pushers(u, n, weights, events, settings):
    for me in range(MEMBERS):
        if n[me, FELL] == 1:
            n[me, FELL] = 0
            pusher = n[me, PUSHED_BY]
            is_enemy = pusher // SIDE_MEMBERS != me // SIDE_MEMBERS
            if pusher >= 0 and (is_enemy or not settings.corrected):
                earn(u, weights, events, settings, pusher, KILL_ENEMY_UNIT, f32(1))
