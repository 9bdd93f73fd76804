"""Stage 3 of a tick: the focus of each Derkling (section 5.4)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.rules import FOCUS_RANGE, MEMBERS, SIDE_MEMBERS, f32, rule
from pearl_lightning.derk.backends.simulator.state import CHANGE_FOCUS, COS, FOCUS, HP, SIN, X, Y, Z


@rule
def choice_member(me, choice):
    """Member for a ``ChangeFocus`` value from 1 to 7. The targets in the observation have the same order."""
    own = me - me % SIDE_MEMBERS
    if choice == 1:
        return own
    if choice >= 4:
        return (SIDE_MEMBERS - own) + choice - 4
    teammate = own + choice - 1  # members 1 and 2 of the team, shifted by one from ``me`` on
    return teammate + 1 if teammate >= me else teammate


@rule
def update_focus(u, n):
    """Set each unit's focus to the chosen target, or drop it (rules, section 5.4)."""
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        if u[HP + me] <= f32(0):
            n[FOCUS + me] = -1
            continue
        choice = n[CHANGE_FOCUS + me]
        target = choice_member(me, choice) if choice > 0 else n[FOCUS + me]
        if not _is_acceptable(u, me, target, choice <= 0):
            # for a choice below 0, which is not legal, the game uses the unit's own statue
            target = choice_member(me, 1) if choice < 0 and _is_acceptable(u, me, choice_member(me, 1), False) else -1
        n[FOCUS + me] = target


@rule
def _is_acceptable(u, me, target, keeps):
    """Whether the target is alive, in front and in range; a focus that is kept may be exactly at the limit."""
    if target < 0 or u[HP + target] <= f32(0):
        return False
    dx, dy, dz = u[X + target] - u[X + me], u[Y + target] - u[Y + me], u[Z + target] - u[Z + me]
    if u[COS + me] * dx + u[SIN + me] * dy <= f32(0):
        return False
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    return distance < FOCUS_RANGE or (keeps and distance == FOCUS_RANGE)
