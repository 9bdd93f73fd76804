"""One step of one match: the stages of each tick in order (section 4), then observations and rewards."""

from __future__ import annotations

from pearl_lightning.derk.backends.simulator.abilities import perform_abilities
from pearl_lightning.derk.backends.simulator.arithmetic import cosine_sine
from pearl_lightning.derk.backends.simulator.bounties import pay_result, settle_tick
from pearl_lightning.derk.backends.simulator.buffs import update_buffs
from pearl_lightning.derk.backends.simulator.casting import update_casts
from pearl_lightning.derk.backends.simulator.focus import update_focus
from pearl_lightning.derk.backends.simulator.movement import update_movement
from pearl_lightning.derk.backends.simulator.physics import move_units
from pearl_lightning.derk.backends.simulator.projectiles import fly_shots
from pearl_lightning.derk.backends.simulator.rules import MEMBERS, SIDE_MEMBERS, rule
from pearl_lightning.derk.backends.simulator.senses import sense
from pearl_lightning.derk.backends.simulator.state import (
    CASTING_SLOT,
    CHANGE_FOCUS,
    CHASE,
    COS,
    GOLD,
    HEADING,
    MOVE,
    RENDER_COS,
    RENDER_SIN,
    RENDER_X,
    RENDER_Y,
    RENDER_Z,
    ROTATE,
    SIN,
    X,
    Y,
    Z,
)
from pearl_lightning.derk.interface import AGENTS, SIDES
from pearl_lightning.derk.interface import CASTING_SLOT as CASTING_SLOTS
from pearl_lightning.derk.interface import CHANGE_FOCUS as FOCUS_CHOICES


@rule
def step_match(u, n, shots, shot_targets, weights, events, terrain, settings, tick, action, observation, reward, arena):
    """Play the ticks of one step that follow ``tick``.

    Args:
        u: The arena's row of ``MatchState.numbers``.
        n: The arena's row of ``MatchState.counts``.
        shots: The arena's row of ``MatchState.shots``.
        shot_targets: The arena's row of ``MatchState.shot_targets``.
        weights: The arena's row of ``MatchState.weights``.
        events: The arena's row of ``MatchState.events``.
        terrain: Terrain.
        settings: Settings.
        tick: Number of ticks played so far.
        action: Actions of all arenas ``[side, arena, agent, 5]``.
        observation: Output for all arenas ``[side, arena, agent, 64]``; only this arena's part is written.
        reward: Output for all arenas ``[side, arena, agent]``; only this arena's part is written.
        arena: Index of this arena.
    """
    for side in range(SIDES):
        for agent in range(AGENTS):
            member = SIDE_MEMBERS * side + 1 + agent
            _hold_action(u, n, member, action[side, arena, agent])
            reward[side, arena, agent] = u[GOLD + member]
    _render(u)
    for _ in range(settings.substeps):
        tick += 1
        if tick < settings.episode_ticks:
            if not settings.turbo:
                _render(u)
            update_focus(u, n)
            update_casts(u, n, tick, settings.recorded)
            update_movement(u, n, settings.recorded)
            perform_abilities(u, n, shots, shot_targets, weights, events, settings)
            update_buffs(u, n)
            fly_shots(u, n, shots, shot_targets, weights, events, settings)
            move_units(u, n, terrain, weights, events, settings)
            settle_tick(u, n, weights, events, settings, tick)
        elif tick == settings.episode_ticks:
            pay_result(u, weights, events, settings)
    for side in range(SIDES):
        for agent in range(AGENTS):
            member = SIDE_MEMBERS * side + 1 + agent
            reward[side, arena, agent] = u[GOLD + member] - reward[side, arena, agent]
    sense_match(u, n, terrain, settings.recorded, observation, arena)


@rule
def sense_match(u, n, terrain, recorded, observation, arena):
    """Write the observations of an arena's six agents."""
    for side in range(SIDES):
        for agent in range(AGENTS):
            sense(u, n, terrain, SIDE_MEMBERS * side + 1 + agent, observation[side, arena, agent], recorded)


@rule
def face_match(u, recorded):
    """Compute every member's direction from its heading."""
    for member in range(MEMBERS):
        u[COS + member], u[SIN + member] = cosine_sine(u[HEADING + member], recorded)


@rule
def _hold_action(u, n, member, action):
    """Store an action. Choices are truncated; above the last value, a focus is the last focus and a slot is no slot
    (sections 5.4, 5.5)."""
    u[MOVE + member], u[ROTATE + member], u[CHASE + member] = action[0], action[1], action[2]
    slot, focus = int(action[3]), int(action[4])
    n[CASTING_SLOT + member] = slot if 0 <= slot < len(CASTING_SLOTS) else 0
    n[CHANGE_FOCUS + member] = min(max(focus, -1), len(FOCUS_CHOICES) - 1)


@rule
def _render(u):
    """Store the poses as rendered; shots start at the last rendered pose of their caster (section 6.4)."""
    for member in range(MEMBERS):
        u[RENDER_X + member], u[RENDER_Y + member], u[RENDER_Z + member] = u[X + member], u[Y + member], u[Z + member]
        u[RENDER_COS + member], u[RENDER_SIN + member] = u[COS + member], u[SIN + member]
