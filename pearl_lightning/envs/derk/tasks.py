"""What is hidden from an agent in Derk's Gym, and the distribution over loadouts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from pearl_lightning.envs.derk.interface import (
    AGENTS,
    BOUNTY_KEYS,
    DEFAULT_BOUNTIES,
    ITEMS,
    ITEMS_BY_SLOT,
    SHAPED_BOUNTIES,
    SLOTS,
)
from pearl_lightning.envs.meta_env import TaskDistribution

Loadout = tuple[str | None, ...]
"""The items in a Derkling's three slots; None is an empty slot."""
Bounties = Mapping[str, float]
"""Reward weights by name."""

_NAMED_BOUNTIES = {"default": DEFAULT_BOUNTIES, "shaped": SHAPED_BOUNTIES}
_TEST_SHARE = 5  # one home team in this many belongs to the test split
_MAX_REDRAWS = 10_000  # rejected draws in a row before a split counts as exhausted


@dataclass(frozen=True, init=False)
class DerkTask:
    """What is hidden within one adaptation: both teams' loadouts, what pays, and who plays the other team.

    Args:
        home_loadouts: Items per agent and slot, ``[agent][slot]``; None is an empty slot. Any item fits any slot.
        away_loadouts: The same for the other team.
        home_bounties: Reward weights of the home team, one mapping for all agents or one per agent, merged over the
            game's defaults: kills pay unless set to 0.
        away_bounties: The same for the other team; the home team's when left out.
        opponent: Who plays the other team, a name in ``pearl_lightning.envs.derk.opponents.OPPONENTS``.

    Raises:
        ValueError: An unknown item or bounty, a weight that is not a finite number, or not three of something.
    """

    home_loadouts: tuple[Loadout, ...]
    away_loadouts: tuple[Loadout, ...]
    home_bounties: tuple[dict[str, float], ...]
    away_bounties: tuple[dict[str, float], ...]
    opponent: str

    def __init__(
        self,
        *,
        home_loadouts: Sequence[Sequence[str | None]],
        away_loadouts: Sequence[Sequence[str | None]],
        home_bounties: Bounties | Sequence[Bounties] = DEFAULT_BOUNTIES,
        away_bounties: Bounties | Sequence[Bounties] | None = None,
        opponent: str = "random",
    ) -> None:
        if not isinstance(opponent, str) or not opponent:
            raise ValueError(f"opponent must be the name of an opponent, got {opponent!r}")
        away_bounties = home_bounties if away_bounties is None else away_bounties
        object.__setattr__(self, "home_loadouts", _checked_loadouts("home_loadouts", home_loadouts))
        object.__setattr__(self, "away_loadouts", _checked_loadouts("away_loadouts", away_loadouts))
        object.__setattr__(self, "home_bounties", _checked_bounties("home_bounties", home_bounties))
        object.__setattr__(self, "away_bounties", _checked_bounties("away_bounties", away_bounties))
        object.__setattr__(self, "opponent", opponent)

    def to_json(self) -> dict[str, Any]:
        """Lists, dicts, strings and numbers only; ``from_json`` gives the task back."""
        return {
            "home_loadouts": [list(loadout) for loadout in self.home_loadouts],
            "away_loadouts": [list(loadout) for loadout in self.away_loadouts],
            "home_bounties": [dict(weights) for weights in self.home_bounties],
            "away_bounties": [dict(weights) for weights in self.away_bounties],
            "opponent": self.opponent,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DerkTask:
        """The task that ``to_json`` wrote; it is checked like any other."""
        known = {"home_loadouts", "away_loadouts", "home_bounties", "away_bounties", "opponent"}
        if set(record) - known or not {"home_loadouts", "away_loadouts"} <= set(record):
            raise ValueError(f"a task's keys must be among {sorted(known)} with both loadouts, got {sorted(record)}")
        return cls(**record)


class DerkTasks(TaskDistribution[DerkTask]):
    """A distribution over Derk tasks: what a config may name as ``tasks``; derive own families from it.

    It exists because jsonargparse refuses class paths for a parametrized type such as ``TaskDistribution[DerkTask]``.
    """


class LoadoutTasks(DerkTasks):
    """The *Loadouts* family: each agent's items, on both teams, differ from task to task.

    Every slot is drawn on its own from the items of its natural class. A home team of loadouts belongs to the train or
    to the test split by a hash of its items and the seed: the splits share none, and either can grow without changing
    the tasks it already has. Within a split no home team comes twice.

    Args:
        train_tasks: Tasks to train on, at least 1.
        test_tasks: Held-out tasks, at least 0.
        seed: Fixes both splits; at least 0.
        opponent: Who plays the other team, a name in ``pearl_lightning.envs.derk.opponents.OPPONENTS``.
        bounties: Reward weights of both teams: ``default`` (the game's), ``shaped`` (damage pays too; friendly fire and
            falls cost), or weights by name that are merged over the game's.
        filled_slots: Probability that a slot holds an item, in (0, 1].

    Raises:
        ValueError: A setting outside its range, or more tasks than there are different home teams.
    """

    def __init__(
        self,
        *,
        train_tasks: int = 100,
        test_tasks: int = 20,
        seed: int = 0,
        opponent: str = "random",
        bounties: Literal["default", "shaped"] | dict[str, float] = "default",
        filled_slots: float = 1.0,
    ) -> None:
        for name, value, least in (("train_tasks", train_tasks, 1), ("test_tasks", test_tasks, 0), ("seed", seed, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if not 0 < filled_slots <= 1:
            raise ValueError(f"filled_slots must be in (0, 1], got {filled_slots}")
        exist = math.prod(len(items) + (filled_slots < 1) for items in ITEMS_BY_SLOT.values()) ** AGENTS
        if train_tasks + test_tasks > exist:
            raise ValueError(
                f"train_tasks + test_tasks must be at most {exist}, the number of different home teams, "
                f"got {train_tasks} + {test_tasks}"
            )
        self.seed, self.opponent, self.filled_slots = seed, opponent, filled_slots
        self.bounties = named_bounties(bounties)
        self.train = self._draw_split(train_tasks, test=False)
        self.test = self._draw_split(test_tasks, test=True)

    def describe(self, index: int) -> str:
        task = self[index]
        split = "train" if index in self.train_indices else "test"
        home, away = (
            " | ".join("+".join(item or "-" for item in loadout) for loadout in loadouts)
            for loadouts in (task.home_loadouts, task.away_loadouts)
        )
        return f"{split} task {index}: {home} against {away} ({task.opponent})"

    def _draw_split(self, count: int, *, test: bool) -> tuple[DerkTask, ...]:
        generator = torch.Generator().manual_seed(2 * self.seed + int(test))
        seen: set[tuple[Loadout, ...]] = set()
        tasks: list[DerkTask] = []
        while len(tasks) < count:
            home = self._draw_new_team(generator, seen, test=test)
            if home is None:
                name = "test_tasks" if test else "train_tasks"
                raise ValueError(
                    f"{name} must be at most {len(tasks)} here, got {count}: {_MAX_REDRAWS} draws in a row gave no new "
                    f"home team (filled_slots={self.filled_slots})"
                )
            seen.add(home)
            away = self._draw_team(generator)
            tasks.append(
                DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=self.bounties, opponent=self.opponent)
            )
        return tuple(tasks)

    def _draw_new_team(
        self, generator: torch.Generator, seen: set[tuple[Loadout, ...]], *, test: bool
    ) -> tuple[Loadout, ...] | None:
        for _ in range(_MAX_REDRAWS):
            team = self._draw_team(generator)
            if team not in seen and self._is_test(team) == test:
                return team
        return None

    def _draw_team(self, generator: torch.Generator) -> tuple[Loadout, ...]:
        uniform = torch.rand(AGENTS, SLOTS, 2, generator=generator, dtype=torch.float64).tolist()
        return tuple(
            tuple(
                items[int(which * len(items))] if filled < self.filled_slots else None
                for (filled, which), items in zip(agent, ITEMS_BY_SLOT.values(), strict=True)
            )
            for agent in uniform
        )

    def _is_test(self, team: tuple[Loadout, ...]) -> bool:
        return zlib.crc32(repr((self.seed, team)).encode()) % _TEST_SHARE == 0


def named_bounties(bounties: str | Bounties) -> dict[str, float]:
    """Reward weights given by name (``default`` or ``shaped``) or in full, as a new dict."""
    if not isinstance(bounties, str):
        return dict(bounties)
    if bounties not in _NAMED_BOUNTIES:
        raise ValueError(f"bounties must be one of {', '.join(_NAMED_BOUNTIES)} or weights by name, got {bounties!r}")
    return dict(_NAMED_BOUNTIES[bounties])


def _checked_loadouts(name: str, loadouts: Sequence[Sequence[str | None]]) -> tuple[Loadout, ...]:
    if isinstance(loadouts, str) or len(loadouts) != AGENTS:
        raise ValueError(f"{name} must hold {AGENTS} loadouts, one per agent, got {loadouts!r}")
    for agent, loadout in enumerate(loadouts):
        if isinstance(loadout, str) or len(loadout) != SLOTS:
            raise ValueError(f"{name}[{agent}] must hold {SLOTS} items or None, one per slot, got {loadout!r}")
        for item in loadout:
            if item is not None and item not in ITEMS:
                raise ValueError(
                    f"{name}[{agent}]: unknown item {item!r}; an item must be None or one of {', '.join(ITEMS)}"
                )
    return tuple(tuple(loadout) for loadout in loadouts)


def _checked_bounties(name: str, bounties: Bounties | Sequence[Bounties]) -> tuple[dict[str, float], ...]:
    per_agent = [bounties] * AGENTS if isinstance(bounties, Mapping) else list(bounties)
    if len(per_agent) != AGENTS or not all(isinstance(weights, Mapping) for weights in per_agent):
        raise ValueError(f"{name} must be one mapping or {AGENTS} mappings, one per agent, got {bounties!r}")
    for agent, weights in enumerate(per_agent):
        for key, weight in weights.items():
            if key not in BOUNTY_KEYS:
                raise ValueError(
                    f"{name}[{agent}]: unknown bounty {key!r}; a bounty must be one of {', '.join(BOUNTY_KEYS)}"
                )
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
                raise ValueError(f"{name}[{agent}][{key!r}] must be a finite number, got {weight!r}")
    return tuple({**DEFAULT_BOUNTIES, **{key: float(weights[key]) for key in weights}} for weights in per_agent)
