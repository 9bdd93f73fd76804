"""Stage 7 of a tick: buffs expire, and helium bubbles lift units (section 7)."""

from __future__ import annotations

from pearl_lightning.derk.backends.simulator.rules import MEMBERS, SIDE_MEMBERS, f32, rule
from pearl_lightning.derk.backends.simulator.state import CRIPPLE, DAZE, HELIUM, IRON, VX, VY, VZ


@rule
def update_buffs(u, n):
    """Decrement the buffs and make floating units rise (rules, section 7)."""
    for member in range(MEMBERS):
        for buff in (DAZE, IRON, HELIUM, CRIPPLE):
            if n[buff + member] > 0:
                n[buff + member] -= 1
        if n[HELIUM + member] > 0 and member % SIDE_MEMBERS != 0:
            u[VX + member], u[VY + member], u[VZ + member] = f32(0), f32(0), f32(1)
