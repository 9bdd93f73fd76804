"""Stage 5 of a tick: walking speed and heading (sections 5.1 to 5.3)."""

from __future__ import annotations

from pearl_lightning.derk.backends.simulator.arithmetic import clip, cosine_sine, signed_angle, turn_between
from pearl_lightning.derk.backends.simulator.rules import (
    CASTING,
    MEMBERS,
    PERFORMING,
    SHELL,
    SIDE_MEMBERS,
    TOP_SPEED,
    TOP_TURN,
    f32,
    lane,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
    ABILITY,
    CAST_STATE,
    CHASE,
    COS,
    CRIPPLE,
    DAZE,
    FOCUS,
    GROUND,
    HEADING,
    HP,
    MOVE,
    ROTATE,
    SIN,
    TO_X,
    TO_Y,
    WALK,
    X,
    Y,
    lanes,
)


@rule
def update_movement(u, n, recorded):
    """Set walking speed and heading from the actions (rules, sections 5.2 and 5.3)."""
    for me in range(MEMBERS):
        focus = max(n[FOCUS + me], 0)
        u[TO_X + me], u[TO_Y + me] = u[X + focus] - u[X + me], u[Y + focus] - u[Y + me]
    if recorded:
        for me in range(lanes(u)):
            _turn_and_walk(u, n, me, True)
    else:  # a separate loop, because the compiler vectorizes this one
        for me in range(lanes(u)):
            _turn_and_walk(u, n, me, False)


@lane
def _turn_and_walk(u, n, me, recorded):
    chase = u[CHASE + me] if n[FOCUS + me] >= 0 else f32(0)
    top_speed = TOP_SPEED * f32(0.2) if n[ABILITY + me] == SHELL else TOP_SPEED
    is_crippled = n[CRIPPLE + me] > 0
    top_speed = top_speed * f32(0.1) if is_crippled else top_speed
    top_turn = TOP_TURN * f32(0.2) if is_crippled else TOP_TURN
    is_busy = (n[CAST_STATE + me] == CASTING) | (n[CAST_STATE + me] == PERFORMING)
    top_speed, top_turn = f32(0) if is_busy else top_speed, f32(0) if is_busy else top_turn
    walk = clip(TOP_SPEED * ((f32(1) - chase) * u[MOVE + me] + chase), -top_speed, top_speed)
    old, old_cos, old_sin = u[HEADING + me], u[COS + me], u[SIN + me]
    heading = old + clip(TOP_TURN * u[ROTATE + me], -top_turn, top_turn)
    angle = signed_angle(old_cos, old_sin, u[TO_X + me], u[TO_Y + me], recorded)
    heading = heading + chase * turn_between(heading, old + clip(angle, -top_turn, top_turn), recorded)
    can_walk = (u[HP + me] > f32(0)) & (n[DAZE + me] == 0) & (n[GROUND + me] != 0)
    heading = heading if can_walk else f32(0)  # a unit that cannot walk faces east
    cos, sin = cosine_sine(heading, recorded)
    is_statue = me % SIDE_MEMBERS == 0
    keeps = is_statue | (heading == old)
    u[WALK + me] = walk if can_walk & (not is_statue) else f32(0)
    u[HEADING + me] = old if is_statue else heading
    u[COS + me], u[SIN + me] = old_cos if keeps else cos, old_sin if keeps else sin
