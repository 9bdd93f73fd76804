"""Recordings of the real game as it runs here: ``python -m benchmarks.derk_record DIR``.

Scripted policies play some scenarios side by side, from the game's own spawns; states, observations and rewards of
every step become an ``.npz`` file that ``benchmarks.derk_parity`` compares the simulator with (see
``pearl_lightning.envs.derk.recordings``). The game tells its state after every step but for heights, velocities and
contact with the ground, which are NaN. Places are those of the observations, which hold them to the last bit; the first
state is places alone, for the rest of a spawn is always the same.
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
from pearl_lightning.envs.derk.game import GameBackend
from pearl_lightning.envs.derk.game.state import STATE_FIELDS
from pearl_lightning.envs.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    EPISODE_STEPS,
    SIDES,
    TEAM_STATS_KEYS,
    TICKS_PER_STEP,
)
from pearl_lightning.envs.derk.recordings import DERKLINGS, member_places
from pearl_lightning.envs.derk.simulator.rules import MEMBERS


@dataclass
class Tape:
    """What was played so far: lists with an entry per step, as a backend takes and gives them."""

    first_observation: Tensor
    states: list[Tensor]
    """``[arena, member, field]``, one more than steps."""
    actions: list[Tensor] = field(default_factory=list)
    observations: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)


def play(game: GameBackend, played: Sequence[Scenario], *, steps: int, seed: int) -> Tape:
    """Play the first steps of an episode, see ``record``."""
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
    """The state with the places that are in the observations."""
    columns = torch.tensor([STATE_FIELDS.index("x"), STATE_FIELDS.index("y")])
    state[:, torch.tensor(DERKLINGS).unsqueeze(1), columns] = member_places(observation)
    return state


def describe(scenario: Scenario) -> dict[str, Any]:
    """A scenario as a recording's ``meta`` lists it."""
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
    """Play the first steps of an episode and write them in the layout of ``pearl_lightning.envs.derk.recordings``.

    Args:
        path: Gets the recording.
        game: Made with ``read_state``; plays as many arenas as there are scenarios.
        played: One scenario per arena.
        steps: How many, at most an episode's.
        seed: Fixes spawns and policies.
        turbo: How the game was made.
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
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="gets scripted.npz")
    parser.add_argument("--steps", type=int, default=EPISODE_STEPS, help="how many of an episode's to record")
    parser.add_argument("--seed", type=int, default=0, help="fixes spawns and policies")
    parser.add_argument("--renderer", choices=("llvmpipe", "swiftshader"), default="llvmpipe")
    parser.add_argument("--turbo", action=argparse.BooleanOptionalAction, default=True, help="draw once per step")
    parser.add_argument("--only", nargs="*", help="names of the scenarios to play; all of them when left out")
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
