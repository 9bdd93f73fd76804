"""Observations of the agents at the end of a step (section 9)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.arithmetic import (
    PI,
    clip,
    hyperbolic_tangent,
    signed_angle,
    signed_angle_of_units,
)
from pearl_lightning.derk.backends.simulator.focus import choice_member
from pearl_lightning.derk.backends.simulator.rules import (
    CENTRE,
    FOCUS_RANGE,
    FULL_HP,
    MEMBERS,
    SIDE_MEMBERS,
    f32,
    lane,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
    ANGLE,
    COOLDOWN,
    COS,
    CRIPPLE,
    DAZE,
    DISTANCE,
    FOCUS,
    HP,
    ITEM,
    SIN,
    STUCK,
    X,
    Y,
    Z,
    lanes,
)
from pearl_lightning.derk.backends.simulator.terrain import ground
from pearl_lightning.derk.interface import SLOTS, TARGETS, observation_index

HITPOINTS = observation_index("Hitpoints")
READY = observation_index("Ability0Ready")
FURTHER_READY = observation_index("Ability1Ready")
FIRST_DISTANCE = observation_index("FriendStatueDistance")
HAS_FOCUS = observation_index("HasFocus")
FOCUS_DAZED = observation_index("FocusDazed")
HEIGHTS = observation_index("HeightFront1")
LEFT_RIGHT = observation_index("PositionLeftRight")
IS_STUCK = observation_index("Stuck")
OWN_ITEMS = observation_index("HasTalons")
FOCUS_ITEMS = observation_index("FocusHasTalons")
WORLD = f32(128)


@rule
def sense(u, n, terrain, me, observation, recorded):
    """Write the 64 features of a Derkling's observation."""
    for index in range(len(observation)):
        observation[index] = f32(0)
    observation[HITPOINTS] = clip(u[HP + me] / FULL_HP, f32(0), f32(1))
    observation[READY] = f32(n[COOLDOWN + me] == 0)
    observation[FURTHER_READY] = f32(n[COOLDOWN + MEMBERS + me] == 0)
    observation[FURTHER_READY + 1] = f32(n[COOLDOWN + 2 * MEMBERS + me] == 0)
    _sense_targets(u, me, observation, recorded)
    if n[FOCUS + me] >= 0:
        _sense_focus(u, n, me, n[FOCUS + me], observation, recorded)
    x, y, cos, sin = u[X + me], u[Y + me], u[COS + me], u[SIN + me]
    for index in range(3):
        reach = f32(1) if index == 0 else f32(5) if index == 1 else f32(-2)
        rise = ground(terrain, x + reach * cos, y + reach * sin) - u[Z + me]
        observation[HEIGHTS + index] = hyperbolic_tangent(rise)
    sign = f32(1) if me < SIDE_MEMBERS else f32(-1)
    east, north = x - CENTRE, y - CENTRE
    observation[LEFT_RIGHT] = sign * (east - north) / WORLD
    observation[LEFT_RIGHT + 1] = sign * (east + north) / WORLD
    observation[IS_STUCK] = f32(n[STUCK + me])
    _flag_items(n, me, observation, OWN_ITEMS)


@rule
def _flag_items(n, member, observation, first):
    for slot in range(SLOTS):
        if n[ITEM + MEMBERS * slot + member] > 0:
            observation[first + n[ITEM + MEMBERS * slot + member] - 1] = f32(1)


@rule
def _sense_targets(u, me, observation, recorded):
    x, y, z, cos, sin = u[X + me], u[Y + me], u[Z + me], u[COS + me], u[SIN + me]
    if recorded:
        for target in range(lanes(u)):
            _measure(u, x, y, z, cos, sin, target, True)
    else:  # a separate loop, because the compiler vectorizes this one
        for target in range(lanes(u)):
            _measure(u, x, y, z, cos, sin, target, False)
    for choice in range(1, 1 + len(TARGETS)):
        target, index = choice_member(me, choice), FIRST_DISTANCE + 2 * (choice - 1)
        observation[index], observation[index + 1] = u[DISTANCE + target], u[ANGLE + target]


@lane
def _measure(u, x, y, z, cos, sin, target, recorded):
    alive = u[HP + target] > f32(0)
    dx, dy, dz = u[X + target] - x, u[Y + target] - y, u[Z + target] - z
    distance = clip(math.sqrt(dx * dx + dy * dy + dz * dz) / FOCUS_RANGE, f32(0), f32(1))
    angle = _share_of_pi(signed_angle(cos, sin, dx, dy, recorded))
    u[DISTANCE + target], u[ANGLE + target] = distance if alive else f32(2), angle if alive else f32(0)


@lane
def _share_of_pi(angle):
    """Angle in units of pi; 0 if the angle is NaN because of rounding."""
    return f32(0) if math.isnan(angle) else angle / PI


@rule
def _sense_focus(u, n, me, focus, observation, recorded):
    cos, sin = u[COS + focus], u[SIN + focus]
    dx, dy = u[X + focus] - u[X + me], u[Y + focus] - u[Y + me]
    length = math.sqrt(dx * dx + dy * dy)
    observation[HAS_FOCUS] = f32(1)
    rotation = signed_angle_of_units(u[COS + me], u[SIN + me], cos, sin, recorded)
    observation[HAS_FOCUS + 1] = _share_of_pi(rotation)
    observation[HAS_FOCUS + 2] = -(cos * dx + sin * dy) / length if length > f32(0) else f32(0)
    observation[HAS_FOCUS + 3] = f32(n[FOCUS + focus] == me)
    observation[HAS_FOCUS + 4] = clip(u[HP + focus] / FULL_HP, f32(0), f32(1))
    observation[FOCUS_DAZED] = f32(n[DAZE + focus] > 0)
    observation[FOCUS_DAZED + 1] = f32(n[CRIPPLE + focus] > 0)
    _flag_items(n, focus, observation, FOCUS_ITEMS)
