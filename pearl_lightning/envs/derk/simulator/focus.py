"""Stage 3 of a tick: whom each Derkling has in focus (section 5.4)."""

from __future__ import annotations

import math

from pearl_lightning.envs.derk.simulator.rules import FOCUS_RANGE, MEMBERS, SIDE_MEMBERS, f32, lane, lanes, rule
from pearl_lightning.envs.derk.simulator.state import (
    CHANGE_FOCUS,
    COS,
    FOCUS,
    HP,
    SIN,
    TO_HP,
    TO_X,
    TO_Y,
    TO_Z,
    X,
    Y,
    Z,
)


@rule
def choice_member(me, choice):
    """Member that ``ChangeFocus`` 1 to 7 stands for; the observation lists its targets in the same order."""
    own = me - me % SIDE_MEMBERS
    if choice == 1:
        return own
    if choice >= 4:
        return (SIDE_MEMBERS - own) + choice - 4
    teammate = own + choice - 1  # 1 or 2 of the team, unless that is me or comes after me
    return teammate + 1 if teammate >= me else teammate


@rule
def update_focus(u, n):
    """Also leaves how far each Derkling's focus is away, for the stages that follow."""
    for me in range(MEMBERS):
        choice = n[CHANGE_FOCUS + me]
        n[FOCUS + me] = choice_member(me, choice) if choice > 0 else n[FOCUS + me]
        _point_at(u, me, n[FOCUS + me])
    for me in range(lanes(u)):
        n[FOCUS + me] = n[FOCUS + me] if _is_acceptable(u, n, me) else -1
    for me in range(MEMBERS):
        # below 0, which no legal action is, the game falls back on the own statue
        if n[CHANGE_FOCUS + me] < 0 and n[FOCUS + me] < 0:
            n[FOCUS + me] = choice_member(me, 1)
            _point_at(u, me, n[FOCUS + me])
            n[FOCUS + me] = n[FOCUS + me] if _is_acceptable(u, n, me) else -1


@rule
def _point_at(u, me, target):
    target = max(target, 0)
    u[TO_X + me], u[TO_Y + me] = u[X + target] - u[X + me], u[Y + target] - u[Y + me]
    u[TO_Z + me], u[TO_HP + me] = u[Z + target] - u[Z + me], u[HP + target]


@lane
def _is_acceptable(u, n, me):
    """Whether the focus is alive, in front and near enough; one that is kept may be just at the limit."""
    dx, dy, dz = u[TO_X + me], u[TO_Y + me], u[TO_Z + me]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    is_near = (distance < FOCUS_RANGE) | ((distance == FOCUS_RANGE) & (n[CHANGE_FOCUS + me] <= 0))
    is_ahead = u[COS + me] * dx + u[SIN + me] * dy > f32(0)
    return (n[FOCUS + me] >= 0) & (u[HP + me] > f32(0)) & (u[TO_HP + me] > f32(0)) & is_ahead & is_near
