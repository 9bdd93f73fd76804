"""Tasks of Derk's Gym: loadouts, bounties and the opponent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pearl_lightning.derk.interface import (
    AGENTS,
    BOUNTY_KEYS,
    DEFAULT_BOUNTIES,
    ITEMS,
    PAID_PER_HITPOINT,
    SHAPED_BOUNTIES,
    SLOTS,
)
from pearl_lightning.envs.tasks import TaskDistribution

Loadout = tuple[str | None, ...]
"""Items in the three slots of a Derkling; None is an empty slot."""
Bounties = Mapping[str, float]
"""Reward weights by name."""
BountyName = Literal["default", "shaped"]
"""Names of predefined bounties: the game's own, and dense ones."""
_NAMED_BOUNTIES = {"default": DEFAULT_BOUNTIES, "shaped": SHAPED_BOUNTIES}


@dataclass(frozen=True, init=False)
class DerkTask:
    """A task of Derk's Gym: loadouts and reward weights of both teams, and the opponent.

    Args:
        home_loadouts: Items per agent and slot, ``[agent][slot]``; None is an empty slot. Any item fits any slot.
        away_loadouts: Items of the away team, in the same format.
        home_bounties: Reward weights of the home team, one mapping for all agents or one per agent. They are merged
            over the game's defaults, so kills are rewarded unless their weight is 0.
        away_bounties: Reward weights of the away team, in the same format. Defaults to ``home_bounties``.
        opponent: Opponent that plays the away team, a name for
            ``pearl_lightning.derk.opponents.make_opponent``.
        masks_items: Whether the 30 item flags of the home team's observations are set to 0.

    Raises:
        ValueError: An item or a bounty is unknown, a weight is not a finite number, or the number of loadouts, slots or
            mappings is not three.
    """

    home_loadouts: tuple[Loadout, ...]
    away_loadouts: tuple[Loadout, ...]
    home_bounties: tuple[dict[str, float], ...]
    away_bounties: tuple[dict[str, float], ...]
    opponent: str
    masks_items: bool

    def __init__(
        self,
        *,
        home_loadouts: Sequence[Sequence[str | None]],
        away_loadouts: Sequence[Sequence[str | None]],
        home_bounties: Bounties | Sequence[Bounties] = DEFAULT_BOUNTIES,
        away_bounties: Bounties | Sequence[Bounties] | None = None,
        opponent: str = "random",
        masks_items: bool = False,
    ) -> None:
        if not isinstance(opponent, str) or not opponent:
            raise ValueError(f"opponent must be the name of an opponent, got {opponent!r}")
        away_bounties = home_bounties if away_bounties is None else away_bounties
        object.__setattr__(self, "home_loadouts", _checked_loadouts("home_loadouts", home_loadouts))
        object.__setattr__(self, "away_loadouts", _checked_loadouts("away_loadouts", away_loadouts))
        object.__setattr__(self, "home_bounties", _checked_bounties("home_bounties", home_bounties))
        object.__setattr__(self, "away_bounties", _checked_bounties("away_bounties", away_bounties))
        object.__setattr__(self, "opponent", opponent)
        object.__setattr__(self, "masks_items", bool(masks_items))

    def privileged(self, opponents: Sequence[str]) -> Tensor:
        """Encode the task as numbers ``[agent, feature]``, for an oracle.

        The features are, in this order:

        * the item of each slot of the agent, one-hot (45 numbers)
        * the share of the other team that holds each item (15)
        * the bounties; those rewarded per hitpoint are multiplied by 100 (22)
        * the opponent, one-hot among ``opponents``; all zeros if it is not one of them
        """
        own = torch.zeros(AGENTS, SLOTS, len(ITEMS))
        held = torch.zeros(AGENTS, len(ITEMS))
        for agent in range(AGENTS):
            for slot, item in enumerate(self.home_loadouts[agent]):
                if item is not None:
                    own[agent, slot, ITEMS.index(item)] = 1
            for item in self.away_loadouts[agent]:
                if item is not None:
                    held[:, ITEMS.index(item)] += 1 / AGENTS
        scale = torch.tensor([100.0 if key in PAID_PER_HITPOINT else 1.0 for key in BOUNTY_KEYS])
        rewarded = torch.tensor([[weights.get(key, 0.0) for key in BOUNTY_KEYS] for weights in self.home_bounties])
        plays = torch.tensor([[float(self.opponent == name) for name in opponents]]).expand(AGENTS, -1)
        return torch.cat([own.flatten(1), held, rewarded * scale, plays], dim=1)


class DerkTasks(TaskDistribution[DerkTask]):
    """Base class of all Derk task families, including custom ones; a config names a subclass as ``tasks``.

    This class is needed because jsonargparse does not accept class paths for a parametrized type such as
    ``TaskDistribution[DerkTask]``.
    """

    def split_name(self, index: int) -> str:
        """Split of a task: ``train``, ``validation`` or ``test``."""
        if index in self.train_indices:
            return "train"
        return "validation" if index in self.validation_indices else "test"

    def describe(self, index: int) -> str:
        task = self[index]
        home, away = (
            " | ".join("+".join(item or "-" for item in loadout) for loadout in loadouts)
            for loadouts in (task.home_loadouts, task.away_loadouts)
        )
        return f"{self.split_name(index)} task {index}: {home} against {away} ({task.opponent})"


def named_bounties(bounties: str | Bounties) -> dict[str, float]:
    """Return reward weights, given by name (``default`` or ``shaped``) or as a mapping, as a new dict."""
    if not isinstance(bounties, str):
        return dict(bounties)
    if bounties not in _NAMED_BOUNTIES:
        raise ValueError(f"bounties must be one of {', '.join(_NAMED_BOUNTIES)} or weights by name, got {bounties!r}")
    return dict(_NAMED_BOUNTIES[bounties])


def _checked_loadouts(name: str, loadouts: Sequence[Sequence[str | None]]) -> tuple[Loadout, ...]:
    if isinstance(loadouts, str) or len(loadouts) != AGENTS:
        raise ValueError(f"{name} must contain {AGENTS} loadouts, one per agent, got {loadouts!r}")
    for agent, loadout in enumerate(loadouts):
        if isinstance(loadout, str) or len(loadout) != SLOTS:
            raise ValueError(f"{name}[{agent}] must contain {SLOTS} items or None, one per slot, got {loadout!r}")
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
