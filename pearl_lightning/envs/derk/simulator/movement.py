"""Stage 5 of a tick: walking speed and heading (sections 5.1 to 5.3)."""

from __future__ import annotations

from pearl_lightning.envs.derk.simulator.arithmetic import clip, cosine_sine, signed_angle, turn_between
from pearl_lightning.envs.derk.simulator.rules import (
    CASTING,
    MEMBERS,
    PERFORMING,
    SHELL,
    SIDE_MEMBERS,
    TOP_SPEED,
    TOP_TURN,
    f32,
    rule,
)
from pearl_lightning.envs.derk.simulator.state import (
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
    WALK,
    X,
    Y,
)


@rule
def update_movement(u, n, recorded):
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0:
            continue
        if u[HP + me] <= f32(0) or n[DAZE + me] > 0 or n[GROUND + me] == 0:
            u[WALK + me] = f32(0)
            u[HEADING + me], u[COS + me], u[SIN + me] = f32(0), f32(1), f32(0)  # whoever cannot walk looks east
            continue
        target = n[FOCUS + me]
        chase = u[CHASE + me] if target >= 0 else f32(0)
        top_speed, top_turn = TOP_SPEED, TOP_TURN
        if n[ABILITY + me] == SHELL:
            top_speed = top_speed * f32(0.2)
        if n[CRIPPLE + me] > 0:
            top_speed = top_speed * f32(0.1)
            top_turn = top_turn * f32(0.2)
        if n[CAST_STATE + me] == CASTING or n[CAST_STATE + me] == PERFORMING:
            top_speed, top_turn = f32(0), f32(0)
        u[WALK + me] = clip(TOP_SPEED * ((f32(1) - chase) * u[MOVE + me] + chase), -top_speed, top_speed)
        heading = u[HEADING + me] + clip(TOP_TURN * u[ROTATE + me], -top_turn, top_turn)
        if chase != f32(0):
            dx, dy = u[X + target] - u[X + me], u[Y + target] - u[Y + me]
            angle = signed_angle(u[COS + me], u[SIN + me], dx, dy, recorded)
            chasing = u[HEADING + me] + clip(angle, -top_turn, top_turn)
            heading = heading + chase * turn_between(heading, chasing, recorded)
        if heading != u[HEADING + me]:
            u[HEADING + me] = heading
            u[COS + me], u[SIN + me] = cosine_sine(heading, recorded)
