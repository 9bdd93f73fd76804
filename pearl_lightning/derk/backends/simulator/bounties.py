"""Rewards: events as they happen, and the end of a tick (section 10)."""

from __future__ import annotations

import math

from pearl_lightning.derk.backends.simulator.arithmetic import clip
from pearl_lightning.derk.backends.simulator.rules import (
    BASE_RADIUS,
    BOUNTIES,
    CENTRE,
    DAMAGE_ENEMY_STATUE,
    DAMAGE_ENEMY_UNIT,
    DAMAGE_TAKEN,
    FRIENDLY_FIRE,
    FULL_HP,
    HEAL,
    HEAL_ENEMY,
    HEAL_FRIENDLY_STATUE,
    HEAL_TEAMMATE_1,
    HEAL_TEAMMATE_2,
    KILL_ENEMY_STATUE,
    KILL_ENEMY_UNIT,
    LOSS,
    MEMBERS,
    REGENERATION,
    SIDE_MEMBERS,
    STATUE_DAMAGE_TAKEN,
    STATUE_POINTS,
    TEAM_SPIRIT,
    TERRITORY_PERIOD,
    TIE,
    TIME_AWAY_BASE,
    TIME_AWAY_TERRITORY,
    TIME_HOME_BASE,
    TIME_HOME_TERRITORY,
    TIME_SCALING,
    UNIT_POINTS,
    VICTORY,
    f32,
    rule,
)
from pearl_lightning.derk.backends.simulator.state import (
    ALIVE_TICKS,
    CUMULATIVE_HP,
    GAIN,
    GOLD,
    HP,
    HP_BEFORE,
    HURT,
    X,
    Y,
    Z,
)
from pearl_lightning.derk.interface import AGENTS, SIDES


@rule
def agent_of(member):
    """Index of a Derkling among the six Derklings of both sides."""
    return member - 1 if member < SIDE_MEMBERS else member - 2


@rule
def earn(u, weights, events, settings, me, bounty, amount):
    """Reward a Derkling for an event of this tick."""
    agent = agent_of(me)
    u[GAIN + me] += weights[BOUNTIES * agent + bounty] * amount
    if settings.counts_events:
        events[BOUNTIES * agent + bounty] += amount


@rule
def strike(u, weights, events, settings, me, target, damage):
    """Reward damage and a kill, and record the damage. ``land_strikes`` applies it after all strikes of one kind."""
    hp = u[HP + target]
    kills = hp - damage < f32(0)
    paid = damage
    if settings.corrected:
        hp = hp - u[HURT + target]
        kills = hp > f32(0) and hp - damage <= f32(0)
        paid = clip(hp, f32(0), damage)
    u[HURT + target] += damage
    if target // SIDE_MEMBERS == me // SIDE_MEMBERS:
        earn(u, weights, events, settings, me, FRIENDLY_FIRE, paid)
        return
    is_statue = target % SIDE_MEMBERS == 0
    earn(u, weights, events, settings, me, DAMAGE_ENEMY_STATUE if is_statue else DAMAGE_ENEMY_UNIT, paid)
    if kills:
        earn(u, weights, events, settings, me, KILL_ENEMY_STATUE if is_statue else KILL_ENEMY_UNIT, f32(1))


@rule
def land_strikes(u):
    """Subtract the recorded damage from the hitpoints of all members."""
    for member in range(MEMBERS):
        u[HP + member] -= u[HURT + member]
        u[HURT + member] = f32(0)


@rule
def pay_heal(u, weights, events, settings, me, target):
    """Reward the hitpoints that a heal restores; the bounty depends on the target."""
    healed = clip(u[HP + target] + HEAL, f32(0), FULL_HP) - u[HP + target]
    bounty = HEAL_ENEMY
    if target // SIDE_MEMBERS == me // SIDE_MEMBERS:
        own = me - me % SIDE_MEMBERS
        if target == own:
            bounty = HEAL_FRIENDLY_STATUE
        else:  # the first teammate is the lower of the two members that are not me
            first = own + 2 if me == own + 1 else own + 1
            bounty = HEAL_TEAMMATE_1 if target == first else HEAL_TEAMMATE_2
    earn(u, weights, events, settings, me, bounty, healed)


@rule
def settle_tick(u, n, weights, events, settings, tick):
    """Stages 10 to 16 of a tick: damage taken, regeneration, statistics, territory, sharing, scaling."""
    for member in range(MEMBERS):
        if member % SIDE_MEMBERS == 0:
            continue
        statue = member - member % SIDE_MEMBERS
        taken = u[HP_BEFORE + member] - clip(u[HP + member], f32(0), FULL_HP)
        if taken > f32(0):
            earn(u, weights, events, settings, member, DAMAGE_TAKEN, taken)
        statue_taken = u[HP_BEFORE + statue] - u[HP + statue]
        if statue_taken > f32(0):
            earn(u, weights, events, settings, member, STATUE_DAMAGE_TAKEN, statue_taken)
    for member in range(MEMBERS):
        hp = clip(u[HP + member], f32(0), FULL_HP)
        u[HP_BEFORE + member] = hp
        if hp > f32(0):
            hp = clip(hp + REGENERATION, f32(0), FULL_HP)
            n[ALIVE_TICKS + member] += 1
        u[HP + member] = hp
        u[CUMULATIVE_HP + member] += hp
    if tick % TERRITORY_PERIOD == 0:
        _pay_territory(u, weights, events, settings)
    _share_gains(u, weights, f32(tick) / f32(settings.episode_ticks))


@rule
def _pay_territory(u, weights, events, settings):
    for member in range(MEMBERS):
        if member % SIDE_MEMBERS == 0:
            continue
        home = member < SIDE_MEMBERS
        forward = (u[X + member] - CENTRE) + (u[Y + member] - CENTRE)
        if not home:
            forward = -forward
        if forward > f32(0):
            near = _is_at_base(u, member, not home)
            bounty = TIME_AWAY_BASE if near else TIME_AWAY_TERRITORY
        else:
            near = _is_at_base(u, member, home)
            bounty = TIME_HOME_BASE if near else TIME_HOME_TERRITORY
        earn(u, weights, events, settings, member, bounty, f32(1))


@rule
def _is_at_base(u, member, of_home):
    statue = 0 if of_home else SIDE_MEMBERS
    height = u[Z + statue] if of_home else -u[Z + statue]  # wrong sign, as in the game: no unit is ever near enough
    dx, dy, dz = u[X + member] - u[X + statue], u[Y + member] - u[Y + statue], u[Z + member] - height
    return math.sqrt(dx * dx + dy * dy + dz * dz) < BASE_RADIUS


@rule
def _share_gains(u, weights, elapsed):
    """Mix each gain with the team's mean, scale it by the elapsed time, and add it to the gold."""
    for side in range(SIDES):
        first = SIDE_MEMBERS * side + 1
        a, b, c = u[GAIN + first], u[GAIN + first + 1], u[GAIN + first + 2]
        if a == f32(0) and b == f32(0) and c == f32(0):
            continue
        mean = (a + b + c) / f32(AGENTS)
        for member in range(first, first + AGENTS):
            agent = agent_of(member)
            spirit, scaling = weights[BOUNTIES * agent + TEAM_SPIRIT], weights[BOUNTIES * agent + TIME_SCALING]
            gain = spirit * mean + (f32(1) - spirit) * u[GAIN + member]
            u[GOLD + member] += gain * ((f32(1) - elapsed) + scaling * elapsed)
            u[GAIN + member] = f32(0)


@rule
def pay_result(u, weights, events, settings):
    """Reward the result of the match in the last tick of an episode, not shared and not scaled (section 11)."""
    points = 0  # home's minus away's
    for member in range(MEMBERS):
        if u[HP + member] <= f32(0):
            worth = STATUE_POINTS if member % SIDE_MEMBERS == 0 else UNIT_POINTS
            points += worth if member >= SIDE_MEMBERS else -worth
    for member in range(MEMBERS):
        if member % SIDE_MEMBERS == 0:
            continue
        ahead = points if member < SIDE_MEMBERS else -points
        bounty = VICTORY if ahead > 0 else LOSS if ahead < 0 else TIE
        earn(u, weights, events, settings, member, bounty, f32(1))
        u[GOLD + member] += u[GAIN + member]
        u[GAIN + member] = f32(0)
