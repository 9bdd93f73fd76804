"""Who plays the other team: batched torch policies, and the registry that names them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import (
    ACTION_SPACE,
    FOCUS_RANGE,
    ITEMS_BY_SLOT,
    TARGETS,
    TICKS_PER_STEP,
    observation_index,
)


class Opponent(ABC):
    """A policy for the three agents of a team that sees observations only and remembers nothing."""

    @abstractmethod
    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Legal actions for a batch of teams.

        Args:
            observation: ``[arena, 3, 64]``, each team's own view.
            generator: Source of every random number, on the observation's device.

        Returns:
            Actions ``[arena, 3, 5]`` on the observation's device.
        """


class IdleOpponent(Opponent):
    """Does nothing."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)


class RandomOpponent(Opponent):
    """Draws every action uniformly from the legal ones."""

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return ACTION_SPACE.sample(tuple(observation.shape[:-1]), generator, observation.device)


_ENEMIES = ("Enemy1", "Enemy2", "Enemy3")
_STATUE = "EnemyStatue"
_CANDIDATES = (*_ENEMIES, _STATUE)
_GUNS = ("Pistol", "Magnum", "Blaster")
_HARMFUL = (*ITEMS_BY_SLOT["arms"], "VampireGland", "ParalyzingDart", "HeliumBubblegum")
_ROTATION_PER_STEP = 0.15 * TICKS_PER_STEP  # radians at Rotate = 1


class AttackerOpponent(Opponent):
    """Hunts the nearest living enemy and harms it with whatever is ready; the statue comes last, or when it is near.

    It asks for its target's focus only while the game would grant it (in front, within 30 m) and keeps ChangeFocus at
    0 otherwise, because asking in vain drops the focus. Toward other targets it turns on the spot (behind) or walks
    (out of range). Of its slots it tries those that are ready and, items being in their natural slots, hold something
    harmful, one drawn at random per step, which cycles through them.

    Args:
        near_statue: Metres within which the statue counts as a target while enemies live.
        gun_range: Metres from which an agent with a gun stands still and aims.
        gun_clearance: Metres below which an agent with a gun backs off; shots need 1.5 m.
    """

    def __init__(self, *, near_statue: float = 8.0, gun_range: float = 10.0, gun_clearance: float = 3.0) -> None:
        if not 0 <= near_statue < FOCUS_RANGE:
            raise ValueError(f"near_statue must be in [0, {FOCUS_RANGE:g}), got {near_statue}")
        if not 0 <= gun_clearance < gun_range < FOCUS_RANGE:
            raise ValueError(
                f"gun_clearance < gun_range must be in [0, {FOCUS_RANGE:g}), got {gun_clearance} and {gun_range}"
            )
        self.near_statue, self.gun_range, self.gun_clearance = near_statue, gun_range, gun_clearance
        self._distance = [observation_index(f"{target}Distance") for target in _CANDIDATES]
        self._angle = [observation_index(f"{target}Angle") for target in _CANDIDATES]
        self._change_focus = torch.tensor([TARGETS.index(target) + 1 for target in _CANDIDATES], dtype=torch.float32)
        self._ready = [observation_index(f"Ability{slot}Ready") for slot in range(len(ITEMS_BY_SLOT))]
        self._harmful = [
            [observation_index(f"Has{i}") for i in items if i in _HARMFUL] for items in ITEMS_BY_SLOT.values()
        ]
        self._guns = [observation_index(f"Has{gun}") for gun in _GUNS]

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        target, exists = self._choose_target(observation)
        distance = observation[..., self._distance].gather(-1, target).squeeze(-1) * FOCUS_RANGE
        angle = observation[..., self._angle].gather(-1, target).squeeze(-1)  # shares of pi, left is positive
        in_front = exists & (angle.abs() < 0.5)
        focusable = in_front & (distance < FOCUS_RANGE)
        has_gun = (observation[..., self._guns] > 0.5).any(-1)
        aims = focusable & has_gun & (distance < self.gun_range)
        backs_off = aims & (distance < self.gun_clearance)

        action = observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
        move, rotate, chase, casting, focus = action.unbind(-1)
        # Speed is (1 - chase) * move + chase: 0.5 with -1 aims on the spot, 0.25 with -1 walks backwards.
        chase[focusable] = 1.0
        chase[aims] = 0.5
        chase[backs_off] = 0.25
        move[in_front & ~focusable] = 1.0
        move[aims] = -1.0
        steers = exists & ~focusable
        rotate[steers] = (angle * math.pi / _ROTATION_PER_STEP).clamp(-1.0, 1.0)[steers]
        wanted = self._change_focus.to(observation)[target.squeeze(-1)]
        focus[focusable] = wanted[focusable]
        casting[focusable] = self._choose_slot(observation, generator)[focusable]
        return action

    def _choose_target(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Index among the candidates ``[arena, agent, 1]``, and whether any of them lives ``[arena, agent]``."""
        distance = observation[..., self._distance]  # 2 for the dead, at most 1 for the living
        alive = distance < 1.5
        enemies_live = alive[..., :-1].any(-1)
        statue_counts = ~enemies_live | (distance[..., -1] * FOCUS_RANGE < self.near_statue)
        eligible = torch.cat([alive[..., :-1], (alive[..., -1] & statue_counts).unsqueeze(-1)], dim=-1)
        target = distance.masked_fill(~eligible, math.inf).argmin(dim=-1, keepdim=True)
        return target, eligible.any(-1)

    def _choose_slot(self, observation: Tensor, generator: torch.Generator | None) -> Tensor:
        """CastingSlot ``[arena, agent]``: a random one of the ready and harmful slots, 0 when there is none."""
        ready = observation[..., self._ready] > 0.5
        harmful = torch.stack([(observation[..., flags] > 0.5).any(-1) for flags in self._harmful], dim=-1)
        castable = ready & harmful
        priority = torch.rand(castable.shape, generator=generator, device=observation.device)
        slot = priority.masked_fill(~castable, -1.0).argmax(dim=-1) + 1
        return torch.where(castable.any(-1), slot, 0).to(observation.dtype)


OPPONENTS: dict[str, Callable[[], Opponent]] = {
    "random": RandomOpponent,
    "idle": IdleOpponent,
    "attacker": AttackerOpponent,
}
"""Makers of opponents by the name a task calls them; add to it before making an environment."""


def make_opponent(name: str) -> Opponent:
    """The opponent a task calls ``name``.

    Raises:
        ValueError: No opponent has that name.
    """
    if name not in OPPONENTS:
        raise ValueError(f"unknown opponent {name!r}; known ones: {', '.join(OPPONENTS)}")
    return OPPONENTS[name]()
