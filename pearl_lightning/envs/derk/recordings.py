"""Recordings of the real game: what they hold, and how they are read.

An ``.npz`` file of N arenas over T steps, whose matches begin at their spawns or where a setup has put them:

=========== =================== ==========================================================================
``meta``    text                JSON: ``scenarios`` (each a ``name``, ``slots`` by member, ``unit`` extras by
                                member), ``fields``, ``reward_function``, ``substeps``, ``turbo``, versions
``actions`` ``[T, 2, N, 3, 5]`` sent before each step
``obs``     ``[T, 2, N, 3, 64]`` result of each step
``reward``  ``[T, 2, N, 3]``    result of each step
``state_env`` ``[N, 8, F, T+1]`` the members' fields at the steps' boundaries; NaN where it is not known
=========== =================== ==========================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import AGENTS, SLOTS, observation_index
from pearl_lightning.envs.derk.simulator.rules import REGENERATION
from pearl_lightning.envs.derk.tasks import DerkTask

DERKLINGS = [1, 2, 3, 5, 6, 7]
"""Members of an arena that are agents: home's, then away's."""
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
"""Recorded fields of each of the simulator's states."""
_SOME = ("x", "y")  # NaN where a recording ended early


@dataclass(frozen=True)
class Recording:
    """A recording in memory.

    Args:
        names: Scenario of each arena.
        tasks: Loadouts and bounties of each arena.
        substeps: Ticks of a step.
        turbo: Whether the game drew once per step rather than once per tick.
        actions: ``[step, side, arena, agent, 5]``; NaN became 0.
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
        """The state before ``step`` as the simulator names it, ``[arena, member, ...]``; NaN where it is not known.

        Hitpoints before the last regeneration are not recorded, but follow from the hitpoints; at the start they are
        the hitpoints, for what a setup takes is no damage.
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
        """Arenas ``[arena]`` whose states before and after ``step`` were recorded."""
        columns = [self.fields.index(column) for column in _SOME]
        recorded = self.states[:, DERKLINGS][:, :, columns, step : step + 2].isfinite()
        return recorded.flatten(1).all(dim=1)


def places(observation: Tensor) -> Tensor:
    """x and y ``[..., 2]`` in observations ``[..., 64]`` as home sees the world; away's is turned by half a circle."""
    left_right = observation[..., observation_index("PositionLeftRight")].double()
    up_down = observation[..., observation_index("PositionUpDown")].double()
    return 64 * torch.stack([1 + up_down + left_right, 1 + up_down - left_right], dim=-1)


def member_places(observation: Tensor) -> Tensor:
    """x and y ``[arena, 6, 2]`` of ``DERKLINGS``, to the last bit, from observations ``[side, arena, agent, 64]``."""
    home, away = places(observation)
    return torch.cat([home, 128 - away], dim=1).float()


def read_recording(path: Path) -> Recording:
    """Read one file.

    Raises:
        ValueError: It is no recording; nothing in it is unpickled.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("meta", "actions", "obs", "reward", "state_env")}
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no recording: {error}") from error
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


def _task(scenario: dict[str, Any], bounties: dict[str, float]) -> DerkTask:
    def team(members: list[int]) -> tuple[list[list[str | None]], list[dict[str, float]]]:
        loadouts = [scenario["slots"].get(str(member), [None] * SLOTS) for member in members]
        own = [scenario["unit"].get(str(member), {}).get("rewardFunction", {}) for member in members]
        return loadouts, [bounties | weights for weights in own]

    (home, home_bounties), (away, away_bounties) = team(DERKLINGS[:AGENTS]), team(DERKLINGS[AGENTS:])
    return DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=home_bounties, away_bounties=away_bounties)
