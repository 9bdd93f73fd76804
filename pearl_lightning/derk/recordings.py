"""Recordings of the real game: their file format and a reader.

A recording is an ``.npz`` file of N arenas over T steps. Its matches begin at the spawns or at positions that a setup
has chosen. It has these arrays:

| array | shape | content |
|---|---|---|
| ``meta`` | text | JSON: ``scenarios``, ``fields``, ``reward_function``, ``substeps``, ``turbo``, versions |
| ``actions`` | ``[T, 2, N, 3, 5]`` | sent before each step |
| ``obs`` | ``[T, 2, N, 3, 64]`` | result of each step |
| ``reward`` | ``[T, 2, N, 3]`` | result of each step |
| ``state_env`` | ``[N, 8, F, T+1]`` | the members' fields at the steps' boundaries; NaN if unknown |

Each scenario has a ``name``, ``slots`` by member, and extras by member in ``unit``. If ``reward_function`` is null, the
bounties are the game's defaults.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.backends.simulator.rules import REGENERATION
from pearl_lightning.derk.interface import AGENTS, SLOTS, observation_index
from pearl_lightning.derk.tasks import DerkTask

DERKLINGS = [1, 2, 3, 5, 6, 7]
"""Indices of the arena members that are agents: those of home, then those of away."""
STATE_FIELDS: dict[str, tuple[str, ...]] = {
    "position": ("x", "y", "z"),
    "velocity": ("vx", "vy", "vz"),
    "force": ("fx", "fy", "fz"),
    "heading": ("rot",),
    "walk_speed": ("walk",),
    "hitpoints": ("hp",),
    "gold": ("gold",),
    "on_ground": ("on_ground",),
    "stuck": ("stuck",),
    "focus": ("focus",),
    "cast_state": ("cast_state",),
    "cast_ability": ("cast_ability",),
    "cast_target": ("cast_target",),
    "cast_start": ("cast_start_step",),
    "cooldown": ("cd0", "cd1", "cd2"),
    "dazed": ("dazed",),
    "iron": ("iron",),
    "helium": ("helium",),
    "crippled": ("crippled",),
    "last_pushed_by": ("last_pushed_by",),
}
"""Recorded fields that make up each of the simulator's state fields."""
_SOME = ("x", "y")  # NaN if a recording ended early


@dataclass(frozen=True)
class Recording:
    """A recording that has been read into memory.

    Args:
        names: Scenario of each arena.
        tasks: Loadouts and bounties of each arena.
        substeps: Ticks per step.
        turbo: Whether the game rendered once per step instead of once per tick.
        actions: ``[step, side, arena, agent, 5]``; NaN has been replaced by 0.
        observations: ``[step, side, arena, agent, 64]``.
        rewards: ``[step, side, arena, agent]``.
        fields: Names of the recorded fields.
        states: ``[arena, member, field, step + 1]``.
    """

    names: list[str]
    tasks: list[DerkTask]
    substeps: int
    turbo: bool
    actions: Tensor
    observations: Tensor
    rewards: Tensor
    fields: list[str]
    states: Tensor

    @property
    def arenas(self) -> int:
        return len(self.names)

    @property
    def steps(self) -> int:
        return len(self.actions)

    def state(self, step: int) -> dict[str, Tensor]:
        """State before ``step`` under the simulator's field names, ``[arena, member, ...]``; NaN if unknown.

        Hitpoints before the last regeneration are not recorded; they are computed from the hitpoints. At the start they
        equal the hitpoints, because hitpoints removed by a setup do not count as damage.
        """
        state = {}
        for name, columns in STATE_FIELDS.items():
            values = self.states[..., step][:, :, [self.fields.index(column) for column in columns]]
            state[name] = values if len(columns) > 1 else values.squeeze(-1)
        hitpoints = state["hitpoints"]
        regenerated = (hitpoints > 0) & (hitpoints < 100) & (step > 0)
        state["hitpoints_before"] = torch.where(regenerated, hitpoints - float(REGENERATION), hitpoints)
        return state

    def is_valid(self, step: int) -> Tensor:
        """Whether the states before and after ``step`` were recorded, ``[arena]``."""
        columns = [self.fields.index(column) for column in _SOME]
        recorded = self.states[:, DERKLINGS][:, :, columns, step : step + 2].isfinite()
        return recorded.flatten(1).all(dim=1)


def places(observation: Tensor) -> Tensor:
    """Positions x and y ``[..., 2]`` from home's observations ``[..., 64]``; away's are rotated by 180 degrees."""
    left_right = observation[..., observation_index("PositionLeftRight")].double()
    up_down = observation[..., observation_index("PositionUpDown")].double()
    return 64 * torch.stack([1 + up_down + left_right, 1 + up_down - left_right], dim=-1)


def member_places(observation: Tensor) -> Tensor:
    """Exact positions x and y ``[arena, 6, 2]`` of ``DERKLINGS``, from observations ``[side, arena, agent, 64]``."""
    home, away = places(observation)
    return torch.cat([home, 128 - away], dim=1).float()


def read_recording(path: Path) -> Recording:
    """Read a recording from a file. Nothing is unpickled.

    Raises:
        ValueError: The file is not a recording.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("meta", "actions", "obs", "reward", "state_env")}
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a recording: {error}") from error
    meta = json.loads(str(arrays["meta"]))
    return Recording(
        names=[scenario["name"] for scenario in meta["scenarios"]],
        tasks=[_task(scenario, meta["reward_function"]) for scenario in meta["scenarios"]],
        substeps=meta["substeps"],
        turbo=meta["turbo"],
        actions=torch.from_numpy(arrays["actions"]).float().nan_to_num(0.0),
        observations=torch.from_numpy(arrays["obs"]),
        rewards=torch.from_numpy(arrays["reward"]),
        fields=meta["fields"],
        states=torch.from_numpy(arrays["state_env"]),
    )


def _task(scenario: dict[str, Any], bounties: dict[str, float] | None) -> DerkTask:
    """Task of a scenario. ``DerkTask`` merges weights over the game's defaults, so null and {} are equivalent."""

    def team(members: list[int]) -> tuple[list[list[str | None]], list[dict[str, float]]]:
        loadouts = [scenario["slots"].get(str(member), [None] * SLOTS) for member in members]
        own = [scenario["unit"].get(str(member), {}).get("rewardFunction") for member in members]
        return loadouts, [(bounties or {}) | (weights or {}) for weights in own]

    (home, home_bounties), (away, away_bounties) = team(DERKLINGS[:AGENTS]), team(DERKLINGS[AGENTS:])
    return DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=home_bounties, away_bounties=away_bounties)
