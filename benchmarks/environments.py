"""Environment steps per CPU second of collection, and of a plain Gymnasium loop: ``python -m benchmarks.environments``.

Collection is whole episodes of a ``Player`` with 100 arenas, as the collector plays them: policy, belief, physics and
stored rows. The plain loop plays one Gymnasium environment with the same policy, one observation at a time. Both are
measured in turns, so that both have the same load of the machine. A CPU second is a second of any thread.

Bodies, frame skip, sizes of the policy's hidden layers and length of the episodes are the same in both, and both
compute the ant's external forces. Observations of the half-cheetah and of ``ant_goal`` differ by a few numbers. In
``ant_dir`` the untrained ant falls, so fewer and fewer arenas are still running; in ``ant_goal`` none ends early.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import torch

from benchmarks.figures_file import write_figures
from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.mujoco.ant import AntDir, AntGoal
from pearl_lightning.envs.mujoco.cheetah import CheetahVel
from pearl_lightning.envs.mujoco.tasks import Directions, GoalsInDisc
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.envs.spaces import to_action_space
from pearl_lightning.experience.player import Player
from pearl_lightning.experience.rollout import play_episode

HORIZON = 200
Rate = Callable[[], float]
"""Function that plays for a while and returns the environment steps per CPU second."""


@dataclass(frozen=True)
class Measured:
    """Rates of an environment.

    Args:
        collection: Environment steps per CPU second of collection, the median over the rounds.
        loop: Environment steps per CPU second of the plain loop, the median over the rounds.
        ratio: Collection divided by loop, the median of the ratios of the rounds.
    """

    collection: float
    loop: float
    ratio: float


def cheetah(arenas: int, threads: int) -> MetaEnv:
    tasks = ParameterTasks(ranges={"velocity": (0.0, 3.0)}, train_tasks=arenas)
    return CheetahVel(arenas=arenas, tasks=tasks, threads=threads)


def ant_dir(arenas: int, threads: int) -> MetaEnv:
    return AntDir(arenas=arenas, tasks=Directions(train_tasks=arenas), threads=threads)


def ant_goal(arenas: int, threads: int) -> MetaEnv:
    return AntGoal(arenas=arenas, tasks=GoalsInDisc(train_tasks=arenas), threads=threads)


def pendulum(arenas: int, threads: int) -> MetaEnv:
    tasks = ParameterTasks(ranges={"g": (5.0, 15.0)}, train_tasks=arenas)
    return GymnasiumEnv(id="Pendulum-v1", arenas=arenas, tasks=tasks)


CASES: dict[str, tuple[Callable[[int, int], MetaEnv], str, dict[str, Any], int]] = {
    "cheetah": (cheetah, "HalfCheetah-v5", {}, 5),
    "ant_dir": (ant_dir, "Ant-v5", {"include_cfrc_ext_in_observation": False}, 5),
    "ant_goal": (ant_goal, "Ant-v5", {"terminate_when_unhealthy": False}, 5),
    "pendulum": (pendulum, "Pendulum-v1", {}, 1),
}
"""Collected environment; id, arguments and frame skip of the Gymnasium environment, by name."""


def make_agent(features: int, space: ActionSpace) -> PEARL:
    """Create the agent that plays, with the sizes of ``configs/locomotion.yaml``."""
    torch.manual_seed(0)
    return PEARL(features, space)


def collect(env: MetaEnv, agent: PEARL, generator: torch.Generator) -> float:
    """Play one episode in every arena; return the environment steps per CPU second."""
    start = time.process_time()
    rows = play_episode(env, Player(agent, env.arenas, generator=generator))
    return int(rows["played"].sum()) / (time.process_time() - start)


def loop(env: gymnasium.Env[Any, Any], agent: PEARL, steps: int, generator: torch.Generator) -> float:
    """Play some steps of one environment in a plain loop; return the environment steps per CPU second."""
    start = time.process_time()
    observation, _ = env.reset()
    condition = agent.prior(1).condition(generator)
    for _ in range(steps):
        observed = torch.as_tensor(observation, dtype=torch.float32).reshape(1, 1, -1)
        action = agent.act(observed, condition, generator=generator)
        observation, _, terminated, truncated, _ = env.step(action[0, 0].numpy())
        if terminated or truncated:
            observation, _ = env.reset()
    return steps / (time.process_time() - start)


def measure(name: str, arenas: int, threads: int, rounds: int, steps: int) -> Measured:
    """Measure an environment in ``CASES``.

    Args:
        name: Name in ``CASES``.
        arenas: Number of arenas of the collection.
        threads: Number of threads of the simulation.
        rounds: Number of measurements of each kind, after one that is not counted.
        steps: Number of steps of the plain loop in a round.
    """
    make, env_id, kwargs, frame_skip = CASES[name]
    env, single = make(arenas, threads), gymnasium.make(env_id, max_episode_steps=HORIZON, **kwargs)
    if frame_skip != getattr(single.unwrapped, "frame_skip", 1):
        raise ValueError(f"{env_id} must have a frame skip of {frame_skip}")
    generator = torch.Generator().manual_seed(0)
    single.reset(seed=0)
    space = to_action_space(single.action_space)
    assert single.observation_space.shape is not None
    loop_agent = make_agent(single.observation_space.shape[0], space)
    sides: tuple[Rate, Rate] = (
        partial(collect, env, make_agent(env.features, env.action_space), generator),
        partial(loop, single, loop_agent, steps, generator),
    )
    pairs = [(sides[0](), sides[1]()) for _ in range(rounds + 1)][1:]
    env.close()
    single.close()
    collection, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Measured(collection, plain, statistics.median(own / other for own, other in pairs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--arenas", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2, help="threads of the simulation")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each kind")
    parser.add_argument("--steps", type=int, default=4000, help="steps of the plain loop in a round")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figures = {}
    print(f"environment steps per CPU second, {options.arenas} arenas, {options.threads} threads")
    for name in options.environments:
        found = measure(name, options.arenas, options.threads, options.rounds, options.steps)
        figures[name] = asdict(found)
        print(
            f"{name:>9}: collection {found.collection:7,.0f}, {CASES[name][1]} in a loop {found.loop:7,.0f}, "
            f"ratio {found.ratio:.2f}",
            flush=True,
        )
    if options.json is not None:
        write_figures(options.json, figures)


if __name__ == "__main__":
    main()
