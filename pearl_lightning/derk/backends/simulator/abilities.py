"""Stage 6 of a tick: effects of the abilities that units perform, one ability after another (sections 6.2 to 6.6)."""

from __future__ import annotations

from pearl_lightning.derk.backends.simulator.arithmetic import clip
from pearl_lightning.derk.backends.simulator.bounties import agent_of, land_strikes, pay_heal, strike
from pearl_lightning.derk.backends.simulator.rules import (
    BLASTER,
    BLOOD_CLAWS,
    BUBBLE_TICKS,
    CLEAVERS,
    CRIPPLE_TICKS,
    CRIPPLERS,
    DAMAGE,
    FULL_HP,
    HEAL,
    HEALING_GLAND,
    HELIUM_BUBBLEGUM,
    IRON_BUBBLEGUM,
    MAGNUM,
    MEMBERS,
    PARALYZING_DART,
    PERFORMING,
    PISTOL,
    SHELL,
    SIDE_MEMBERS,
    TALONS,
    TROMBONE,
    VAMPIRE_GLAND,
    VAMPIRE_HEAL,
    f32,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
    ABILITY,
    CAST_STATE,
    CRIPPLE,
    FOCUS,
    HELIUM,
    HP,
    HURT,
    IRON,
    ITEM,
    OLD_QX,
    OLD_QY,
    OLD_QZ,
    QX,
    QY,
    QZ,
    RENDER_COS,
    RENDER_SIN,
    RENDER_X,
    RENDER_Y,
    RENDER_Z,
    TARGET,
)
from pearl_lightning.derk.interface import SLOTS

GUN_BEHIND, GUN_HEIGHT = f32(1.237), f32(1.1705)
DART_BEHIND, DART_HEIGHT = f32(0.3068), f32(2.1917)
"""Start of shots relative to the caster's last rendered pose, in metres (section 6.4)."""


@rule
def is_performing(n, me, ability):
    """Whether a unit performs an ability in this tick."""
    return n[CAST_STATE + me] == PERFORMING and n[ABILITY + me] == ability


@rule
def armour(n, member):
    """Divisor of the damage to a unit."""
    value = f32(1)
    if n[IRON + member] > 0:
        value += f32(3)
    if is_performing(n, member, SHELL):
        value += f32(5)
    return value


@rule
def perform_abilities(u, n, shots, shot_targets, weights, events, settings):
    """Apply the abilities that units perform in this tick: strike, shoot, heal, blow bubbles (rules, section 6)."""
    performed = 0  # one bit per ability: most ticks have none
    for me in range(MEMBERS):
        if n[CAST_STATE + me] == PERFORMING:
            performed |= 1 << n[ABILITY + me]
    if performed == 0:
        return
    if performed & (1 << TROMBONE):
        _play_trombones(n)
    for ability in (TALONS, CLEAVERS, BLOOD_CLAWS, CRIPPLERS):
        if performed & (1 << ability):
            _hit(u, n, weights, events, settings, ability)
    if performed & (1 << PARALYZING_DART):
        _launch(u, n, shots, shot_targets, PARALYZING_DART, DART_BEHIND, DART_HEIGHT)
    if performed & (1 << HEALING_GLAND):
        _heal(u, n, weights, events, settings)
    if performed & (1 << VAMPIRE_GLAND):
        _hit(u, n, weights, events, settings, VAMPIRE_GLAND)
    if performed & (1 << IRON_BUBBLEGUM | 1 << HELIUM_BUBBLEGUM):
        _blow_bubbles(n)
    for gun in (PISTOL, BLASTER, MAGNUM):
        if performed & (1 << gun):
            _launch(u, n, shots, shot_targets, gun, GUN_BEHIND, GUN_HEIGHT)


@rule
def _copies(n, me, ability):
    """Number of copies of an item that a unit holds; a cast triggers all of them (section 6.6)."""
    count = 0
    for slot in range(SLOTS):
        if n[ITEM + MEMBERS * slot + me] == ability:
            count += 1
    return count


@rule
def _play_trombones(n):
    for side_start in range(0, MEMBERS, SIDE_MEMBERS):
        musician = -1
        for member in range(side_start + SIDE_MEMBERS - 1, side_start, -1):
            if is_performing(n, member, TROMBONE):
                musician = member
        if musician >= 0:
            enemies = SIDE_MEMBERS - side_start
            for enemy in range(enemies + 1, enemies + SIDE_MEMBERS):
                n[FOCUS + enemy] = musician


@rule
def _hit(u, n, weights, events, settings, ability):
    for me in range(MEMBERS):
        if is_performing(n, me, ability):
            target = n[TARGET + me]
            for _ in range(_copies(n, me, ability)):
                strike(u, weights, events, settings, me, target, DAMAGE[ability] / armour(n, target))
    land_strikes(u)
    for me in range(MEMBERS):
        if is_performing(n, me, ability):
            if ability == CRIPPLERS:
                n[CRIPPLE + n[TARGET + me]] = CRIPPLE_TICKS
            if ability == VAMPIRE_GLAND:
                u[HP + me] = clip(u[HP + me] + VAMPIRE_HEAL, f32(0), FULL_HP)


@rule
def _heal(u, n, weights, events, settings):
    for me in range(MEMBERS):
        if is_performing(n, me, HEALING_GLAND):
            target = n[TARGET + me]
            for _ in range(_copies(n, me, HEALING_GLAND)):
                pay_heal(u, weights, events, settings, me, target)
                u[HURT + target] -= HEAL
    land_strikes(u)


@rule
def _blow_bubbles(n):
    for me in range(MEMBERS):
        if is_performing(n, me, IRON_BUBBLEGUM):
            n[IRON + n[TARGET + me]] = BUBBLE_TICKS
        if is_performing(n, me, HELIUM_BUBBLEGUM):
            n[HELIUM + n[TARGET + me]] = BUBBLE_TICKS


@rule
def _launch(u, n, shots, shot_targets, gun, behind, height):
    for me in range(MEMBERS):
        if me % SIDE_MEMBERS == 0 or not is_performing(n, me, gun):
            continue
        for slot in range(SLOTS):
            if n[ITEM + MEMBERS * slot + me] == gun:
                shot = agent_of(me) * SLOTS + slot
                shots[QX + shot] = u[RENDER_X + me] - behind * u[RENDER_COS + me]
                shots[QY + shot] = u[RENDER_Y + me] - behind * u[RENDER_SIN + me]
                shots[QZ + shot] = u[RENDER_Z + me] + height
                shots[OLD_QX + shot] = shots[QX + shot]
                shots[OLD_QY + shot] = shots[QY + shot]
                shots[OLD_QZ + shot] = shots[QZ + shot]
                shot_targets[shot] = n[TARGET + me]
