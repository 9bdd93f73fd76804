"""Recordings of the real game on this machine: ``python -m benchmarks.derk_record DIR``.

Scripted policies play some scenarios in parallel, from the game's own spawns. States, observations and rewards of every
step are written to an ``.npz`` file (see ``pearl_lightning.derk.recordings``), with which ``benchmarks.derk_parity``
compares the simulator. The game does not report heights, velocities and contact with the ground; they are NaN.
Positions are computed from the observations, which contain them exactly. The first state contains only positions,
because the rest of a spawn is always the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.derk_scenarios import Scenario, scenarios
from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.backends.game.state import STATE_FIELDS
from pearl_lightning.derk.backends.simulator.rules import MEMBERS
from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    EPISODE_STEPS,
    SIDES,
    TEAM_STATS_KEYS,
    TICKS_PER_STEP,
)
from pearl_lightning.derk.recordings import DERKLINGS, member_places


@dataclass
class Tape:
    """Recording in progress: lists with one entry per step, in the layout of a backend."""

    first_observation: Tensor
    states: list[Tensor]
    """States ``[arena, member, field]``, one more than steps."""
    actions: list[Tensor] = field(default_factory=list)
    observations: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)


def play(game: GameBackend, played: Sequence[Scenario], *, steps: int, seed: int) -> Tape:
    """Play the first steps of an episode (see ``record``)."""
    generator = torch.Generator().manual_seed(seed)
    observation = game.reset([scenario.task for scenario in played], seed)
    nothing = torch.full((len(played), MEMBERS, len(STATE_FIELDS)), torch.nan)
    tape = Tape(observation, [_placed(nothing, observation)])
    for _ in range(steps):
        action = torch.empty(SIDES, len(played), AGENTS, ACTION_SPACE.width)
        for arena, scenario in enumerate(played):
            for side, policy in enumerate(scenario.policies):
                action[side, arena] = policy(observation[side, arena : arena + 1], generator)[0]
        observation, reward, done = game.step(action, check=False)
        tape.actions.append(action)
        tape.observations.append(observation)
        tape.rewards.append(reward)
        tape.done.append(done)
        tape.states.append(_placed(game.state(), observation))
    return tape


def _placed(state: Tensor, observation: Tensor) -> Tensor:
    """Set the positions in a state to those in the observations."""
    columns = torch.tensor([STATE_FIELDS.index("x"), STATE_FIELDS.index("y")])
    state[:, torch.tensor(DERKLINGS).unsqueeze(1), columns] = member_places(observation)
    return state


def describe(scenario: Scenario) -> dict[str, Any]:
    """Description of a scenario for the ``meta`` of a recording."""
    task = scenario.task
    loadouts = zip(DERKLINGS, (*task.home_loadouts, *task.away_loadouts), strict=True)
    bounties = zip(DERKLINGS, (*task.home_bounties, *task.away_bounties), strict=True)
    return {
        "name": scenario.name,
        "slots": {str(member): loadout for member, loadout in loadouts},
        "setup": [],
        "track": [],
        "unit": {str(member): {"rewardFunction": weights} for member, weights in bounties},
    }


def record(path: Path, game: GameBackend, played: Sequence[Scenario], *, steps: int, seed: int, turbo: bool) -> None:
    """Play the first steps of an episode and write them in the layout of ``pearl_lightning.derk.recordings``.

    Args:
        path: File to write.
        game: Game with ``read_state`` and one arena per scenario.
        played: One scenario per arena.
        steps: Number of steps, at most those of an episode.
        seed: Seed of spawns and policies.
        turbo: Whether the game was created with ``turbo``.
    """
    tape = play(game, played, steps=steps, seed=seed)
    facts = game.report()
    meta = {
        "scenarios": [describe(scenario) for scenario in played],
        "fields": STATE_FIELDS,
        "reward_function": {},
        "seed": seed,
        "substeps": TICKS_PER_STEP,
        "turbo": turbo,
        "interleaved": False,
        "renderer": facts["renderer"],
        "gym_derk": facts["gym-derk"],
        "chromium": facts["browser"],
    }
    team_stats = game.team_stats() if tape.done[-1] else torch.empty(SIDES, 0, len(TEAM_STATS_KEYS))
    np.savez_compressed(
        path,
        meta=np.array(json.dumps(meta)),
        actions=torch.stack(tape.actions).numpy(),
        obs_reset=tape.first_observation.numpy(),
        obs=torch.stack(tape.observations).numpy(),
        reward=torch.stack(tape.rewards).numpy(),
        done=np.array(tape.done),
        team_stats=team_stats.numpy(),
        state_env=torch.stack(tape.states, dim=-1).numpy(),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Play the scenarios and write the recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="folder for scripted.npz")
    parser.add_argument("--steps", type=int, default=EPISODE_STEPS, help="number of steps to record")
    parser.add_argument("--seed", type=int, default=0, help="seed of spawns and policies")
    parser.add_argument("--renderer", choices=("llvmpipe", "swiftshader"), default="llvmpipe")
    parser.add_argument("--turbo", action=argparse.BooleanOptionalAction, default=True, help="render once per step")
    parser.add_argument("--only", nargs="*", help="names of the scenarios to play; all by default")
    options = parser.parse_args(arguments)
    played = [scenario for scenario in scenarios() if options.only is None or scenario.name in options.only]
    game = GameBackend(
        arenas=len(played),
        renderer=options.renderer,
        turbo=options.turbo,
        start_timeout=240.0,
        step_timeout=120.0,
        read_state=True,
    )
    options.directory.mkdir(parents=True, exist_ok=True)
    path = options.directory / "scripted.npz"
    try:
        record(path, game, played, steps=options.steps, seed=options.seed, turbo=options.turbo)
    finally:
        game.close()
    print(f"{path}: {len(played)} arenas, {options.steps} steps, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
