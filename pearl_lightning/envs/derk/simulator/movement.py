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
        if u[me, HP] <= f32(0) or n[me, DAZE] > 0 or n[me, GROUND] == 0:
            u[me, WALK] = f32(0)
            u[me, HEADING], u[me, COS], u[me, SIN] = f32(0), f32(1), f32(0)  # whoever cannot walk looks east
            continue
        target = n[me, FOCUS]
        chase = u[me, CHASE] if target >= 0 else f32(0)
        top_speed, top_turn = TOP_SPEED, TOP_TURN
        if n[me, ABILITY] == SHELL:
            top_speed = top_speed * f32(0.2)
        if n[me, CRIPPLE] > 0:
            top_speed = top_speed * f32(0.1)
            top_turn = top_turn * f32(0.2)
        if n[me, CAST_STATE] == CASTING or n[me, CAST_STATE] == PERFORMING:
            top_speed, top_turn = f32(0), f32(0)
        u[me, WALK] = clip(TOP_SPEED * ((f32(1) - chase) * u[me, MOVE] + chase), -top_speed, top_speed)
        heading = u[me, HEADING] + clip(TOP_TURN * u[me, ROTATE], -top_turn, top_turn)
        if chase != f32(0):
            dx, dy = u[target, X] - u[me, X], u[target, Y] - u[me, Y]
            angle = signed_angle(u[me, COS], u[me, SIN], dx, dy, recorded)
            chasing = u[me, HEADING] + clip(angle, -top_turn, top_turn)
            heading = heading + chase * turn_between(heading, chasing, recorded)
        if heading != u[me, HEADING]:
            u[me, HEADING] = heading
            u[me, COS], u[me, SIN] = cosine_sine(heading, recorded)
