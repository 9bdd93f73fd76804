"""What one arena saw while an agent adapted: everything that a viewer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.belief import Belief
from pearl_lightning.envs.derk.backend import DerkBackend
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.interface import AGENTS, BOUNTY_KEYS, SIDES
from pearl_lightning.envs.derk.tasks import DerkTask, DerkTasks
from pearl_lightning.rollout import MetaAgent, adaptation_episodes

MEMBERS_PER_SIDE = 1 + AGENTS
"""A statue and its Derklings."""
_STATES = (
    "position",
    "heading",
    "hitpoints",
    "focus",
    "cast_state",
    "cast_ability",
    "cast_target",
    "cooldown",
    "dazed",
    "crippled",
    "iron",
    "helium",
    "shot_position",
)
"""Of the simulator's state, ``[frame, member, ...]``; shots ``[frame, shot, 3]``."""


@dataclass(frozen=True)
class MatchRecord:
    """One episode of one arena; a frame is the state before a step, and there is one more after the last.

    Args:
        task: What was hidden, as the teams stand: home's on the home side.
        states: What the simulator calls by these names, ``[frame, member, ...]``; of shots ``[frame, shot, 3]``.
        shot_targets: The member that a shot flies to, or -1 for one that does not fly, ``[frame, shot]``.
        actions: ``[step, side, agent, 5]``.
        rewards: What each bounty paid in a step, ``[step, side, agent, bounty]`` as ``BOUNTY_KEYS`` names it.
        z_mean: Mean of the belief that the learner's team drew its z from ``[latent]``.
        z_std: Its standard deviation.
        own_side: Where the learner's team stands: 0 is home, 1 away.
    """

    task: DerkTask
    states: dict[str, np.ndarray]
    shot_targets: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    z_mean: np.ndarray
    z_std: np.ndarray
    own_side: int

    @property
    def returns(self) -> np.ndarray:
        """Team return of each side ``[side]``."""
        return self.rewards.sum(axis=(0, 2, 3))

    @property
    def kills(self) -> np.ndarray:
        """Derklings of the other side that are dead at the end ``[side]``."""
        hitpoints = self.states["hitpoints"][-1].reshape(SIDES, MEMBERS_PER_SIDE)
        return (hitpoints[::-1, 1:] <= 0).sum(axis=1)


class MatchCamera:
    """A spectator (``DerkEnv.spectator``) that keeps all that happens in one arena of the simulator.

    Args:
        arena: Which one.
    """

    def __init__(self, arena: int = 0) -> None:
        self.arena = arena
        self.task: DerkTask | None = None
        self.frames: list[dict[str, Tensor]] = []
        self.actions: list[Tensor] = []

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        if not hasattr(backend, "bounty_events"):
            raise ValueError("only matches of the simulator can be recorded: set backend to simulator")
        self.task, self.frames, self.actions = tasks[self.arena], [self._frame(backend)], []

    def step(self, backend: DerkBackend, action: Tensor) -> None:
        self.frames.append(self._frame(backend))
        self.actions.append(action[:, self.arena].cpu())

    def record(self, posterior: tuple[Tensor, Tensor], own_side: int) -> MatchRecord:
        """The episode that has ended, as one record.

        Args:
            posterior: Mean and standard deviation ``[latent]`` of the belief before the episode.
            own_side: Where the learner's team stands.
        """
        assert self.task is not None
        frames = {name: torch.stack([frame[name] for frame in self.frames]).numpy() for name in self.frames[0]}
        gold, events = frames.pop("gold"), frames.pop("events")
        weights = frames.pop("weights")[0]
        paid = np.diff(events * weights, axis=0).reshape(-1, SIDES, AGENTS, len(BOUNTY_KEYS))
        agents = [side * MEMBERS_PER_SIDE + 1 + agent for side in range(SIDES) for agent in range(AGENTS)]
        gained = np.diff(gold[:, agents], axis=0).reshape(-1, SIDES, AGENTS)
        # What a weight alone does not explain comes of sharing within the team, or of time's discount.
        paid[..., BOUNTY_KEYS.index("teamSpirit")] = gained - paid.sum(axis=-1)
        return MatchRecord(
            task=self.task,
            shot_targets=frames.pop("shot_targets"),
            states=frames,
            actions=torch.stack(self.actions).numpy(),
            rewards=paid,
            z_mean=posterior[0].numpy(),
            z_std=posterior[1].numpy(),
            own_side=own_side,
        )

    def _frame(self, backend: Any) -> dict[str, Tensor]:
        state = backend.state()
        return {name: state[name][self.arena].cpu() for name in (*_STATES, "shot_targets", "gold", "events", "weights")}


def one_arena(env: DerkEnv) -> DerkEnv:
    """One arena of the same world in the simulator, made to be recorded; whoever asks closes it."""
    return DerkEnv(
        arenas=1,
        tasks=cast(DerkTasks, env.tasks),
        backend="simulator",
        count_events=True,
        side=env.side,
        observe_time=env.observe_time,
        observe_task=env.observe_task,
    )


def record_adaptation(
    env: DerkEnv,
    agent: MetaAgent,
    task: int,
    *,
    episodes: int = 3,
    deterministic: bool = False,
    seed: int = 0,
) -> list[MatchRecord]:
    """Play a task from the prior on and keep what its first arena saw, a record per episode.

    Args:
        env: Derk's Gym in the simulator with ``count_events``; its tasks and random state are put back afterwards.
        agent: Plays.
        task: Index of the task; every arena plays it.
        episodes: Episodes, at least 1.
        deterministic: Play the policy's mode rather than a sample.
        seed: Fixes the starts and the draws.

    Raises:
        ValueError: The environment counts no events, or there are no episodes.
    """
    if not env.events:
        raise ValueError("env must be of the simulator, with count_events: true")
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    camera = MatchCamera()
    saved_tasks, saved_state, records = env.next_tasks, env.random_state(), []
    try:
        env.set_seed(seed)
        env.set_tasks(torch.full((env.arenas,), task))
        env.spectator = camera
        belief, generator = agent.prior(env.arenas), torch.Generator().manual_seed(seed)
        before = _first(belief)
        for _ in adaptation_episodes(
            env, agent, episodes, deterministic=deterministic, generator=generator, belief=belief
        ):
            records.append(camera.record(before, ("home", "away").index(env.side)))
            before = _first(belief)
    finally:
        env.spectator = None
        env.load_random_state(saved_state)
        env.set_tasks(saved_tasks)
    return records


def _first(belief: Belief) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[latent]`` in the first arena."""
    mean, std = belief.posterior()
    return mean[0].cpu(), std[0].cpu()
