"""Matches for the simulator's tests: units placed by hand, played tick by tick, read by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.backends.simulator.state import MatchState
from pearl_lightning.derk.backends.simulator.terrain import FIRST_TEXEL, FLAT_HEIGHT, TEXELS, Terrain
from pearl_lightning.derk.interface import ACTION_KEYS, AGENTS, SIDES, SLOTS, observation_index
from pearl_lightning.derk.tasks import DerkTask

HOME_STATUE, HOME, AWAY_STATUE, AWAY = 0, (1, 2, 3), 4, (5, 6, 7)
"""Members of a match."""
DERKLINGS = (*HOME, *AWAY)
REGENERATION = 25 / 1200
"""Hitpoints per tick: 25 in an episode."""
EMPTY: tuple[tuple[None, ...], ...] = ((None,) * SLOTS,) * AGENTS
IDLE = DerkTask(home_loadouts=EMPTY, away_loadouts=EMPTY)
"""Nobody holds anything; the game's own bounties."""
UNSCALED = {"killEnemyStatue": 0.0, "killEnemyUnit": 0.0, "timeScaling": 1.0}
"""No bounty pays; those merged over it pay the same at any time."""

Actions = Mapping[int, Mapping[str, float]]
"""Action of each member, by name; all other numbers are 0."""


@dataclass(frozen=True)
class Unit:
    """Start, items and rewards of a Derkling.

    Args:
        x, y, z: Metres.
        heading: Radians, counter-clockwise from east.
        items: Of its first slots.
        bounties: Reward weights, merged over the game's own.
        hitpoints: Of 100.
    """

    x: float
    y: float = 60.0
    heading: float = 0.0
    items: tuple[str | None, ...] = ()
    bounties: Mapping[str, float] = field(default_factory=dict)
    hitpoints: float = 100.0
    z: float = FLAT_HEIGHT


PARKED = {member: Unit(65.0 + 1.5 * place, 83.0) for place, member in enumerate(DERKLINGS)}
"""Places of the Derklings that a test does not mention: far away, on the main plain."""


class History:
    """States after each step of a part of a match."""

    def __init__(self) -> None:
        self.states: list[MatchState] = []
        self.observations: list[Tensor] = []
        self.rewards: list[Tensor] = []

    def __getitem__(self, key: tuple[str, int]) -> list[Any]:
        """The state called ``key[0]`` of member ``key[1]``, after each step."""
        name, member = key
        return [state.view(name)[0, member].tolist() for state in self.states]

    def add(self, state: MatchState, observation: Tensor, reward: Tensor) -> None:
        """Remember a step; of the state what members have, for ``backend.state()`` takes longer than a tick."""
        kept = copy(state)
        kept.numbers, kept.counts = state.numbers.clone(), state.counts.clone()
        self.states.append(kept)
        self.observations.append(observation)
        self.rewards.append(reward)

    def observed(self, name: str, member: int) -> list[float]:
        """One number of a member's observations."""
        side, agent = agent_of(member)
        return [observation[side, 0, agent, observation_index(name)].item() for observation in self.observations]

    def rewarded(self, member: int) -> list[float]:
        side, agent = agent_of(member)
        return [reward[side, 0, agent].item() for reward in self.rewards]


class Match:
    """One arena, on flat ground and in steps of one tick unless told otherwise.

    Args:
        units: Derklings by member; the others stand far away.
        settings: Of the backend.
    """

    def __init__(self, units: Mapping[int, Unit], **settings: Any) -> None:
        settings = {"terrain": "flat", "substeps": 1, "threads": 1} | settings
        self.backend = SimulatorBackend(arenas=1, **settings)
        placed = PARKED | dict(units)
        loadouts = {member: (*unit.items, *(None,) * (SLOTS - len(unit.items))) for member, unit in placed.items()}
        task = DerkTask(
            home_loadouts=[loadouts[member] for member in HOME],
            away_loadouts=[loadouts[member] for member in AWAY],
            home_bounties=[placed[member].bounties for member in HOME],
            away_bounties=[placed[member].bounties for member in AWAY],
        )
        self.observation = self.backend.reset([task], 0)
        start = {name: self.backend.state()[name] for name in ("position", "heading", "hitpoints", "hitpoints_before")}
        for member, unit in placed.items():
            start["position"][0, member] = torch.tensor([unit.x, unit.y, unit.z])
            start["heading"][0, member] = unit.heading
            start["hitpoints"][0, member] = start["hitpoints_before"][0, member] = unit.hitpoints
        self.observation = self.backend.load_state(start)

    def __getitem__(self, key: tuple[str, int]) -> Any:
        """The state called ``key[0]`` of member ``key[1]``: a number or a list."""
        name, member = key
        return self.backend.state()[name][0, member].tolist()

    def __setitem__(self, key: tuple[str, int], value: Any) -> None:
        name, member = key
        state = {name: self.backend.state()[name]}
        state[name][0, member] = torch.as_tensor(value)
        if name == "hitpoints":
            state["hitpoints_before"] = self.backend.state()["hitpoints_before"]
            state["hitpoints_before"][0, member] = value
        self.observation = self.backend.load_state(state)

    def at_tick(self, tick: int) -> Match:
        """The match with its clock put to ``tick``."""
        self.backend.load_state({"tick": torch.tensor(tick)})
        return self

    def play(self, steps: int, actions: Actions | None = None, *, check: bool = True) -> History:
        """Hold the actions for some steps; entry k of what comes back is from after step k + 1."""
        history = History()
        action = named_actions(actions or {})
        for _ in range(steps):
            self.observation, reward, _ = self.backend.step(action, check=check)
            history.add(self.backend._matches, self.observation, reward)
        return history

    def observed(self, name: str, member: int) -> float:
        side, agent = agent_of(member)
        return float(self.observation[side, 0, agent, observation_index(name)].item())


def agent_of(member: int) -> tuple[int, int]:
    """Side and agent of a Derkling."""
    return member // 4, member % 4 - 1


def named_actions(actions: Actions) -> Tensor:
    """``[side, 1, agent, 5]`` of members' actions by name."""
    action = torch.zeros(SIDES, 1, AGENTS, len(ACTION_KEYS))
    for member, choices in actions.items():
        side, agent = agent_of(member)
        for name, value in choices.items():
            action[side, 0, agent, ACTION_KEYS.index(name)] = value
    return action


def random_actions(arenas: int, generator: torch.Generator, choices: Sequence[int] = range(8)) -> Tensor:
    """Legal actions of a fight ``[side, arena, agent, 5]``: mostly chasing, and casting at ``choices``."""
    shape = (SIDES, arenas, AGENTS)
    moves = 2 * torch.rand(*shape, 2, generator=generator) - 1
    chase = (torch.rand(*shape, 1, generator=generator) < 0.7).float()
    slot = torch.randint(0, 4, (*shape, 1), generator=generator).float()
    focus = torch.tensor(choices)[torch.randint(len(choices), (*shape, 1), generator=generator)].float()
    focus[torch.rand(*shape, 1, generator=generator) < 0.6] = 0.0  # keep
    return torch.cat([moves, chase, slot, focus], dim=-1)


def gather(backend: SimulatorBackend, generator: torch.Generator) -> Tensor:
    """Put every Derkling within 7 m of the centre, facing anywhere; returns the observations."""
    state = {name: backend.state()[name] for name in ("position", "heading")}
    arenas, derklings = backend.arenas, list(DERKLINGS)
    state["position"][:, derklings, :2] = 59 + 10 * torch.rand(arenas, len(derklings), 2, generator=generator)
    state["position"][:, derklings, 2] = FLAT_HEIGHT
    state["heading"][:, derklings] = 6.28 * torch.rand(arenas, len(derklings), generator=generator)
    return backend.load_state(state)


def made_up_terrain(height: Callable[[float], float], steep: Callable[[float], bool] = lambda _: False) -> Terrain:
    """Ground that rises and falls from west to east: its height and steepness at x."""
    places = [(FIRST_TEXEL + column) / 8 for column in range(TEXELS)]
    heights = np.array([[height(x) for x in places]], dtype=np.float32).repeat(TEXELS, axis=0)
    return Terrain(heights, np.array([[steep(x) for x in places]], dtype=np.uint8).repeat(TEXELS, axis=0))


def play_on(monkeypatch: pytest.MonkeyPatch, terrain: Terrain) -> None:
    """Let every flat terrain of a test be this one."""
    monkeypatch.setattr("pearl_lightning.derk.backends.simulator.backend.flat_terrain", lambda: terrain)


def falls(values: Sequence[float]) -> list[int]:
    """Entries that are lower than the one before."""
    return [index for index in range(1, len(values)) if values[index] < values[index - 1]]
