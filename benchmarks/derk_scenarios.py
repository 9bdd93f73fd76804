"""Scripted matches for ``benchmarks.derk_record``: ordinary fights, and rare cases of the rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    FOCUS_RANGE,
    ITEMS,
    SLOTS,
    TICKS_PER_STEP,
    observation_index,
)
from pearl_lightning.derk.opponents import AttackerOpponent, IdleOpponent, RandomOpponent
from pearl_lightning.derk.recordings import places
from pearl_lightning.derk.tasks import DerkTask, LoadoutTasks

Policy = Callable[[Tensor, torch.Generator], Tensor]
"""Function from observations ``[arena, 3, 64]`` to actions ``[arena, 3, 5]``; some actions may be illegal."""

BOUNTIES = {
    "damageEnemyUnit": 0.01, "damageEnemyStatue": 0.003, "friendlyFire": -0.05, "killEnemyUnit": 3.0,
    "killEnemyStatue": 7.0, "healFriendlyStatue": 0.002, "healTeammate1": 0.02, "healTeammate2": 0.03,
    "healEnemy": -0.07, "damageTaken": -0.0005, "statueDamageTaken": -0.0003, "fallDamageTaken": -5.0,
    "timeSpentHomeBase": 0.11, "timeSpentHomeTerritory": 0.13, "timeSpentAwayTerritory": 0.17,
    "timeSpentAwayBase": 0.19, "victory": 100.0, "loss": -100.0, "tie": 50.0,
}  # fmt: skip
"""Bounties with a different reward for every event."""
SHARED = {"teamSpirit": 0.3, "timeScaling": 0.8}
"""Additional bounties of the away team."""

_ROTATION_PER_STEP = 0.15 * TICKS_PER_STEP  # radians at Rotate = 1
_FIRST_ENEMY = 5  # ChangeFocus


class Brawler:
    """Moves like the attacker and uses random slots on its focus, including friends.

    Args:
        friendly: Probability per step to focus a friend.
    """

    def __init__(self, friendly: float = 0.1) -> None:
        self.friendly, self._attacker = friendly, AttackerOpponent()

    def __call__(self, observation: Tensor, generator: torch.Generator) -> Tensor:
        action = self._attacker(observation, generator)
        shape = action.shape[:-1]
        action[..., 3] = torch.randint(0, 1 + SLOTS, shape, generator=generator).float()
        friend = torch.randint(1, 4, shape, generator=generator).float()
        turns_to_friend = torch.rand(shape, generator=generator) < self.friendly
        action[..., 4] = torch.where(turns_to_friend, friend, action[..., 4])
        return action


def mob(observation: Tensor, generator: torch.Generator) -> Tensor:
    """All chase the enemy's first agent and use random slots."""
    action = observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
    distance = observation[..., observation_index("Enemy1Distance")] * FOCUS_RANGE
    angle = observation[..., observation_index("Enemy1Angle")] * math.pi
    in_front = (angle.abs() < 1.0) & (distance < FOCUS_RANGE)
    slots = torch.randint(1, 1 + SLOTS, angle.shape, generator=generator).float()
    action[..., 1] = torch.where(in_front, 0.0, (angle / _ROTATION_PER_STEP).clamp(-1, 1))
    action[..., 2] = in_front.float()
    action[..., 3] = torch.where(in_front, slots, 0.0)
    action[..., 4] = torch.where(in_front, _FIRST_ENEMY, 0.0)
    return action


def retreat(observation: Tensor, generator: torch.Generator) -> Tensor:
    """Run backwards, facing the enemy's first agent."""
    action = observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
    action[..., 0] = -1.0
    angle = observation[..., observation_index("Enemy1Angle")] * math.pi
    action[..., 1] = (angle / _ROTATION_PER_STEP).clamp(-1, 1)
    return action


def climb_to_own_statue(observation: Tensor, generator: torch.Generator) -> Tensor:
    """Walk to the own statue from the side, because the front of its plateau is too steep."""
    statue, flanks = torch.tensor([51.0, 51.0]), torch.tensor([[49.5, 57.5], [57.5, 49.5]])
    place = places(observation).float()
    to_statue = statue - place
    bearing = torch.atan2(-to_statue[..., 1], -to_statue[..., 0])  # of the agent, seen from the statue
    nearest = (place.unsqueeze(-2) - flanks).norm(dim=-1).argmin(-1)
    is_in_front = (bearing > math.radians(5)) & (bearing < math.radians(85))
    to_goal = torch.where(is_in_front.unsqueeze(-1), flanks[nearest] - place, to_statue)
    angle_to_statue = observation[..., observation_index("FriendStatueAngle")] * math.pi
    heading = torch.atan2(to_statue[..., 1], to_statue[..., 0]) - angle_to_statue
    turn = (torch.atan2(to_goal[..., 1], to_goal[..., 0]) - heading + math.pi).remainder(2 * math.pi) - math.pi
    action = observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
    arrived = to_statue.norm(dim=-1) < 2.5
    action[..., 0] = torch.where((turn.abs() < 0.3) & ~arrived, 0.6, 0.0)
    action[..., 1] = torch.where(arrived, 0.0, (turn / _ROTATION_PER_STEP).clamp(-1, 1))
    return action


def stand_and_cast(observation: Tensor, generator: torch.Generator) -> Tensor:
    """Use the first slot in every step."""
    action = observation.new_zeros(*observation.shape[:-1], ACTION_SPACE.width)
    action[..., 3] = 1.0
    return action


def unruly(observation: Tensor, generator: torch.Generator) -> Tensor:
    """Play random actions beyond the action space, including fractions of choices."""
    low, high = torch.tensor([-2.0, -2.0, -0.5, -1.9, -0.9]), torch.tensor([2.0, 2.0, 1.5, 4.9, 9.9])
    uniform = torch.rand(*observation.shape[:-1], ACTION_SPACE.width, generator=generator)
    return low + (high - low) * uniform


@dataclass(frozen=True)
class Scenario:
    """A match of one arena.

    Args:
        name: Name of the tested case.
        task: Loadouts and bounties.
        policies: Policies of the home team and of the away team.
    """

    name: str
    task: DerkTask
    policies: tuple[Policy, Policy]


def _scenario(
    name: str, home: Sequence[Sequence[str | None]], away: Sequence[Sequence[str | None]], *policies: Policy
) -> Scenario:
    task = DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=BOUNTIES, away_bounties=BOUNTIES | SHARED)
    return Scenario(name, task, (policies[0], policies[-1]))


def scenarios() -> list[Scenario]:
    """Return all scenarios. Together they contain every item, and every item twice in one unit."""
    attacker, random, brawler, idle = AttackerOpponent(), RandomOpponent(), Brawler(), IdleOpponent()
    drawn = [LoadoutTasks(train_tasks=6, test_tasks=0, seed=1, filled_slots=0.8)[index] for index in range(6)]
    natural = [(task.home_loadouts, task.away_loadouts) for task in drawn]
    twice = [(item, item, ITEMS[(7 * number + 3) % len(ITEMS)]) for number, item in enumerate(ITEMS)]
    twice = [twice[(4 * number) % len(twice)] for number in range(len(twice))]  # shuffled: 4 and 15 share no factor
    none = (None,) * SLOTS
    blasters, pistols, magnums, claws = ((item,) * SLOTS for item in ("Blaster", "Pistol", "Magnum", "Talons"))
    glands, cleavers, shells = (("HealingGland",) * 2 + (None,), ("Cleavers",) * 2 + (None,), ("Shell",) * 2 + (None,))
    bubbles = ("IronBubblegum", "IronBubblegum", "HeliumBubblegum"), ("HeliumBubblegum", "HeliumBubblegum", None)
    return [
        _scenario("attackers_0", *natural[0], attacker),
        _scenario("attackers_1", *natural[1], attacker),
        _scenario("attackers_2", *natural[2], attacker),
        _scenario("attacker_random_0", *natural[3], attacker, random),
        _scenario("attacker_random_1", *natural[4], attacker, random),
        _scenario("duplicates_0", twice[0:3], twice[3:6], brawler),
        _scenario("duplicates_1", twice[5:8], twice[8:11], brawler),
        _scenario("duplicates_2", twice[9:12], twice[12:15], brawler),
        _scenario("shooters_die", [blasters, pistols, blasters], [blasters] * 3, brawler),
        _scenario("healed_when_killed", [glands, claws, claws], [none] * 3, mob, idle),
        _scenario("armoured_twice", [cleavers, *bubbles], [shells] * 3, mob, stand_and_cast),
        _scenario("pushed_twice", [magnums] * 3, [none] * 3, mob, idle),
        _scenario("shots_chase", [pistols] * 3, [none] * 3, mob, retreat),
        _scenario("own_statue", [none] * 3, [none] * 3, climb_to_own_statue),
        _scenario("unruly", *natural[5], unruly),
    ]
