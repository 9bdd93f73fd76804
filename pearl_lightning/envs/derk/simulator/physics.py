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
        u[OLD_X + member], u[OLD_Y + member], u[OLD_Z + member] = u[X + member], u[Y + member], u[Z + member]
        n[LIVES + member] = 1 if u[HP + member] > f32(0) else 0
    fell = False
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        fx, fy, fz = u[FX + me], u[FY + me], u[FZ + me]
        if math.sqrt(fx * fx + fy * fy + fz * fz) > f32(0.01) or u[VZ + me] > f32(0.1):
            n[GROUND + me] = 0
        if n[GROUND + me] == 1:
            _walk(u, n, terrain, me)
        else:
            fell = _fly(u, n, terrain, weights, events, settings, me) or fell
        if n[LIVES + me] == 1:
            _bump(u, n, me)
        u[X + me] = clip(u[X + me], LOWEST, HIGHEST)
        u[Y + me] = clip(u[Y + me], LOWEST, HIGHEST)
        u[FX + me], u[FY + me], u[FZ + me] = f32(0), f32(0), f32(0)
        n[STUCK + me] = 1 if _is_stuck(u, n, me) else 0
    if fell:
        _pay_pushers(u, n, weights, events, settings)
    for me in range(MEMBERS):
        if n[GROUND + me] == 1:
            n[PUSHED_BY + me] = -1


@rule
def _walk(u, n, terrain, me):
    u[VX + me], u[VY + me], u[VZ + me] = u[WALK + me] * u[COS + me], u[WALK + me] * u[SIN + me], f32(0)
    x, y, old_z = u[X + me] + TICK * u[VX + me], u[Y + me] + TICK * u[VY + me], u[Z + me]
    height = ground(terrain, x, y)
    if old_z - height > f32(0.1):
        n[GROUND + me] = 0  # over the edge
    elif height > old_z and is_steep(terrain, x, y):
        u[Z + me] = ground(terrain, u[X + me], u[Y + me])
        return
    else:
        u[Z + me] = height
    u[X + me], u[Y + me] = x, y


@rule
def _fly(u, n, terrain, weights, events, settings, me):
    """One tick in the air; returns whether the landing was lethal."""
    u[VX + me] += TICK * u[FX + me]
    u[VY + me] += TICK * u[FY + me]
    u[VZ + me] += TICK * (u[FZ + me] - GRAVITY)
    u[X + me] += TICK * u[VX + me]
    u[Y + me] += TICK * u[VY + me]
    u[Z + me] += TICK * u[VZ + me]
    height = ground(terrain, u[X + me], u[Y + me])
    if u[Z + me] > height:
        return False
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
    else:  # slides on, still without control
        u[VX + me], u[VY + me], u[VZ + me] = vx, vy, f32(-0.1)
    return lethal


@rule
def _bump(u, n, me):
    touching = 0
    for other in range(MEMBERS):  # nearly always nobody; this loop runs on whole vectors
        dx, dy, dz = u[X + me] - u[OLD_X + other], u[Y + me] - u[OLD_Y + other], u[Z + me] - u[OLD_Z + other]
        near = dx * dx + dy * dy + dz * dz < DIAMETER * DIAMETER
        touching |= int(near) & n[LIVES + other] & int(other != me)
    if touching == 0:
        return
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


@rule
def _is_stuck(u, n, me):
    if n[GROUND + me] == 0 or u[WALK + me] <= f32(0.01):
        return False
    dx, dy, dz = u[X + me] - u[OLD_X + me], u[Y + me] - u[OLD_Y + me], u[Z + me] - u[OLD_Z + me]
    return math.sqrt(dx * dx + dy * dy + dz * dz) < f32(0.5) * TICK * u[WALK + me]


@rule
def _pay_pushers(u, n, weights, events, settings):
    for me in range(MEMBERS):
        if n[FELL + me] == 1:
            n[FELL + me] = 0
            pusher = n[PUSHED_BY + me]
            is_enemy = pusher // SIDE_MEMBERS != me // SIDE_MEMBERS
            if pusher >= 0 and (is_enemy or not settings.corrected):
                earn(u, weights, events, settings, pusher, KILL_ENEMY_UNIT, f32(1))
