"""Recordings of the real game on this machine: ``python -m benchmarks.derk_record DIR``.

Scripted policies play some scenarios in parallel, from the game's own spawns. With ``--run``, the last checkpoint of a
run plays test tasks against their opponents instead, and an episode after it has adapted is recorded. States,
observations and rewards of every step are written to an ``.npz`` file (see ``pearl_lightning.derk.recordings``), with
which ``benchmarks.derk_parity`` compares the simulator. The game does not report heights, velocities and contact with
the ground; they are NaN. Positions are computed from the observations, which contain them exactly. The first state
contains only positions, because the rest of a spawn is always the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.derk_scenarios import Scenario, scenarios
from pearl_lightning.agents.agent import load_agent
from pearl_lightning.commands.environments import env_settings, make_tasks, one_workers
from pearl_lightning.commands.environments import split as split_of
from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.backends.game.state import STATE_FIELDS
from pearl_lightning.derk.backends.simulator.rules import MEMBERS
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    EPISODE_STEPS,
    SIDES,
    TEAM_STATS_KEYS,
    TICKS_PER_STEP,
)
from pearl_lightning.derk.recordings import DERKLINGS, member_places
from pearl_lightning.derk.tasks import DerkTask, DerkTasks
from pearl_lightning.experience.player import MetaAgent, Player
from pearl_lightning.experience.rollout import play_episode

EPISODES_UNTIL_RECORDED = 3
"""Episodes of an agent that adapts, of which the last one is recorded."""


@dataclass
class Tape:
    """Recording of an episode: lists with one entry per step, in the layout of a backend."""

    tasks: Sequence[DerkTask]
    first_observation: Tensor
    states: list[Tensor]
    """States ``[arena, member, field]``, one more than steps."""
    actions: list[Tensor] = field(default_factory=list)
    observations: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)


class TapedGame:
    """The real game as a backend that records the running episode.

    Args:
        game: Game with ``read_state``.
    """

    def __init__(self, game: GameBackend) -> None:
        self.game, self.arenas, self.episode_steps, self.device = game, game.arenas, game.episode_steps, game.device
        self.tape: Tape

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        observation = self.game.reset(tasks, seed)
        nothing = torch.full((self.arenas, MEMBERS, len(STATE_FIELDS)), torch.nan)
        self.tape = Tape(tasks, observation, [_placed(nothing, observation)])
        return observation

    def step(self, action: Tensor, *, check: bool = True) -> tuple[Tensor, Tensor, bool]:
        observation, reward, done = self.game.step(action, check=check)
        self.tape.actions.append(action.clone())
        self.tape.observations.append(observation)
        self.tape.rewards.append(reward)
        self.tape.done.append(done)
        self.tape.states.append(_placed(self.game.state(), observation))
        return observation, reward, done

    def team_stats(self) -> Tensor:
        return self.game.team_stats()

    def report(self) -> dict[str, str | int]:
        return self.game.report()

    def close(self) -> None:
        self.game.close()


def play(game: TapedGame, played: Sequence[Scenario], *, steps: int, seed: int) -> None:
    """Play the first steps of an episode of scripted policies."""
    generator = torch.Generator().manual_seed(seed)
    observation = game.reset([scenario.task for scenario in played], seed)
    for _ in range(steps):
        action = torch.empty(SIDES, len(played), AGENTS, ACTION_SPACE.width)
        for arena, scenario in enumerate(played):
            for side, policy in enumerate(scenario.policies):
                action[side, arena] = policy(observation[side, arena : arena + 1], generator)[0]
        observation, _, _ = game.step(action, check=False)


def play_adapted(game: TapedGame, agent: MetaAgent, env: DerkEnv, tasks: Sequence[int], seed: int) -> None:
    """Let an agent play the episodes in which it adapts; the last one is recorded.

    Args:
        game: Game with one arena per task.
        agent: Agent that plays the team of the environment's side.
        env: Environment whose backend is the game.
        tasks: Indices of the tasks.
        seed: Seed of the environment and of the agent's samples.
    """
    env.set_seed(seed)
    env.set_tasks(tasks)
    player = Player(agent, game.arenas, generator=torch.Generator().manual_seed(seed))
    for _ in range(EPISODES_UNTIL_RECORDED):
        play_episode(env, player)


def play_run(game: TapedGame, run: Path, *, split: str, side: Literal["home", "away"], seed: int) -> list[str]:
    """Let the last checkpoint of a run play the first tasks of a split; return the names of the matches."""
    config = [run / "config.yaml"]
    tasks, settings = cast(DerkTasks, make_tasks(config)), one_workers(env_settings(config))["init_args"]
    observed = {name: settings[name] for name in ("observe_time", "observe_task")}
    env = DerkEnv(arenas=game.arenas, tasks=tasks, backend=game, side=side, **observed)
    played = split_of(env, split)
    if len(played) < game.arenas:
        raise ValueError(f"matches must be at most {len(played)}, the tasks of {split}, got {game.arenas}")
    agent = load_agent(run / "checkpoints" / "last.ckpt")
    play_adapted(game, agent, env, played[: game.arenas], seed)
    return [f"{run.name}, {side}, {split} {number}" for number in range(game.arenas)]


def _placed(state: Tensor, observation: Tensor) -> Tensor:
    """Set the positions in a state to those in the observations."""
    columns = torch.tensor([STATE_FIELDS.index("x"), STATE_FIELDS.index("y")])
    state[:, torch.tensor(DERKLINGS).unsqueeze(1), columns] = member_places(observation)
    return state


def describe(name: str, task: DerkTask) -> dict[str, Any]:
    """Description of a match for the ``meta`` of a recording."""
    loadouts = zip(DERKLINGS, (*task.home_loadouts, *task.away_loadouts), strict=True)
    bounties = zip(DERKLINGS, (*task.home_bounties, *task.away_bounties), strict=True)
    return {
        "name": name,
        "slots": {str(member): loadout for member, loadout in loadouts},
        "setup": [],
        "track": [],
        "unit": {str(member): {"rewardFunction": weights} for member, weights in bounties},
    }


def write(path: Path, game: TapedGame, names: Sequence[str], *, seed: int, turbo: bool) -> None:
    """Write the recorded episode in the layout of ``pearl_lightning.derk.recordings``.

    Args:
        path: File to write.
        game: Game that has played it.
        names: One name per arena.
        seed: Seed of spawns and policies.
        turbo: Whether the game was created with ``turbo``.
    """
    tape, facts = game.tape, game.report()
    meta = {
        "scenarios": [describe(name, task) for name, task in zip(names, tape.tasks, strict=True)],
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
    parser.add_argument("directory", type=Path, help="folder for scripted.npz, or for a file with the run's name")
    parser.add_argument("--steps", type=int, default=EPISODE_STEPS, help="number of steps of the scenarios to record")
    parser.add_argument("--seed", type=int, default=0, help="seed of spawns and policies")
    parser.add_argument("--renderer", choices=("llvmpipe", "swiftshader"), default="llvmpipe")
    parser.add_argument("--turbo", action=argparse.BooleanOptionalAction, default=True, help="render once per step")
    parser.add_argument("--only", nargs="*", help="names of the scenarios to play; all by default")
    parser.add_argument("--run", type=Path, help="folder of a run, whose agent plays instead of the scripted policies")
    parser.add_argument("--tasks", default="test", help="split of the run's tasks; its first tasks are played")
    parser.add_argument("--matches", type=int, default=12, help="number of the run's tasks to play")
    parser.add_argument("--side", choices=("home", "away"), default="home", help="team that the run's agent plays")
    options = parser.parse_args(arguments)
    played = [scenario for scenario in scenarios() if options.only is None or scenario.name in options.only]
    game = TapedGame(
        GameBackend(
            arenas=options.matches if options.run else len(played),
            renderer=options.renderer,
            turbo=options.turbo,
            start_timeout=240.0,
            step_timeout=120.0,
            read_state=True,
        )
    )
    options.directory.mkdir(parents=True, exist_ok=True)
    name = f"{options.run.name}_{options.tasks}_{options.side}" if options.run else "scripted"
    path = options.directory / f"{name}.npz"
    try:
        if options.run:
            names = play_run(game, options.run, split=options.tasks, side=options.side, seed=options.seed)
        else:
            play(game, played, steps=options.steps, seed=options.seed)
            names = [scenario.name for scenario in played]
        write(path, game, names, seed=options.seed, turbo=options.turbo)
    finally:
        game.close()
    print(f"{path}: {game.arenas} arenas, {len(game.tape.actions)} steps, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
