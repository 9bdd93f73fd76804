"""Stage 8 of a tick: shots fly towards their targets and hit them (section 6.4)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.abilities import armour
from pearl_lightning.derk.backends.simulator.bounties import land_strikes, strike
from pearl_lightning.derk.backends.simulator.rules import (
    DAMAGE,
    DART_SPEED,
    DAZE_TICKS,
    GUN_SPEED,
    KNOCK_FORCE,
    MAGNUM,
    MEMBERS,
    PARALYZING_DART,
    SIDE_MEMBERS,
    f32,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
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
from pearl_lightning.derk.interface import AGENTS, SLOTS


@rule
def fly_shots(u, n, shots, shot_targets, weights, events, settings):
    """Advance all shots by one tick; shots that arrive hit their target (rules, section 6.4)."""
    flying = 0
    for shot in range(SHOTS):
        flying |= int(shot_targets[shot] >= 0)
    if flying == 0:
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
    return n[ITEM + MEMBERS * (shot % SLOTS) + _shooter(shot)]


@rule
def _speed(n, shot):
    return DART_SPEED if _gun(n, shot) == PARALYZING_DART else GUN_SPEED


@rule
def _distance(u, shots, shot, target):
    """Distance in metres to the target's centre, which is 1 m above its feet."""
    dx = u[X + target] - shots[QX + shot]
    dy = u[Y + target] - shots[QY + shot]
    dz = u[Z + target] + f32(1) - shots[QZ + shot]
    return math.sqrt(dx * dx + dy * dy + dz * dz)


@rule
def _take_effect(u, n, shots, shot, target):
    gun = _gun(n, shot)
    if gun == PARALYZING_DART:
        n[DAZE + target] += DAZE_TICKS
    elif gun == MAGNUM and target % SIDE_MEMBERS != 0:
        dx = shots[QX + shot] - shots[OLD_QX + shot]
        dy = shots[QY + shot] - shots[OLD_QY + shot]
        dz = shots[QZ + shot] - shots[OLD_QZ + shot]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length > f32(0):
            push = KNOCK_FORCE / length
            u[FX + target] += push * dx
            u[FY + target] += push * dy
            u[FZ + target] += push * dz
        n[PUSHED_BY + target] = _shooter(shot)


@rule
def _advance(u, shots, shot, target, share):
    shots[OLD_QX + shot] = shots[QX + shot]
    shots[OLD_QY + shot] = shots[QY + shot]
    shots[OLD_QZ + shot] = shots[QZ + shot]
    shots[QX + shot] += share * (u[X + target] - shots[QX + shot])
    shots[QY + shot] += share * (u[Y + target] - shots[QY + shot])
    shots[QZ + shot] += share * (u[Z + target] + f32(1) - shots[QZ + shot])
