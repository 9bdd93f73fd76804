"""Stage 7 of a tick: buffs run out, and bubbles lift (section 7)."""

from __future__ import annotations

from pearl_lightning.envs.derk.simulator.rules import MEMBERS, SIDE_MEMBERS, f32, rule
from pearl_lightning.envs.derk.simulator.state import CRIPPLE, DAZE, HELIUM, IRON, VX, VY, VZ


@rule
def update_buffs(u, n):
    """Let buffs run down; who floats rises (rules, section 7)."""
    for member in range(MEMBERS):
        for buff in (DAZE, IRON, HELIUM, CRIPPLE):
            if n[buff + member] > 0:
                n[buff + member] -= 1
        if n[HELIUM + member] > 0 and member % SIDE_MEMBERS != 0:
            u[VX + member], u[VY + member], u[VZ + member] = f32(0), f32(0), f32(1)
