"""Building blocks of scripted opponents: named access to a team's observations, and movement."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    FOCUS_RANGE,
    ITEMS_BY_SLOT,
    TARGETS,
    TICKS_PER_STEP,
    observation_index,
)

FRIEND_STATUE, ENEMY_STATUE = TARGETS.index("FriendStatue"), TARGETS.index("EnemyStatue")
ENEMIES = slice(ENEMY_STATUE + 1, len(TARGETS))
"""Indices of the enemies in ``TARGETS``."""
HARMFUL = (*ITEMS_BY_SLOT["arms"], "VampireGland", "ParalyzingDart", "HeliumBubblegum")

_FIRST, _LAST = observation_index("FriendStatueDistance"), observation_index("Enemy3Angle")
_ROTATION_PER_STEP = 0.15 * TICKS_PER_STEP  # radians at Rotate = 1
_ARMS_LENGTH = 3.0  # metres; an agent that is stuck nearer to its target than this is stuck on the target


class TeamView:
    """Observations of the agents of many teams, in metres and radians.

    Args:
        observation: ``[arena, agent, 64]``.

    Attributes:
        distance: Distance to each of ``TARGETS``, ``[arena, agent, target]``; at most 30, or 60 for a dead target.
        angle: Angle to each target relative to the agent's heading, positive to the left; 0 for a dead target.
        lives: Whether each target is alive.
        ready: Whether each slot has no cooldown left, ``[arena, agent, slot]``.
        is_stuck: Whether the agent walks but makes no progress, ``[arena, agent]``.
    """

    def __init__(self, observation: Tensor) -> None:
        self.observation = observation
        self.distance = observation[..., _FIRST:_LAST:2] * FOCUS_RANGE
        self.angle = observation[..., _FIRST + 1 : _LAST + 1 : 2] * math.pi
        self.lives = self.distance < 1.5 * FOCUS_RANGE
        self.is_stuck = self._is_set("Stuck")
        self.ready = torch.stack([self._is_set(f"Ability{slot}Ready") for slot in range(len(ITEMS_BY_SLOT))], dim=-1)

    def holds(self, *items: str) -> Tensor:
        """Whether each slot holds one of ``items`` ``[arena, agent, slot]``; assumes items in their natural slots."""
        slots = [
            sum((self._is_set(f"Has{item}") for item in natural if item in items), torch.zeros_like(self.ready[..., 0]))
            for natural in ITEMS_BY_SLOT.values()
        ]
        return torch.stack(slots, dim=-1) > 0

    def castable(self, *items: str) -> Tensor:
        """Whether each slot holds one of ``items`` and is ready ``[arena, agent, slot]``."""
        return self.holds(*items) & self.ready

    def nearest(self, eligible: Tensor) -> Tensor:
        """Nearest of the ``eligible [arena, agent, target]`` targets, ``[arena, agent]``; -1 if there is none."""
        nearest = self.distance.masked_fill(~eligible, math.inf).argmin(dim=-1)
        return torch.where(eligible.any(-1), nearest, -1)

    def enemies(self) -> Tensor:
        """Whether each target is a living enemy, not counting the statue: ``[arena, agent, target]``."""
        enemies = self.lives.clone()
        enemies[..., : ENEMIES.start] = False
        return enemies

    def only(self, target: int) -> Tensor:
        """Whether each target has this index and is alive: ``[arena, agent, target]``."""
        mask = torch.zeros_like(self.lives)
        mask[..., target] = self.lives[..., target]
        return mask

    def apart(self, target: int) -> Tensor:
        """Horizontal distance in metres from the target with this index to every target: ``[arena, agent, target]``."""
        x, y = self.distance * self.angle.cos(), self.distance * self.angle.sin()
        return torch.hypot(x - x[..., target, None], y - y[..., target, None])

    def _is_set(self, key: str) -> Tensor:
        return self.observation[..., observation_index(key)] > 0.5


def pick_slot(castable: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw a CastingSlot ``[arena, agent]`` from the ``castable [arena, agent, slot]``; 0 if there is none.

    A new draw at every step tries all slots in turn, even if some do not reach the target.
    """
    priority = torch.rand(castable.shape, generator=generator, device=castable.device)
    slot = priority.masked_fill(~castable, -1.0).argmax(dim=-1) + 1
    return torch.where(castable.any(-1), slot, 0)


def pursue(
    view: TeamView, target: Tensor, slot: Tensor, near: Tensor | float = 0.0, far: Tensor | float = 0.0
) -> Tensor:
    """Move to a target, focus it and cast at it.

    The agent sets the focus only if the game would accept it (target in front, within 30 m) and keeps its focus
    otherwise, because a rejected choice drops the focus. If the target is behind, the agent turns on the spot; if it is
    out of range, the agent walks. An agent that is stuck turns left for one step: the bases of statues can be climbed
    only from some sides.

    Args:
        view: Observations of the teams.
        target: Indices in ``TARGETS`` ``[arena, agent]``; -1 to do nothing.
        slot: CastingSlot to use while the target is focused ``[arena, agent]``.
        near: Distance in metres below which the agent backs off.
        far: Distance in metres below which the agent stands and aims.

    Returns:
        Actions ``[arena, agent, 5]``.
    """
    exists, place = target >= 0, target.clamp(min=0).unsqueeze(-1)
    distance, angle = view.distance.gather(-1, place).squeeze(-1), view.angle.gather(-1, place).squeeze(-1)
    in_front = exists & (angle.abs() < math.pi / 2)
    focusable = in_front & (distance < FOCUS_RANGE)
    aims, backs_off = focusable & (distance < far), focusable & (distance < near)
    # Speed is (1 - chase) * move + chase: 0.5 with -1 aims on the spot, 0.25 with -1 walks backwards.
    chase = torch.where(backs_off, 0.25, torch.where(aims, 0.5, focusable.to(distance)))
    move = torch.where(aims | backs_off, -1.0, (in_front & ~focusable).to(distance))
    rotate = torch.where(exists & ~focusable, _turn(angle), 0.0)
    evades = in_front & view.is_stuck & (distance > _ARMS_LENGTH)
    move, rotate, chase = torch.where(evades, 1.0, move), torch.where(evades, 1.0, rotate), chase * ~evades
    zero = torch.zeros_like(slot)
    casting, focus = torch.where(focusable, slot, zero), torch.where(focusable, target + 1, zero)
    return torch.stack([move, rotate, chase, casting.to(move), focus.to(move)], dim=-1)


def walk(view: TeamView, angle: Tensor) -> Tensor:
    """Turn by ``angle`` radians ``[arena, agent]`` and walk once that direction is in front; turn left if stuck.

    Returns:
        Actions ``[arena, agent, 5]``.
    """
    action = angle.new_zeros(*angle.shape, ACTION_SPACE.width)
    action[..., 0] = (angle.abs() < math.pi / 2).to(angle)
    action[..., 1] = torch.where(view.is_stuck, 1.0, _turn(angle))
    return action


def where(condition: Tensor, action: Tensor, otherwise: Tensor) -> Tensor:
    """Select ``action`` or ``otherwise`` ``[arena, agent, 5]`` for each agent by a condition ``[arena, agent]``."""
    return torch.where(condition.unsqueeze(-1), action, otherwise)


def _turn(angle: Tensor) -> Tensor:
    return (angle / _ROTATION_PER_STEP).clamp(-1.0, 1.0)
