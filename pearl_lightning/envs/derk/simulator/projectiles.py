"""Stage 8 of a tick: shots home in on their targets, and hit (section 6.4)."""

from __future__ import annotations

import math

from pearl_lightning.envs.derk.interface import AGENTS, SLOTS
from pearl_lightning.envs.derk.simulator.abilities import armour
from pearl_lightning.envs.derk.simulator.bounties import land_strikes, strike
from pearl_lightning.envs.derk.simulator.rules import (
    DAMAGE,
    DART_SPEED,
    DAZE_TICKS,
    GUN_SPEED,
    KNOCK_FORCE,
    MAGNUM,
    PARALYZING_DART,
    SIDE_MEMBERS,
    f32,
    rule,
)
from pearl_lightning.envs.derk.simulator.state import (
    DAZE,
    FX,
    FY,
    FZ,
    ITEM,
    OLD_QX,
    OLD_QY,
    OLD_QZ,
    PUSHED_BY,
    QX,
    QY,
    QZ,
    SHOTS,
    X,
    Y,
    Z,
)


@rule
def fly_shots(u, n, shots, shot_targets, weights, events, settings):
    flying = False
    for shot in range(SHOTS):
        flying = flying or shot_targets[shot] >= 0
    if not flying:
        return
    hits = False
    for shot in range(SHOTS):
        target = shot_targets[shot]
        if target >= 0 and _distance(u, shots, shot, target) < _speed(n, shot):
            hits = True
            damage = DAMAGE[_gun(n, shot)] / armour(n, target)
            strike(u, weights, events, settings, _shooter(shot), target, damage)
    if hits:
        land_strikes(u)
    for shot in range(SHOTS):
        target = shot_targets[shot]
        if target < 0:
            continue
        distance = _distance(u, shots, shot, target)
        if distance < _speed(n, shot):
            _take_effect(u, n, shots, shot, target)
            shot_targets[shot] = -1
        else:
            _advance(u, shots, shot, target, _speed(n, shot) / distance)


@rule
def _shooter(shot):
    agent = shot // SLOTS
    return agent + 1 if agent < AGENTS else agent + 2


@rule
def _gun(n, shot):
    return n[_shooter(shot), ITEM + shot % SLOTS]


@rule
def _speed(n, shot):
    return DART_SPEED if _gun(n, shot) == PARALYZING_DART else GUN_SPEED


@rule
def _distance(u, shots, shot, target):
    """Metres to the target's centre, 1 m above its feet."""
    dx = u[target, X] - shots[shot, QX]
    dy = u[target, Y] - shots[shot, QY]
    dz = u[target, Z] + f32(1) - shots[shot, QZ]
    return math.sqrt(dx * dx + dy * dy + dz * dz)


@rule
def _take_effect(u, n, shots, shot, target):
    gun = _gun(n, shot)
    if gun == PARALYZING_DART:
        n[target, DAZE] += DAZE_TICKS
    elif gun == MAGNUM and target % SIDE_MEMBERS != 0:
        dx = shots[shot, QX] - shots[shot, OLD_QX]
        dy = shots[shot, QY] - shots[shot, OLD_QY]
        dz = shots[shot, QZ] - shots[shot, OLD_QZ]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length > f32(0):
            push = KNOCK_FORCE / length
            u[target, FX] += push * dx
            u[target, FY] += push * dy
            u[target, FZ] += push * dz
        n[target, PUSHED_BY] = _shooter(shot)


@rule
def _advance(u, shots, shot, target, share):
    shots[shot, OLD_QX] = shots[shot, QX]
    shots[shot, OLD_QY] = shots[shot, QY]
    shots[shot, OLD_QZ] = shots[shot, QZ]
    shots[shot, QX] += share * (u[target, X] - shots[shot, QX])
    shots[shot, QY] += share * (u[target, Y] - shots[shot, QY])
    shots[shot, QZ] += share * (u[target, Z] + f32(1) - shots[shot, QZ])
