"""Recording of one arena during the adaptation of an agent, with all data that a viewer shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.backends.backend import DerkBackend
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import AGENTS, BOUNTY_KEYS, SIDES
from pearl_lightning.derk.tasks import DerkTask, DerkTasks
from pearl_lightning.experience.player import MetaAgent, Player
from pearl_lightning.experience.rollout import play_episode

MEMBERS_PER_SIDE = 1 + AGENTS
"""One statue and its Derklings."""
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
"""Recorded fields of the simulator's state, ``[frame, member, ...]``; shots ``[frame, shot, 3]``."""


@dataclass(frozen=True)
class MatchRecord:
    """One episode of one arena. A frame is the state before a step; one more frame follows the last step.

    Args:
        task: The task as it was played: its home team is the one on the home side.
        states: Fields of the simulator's state by name, ``[frame, member, ...]``; for shots ``[frame, shot, 3]``.
        shot_targets: Target member of each shot, or -1 if the shot is not flying, ``[frame, shot]``.
        actions: Actions ``[step, side, agent, 5]``.
        rewards: Reward from each bounty ``[step, side, agent, bounty]``, in the order of ``BOUNTY_KEYS``.
        belief_steps: Steps before which the learner's team had a new belief ``[moment]``; the first is 0.
        z_mean: Mean of the belief from then on ``[moment, latent]``.
        z_std: Standard deviation of that belief ``[moment, latent]``.
        own_side: Side of the learner's team: 0 is home, 1 is away.
    """

    task: DerkTask
    states: dict[str, np.ndarray]
    shot_targets: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    belief_steps: np.ndarray
    z_mean: np.ndarray
    z_std: np.ndarray
    own_side: int

    @property
    def returns(self) -> np.ndarray:
        """Team return of each side ``[side]``."""
        return self.rewards.sum(axis=(0, 2, 3))

    @property
    def kills(self) -> np.ndarray:
        """Number of the other side's Derklings that are dead at the end ``[side]``."""
        hitpoints = self.states["hitpoints"][-1].reshape(SIDES, MEMBERS_PER_SIDE)
        return (hitpoints[::-1, 1:] <= 0).sum(axis=1)


class MatchCamera:
    """A spectator (``DerkEnv.spectator``) that records one arena of the simulator.

    Args:
        player: Player of the learner's team, whose beliefs are recorded.
        arena: Index of the arena.
    """

    def __init__(self, player: Player, arena: int = 0) -> None:
        self.player, self.arena = player, arena
        self.task: DerkTask | None = None
        self.frames: list[dict[str, Tensor]] = []
        self.actions: list[Tensor] = []
        self.beliefs: dict[int, tuple[Tensor, Tensor]] = {}

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        if not hasattr(backend, "bounty_events"):
            raise ValueError("only matches of the simulator can be recorded; set backend to simulator")
        self.task, self.frames, self.actions = tasks[self.arena], [self._frame(backend)], []
        self.beliefs = {}

    def step(self, backend: DerkBackend, action: Tensor) -> None:
        step, every = len(self.actions), self.player.agent.observe_every
        if step == 0 or (every is not None and step % every == 0):  # updated just before this action
            self.beliefs[step] = self._belief()
        self.frames.append(self._frame(backend))
        self.actions.append(action[:, self.arena].cpu())

    def record(self, own_side: int) -> MatchRecord:
        """Return the record of the episode that has ended.

        Args:
            own_side: Side of the learner's team: 0 is home, 1 is away.
        """
        assert self.task is not None
        frames = {name: torch.stack([frame[name] for frame in self.frames]).numpy() for name in self.frames[0]}
        gold, events = frames.pop("gold"), frames.pop("events")
        weights = frames.pop("weights")[0]
        paid = np.diff(events * weights, axis=0).reshape(-1, SIDES, AGENTS, len(BOUNTY_KEYS))
        agents = [side * MEMBERS_PER_SIDE + 1 + agent for side in range(SIDES) for agent in range(AGENTS)]
        gained = np.diff(gold[:, agents], axis=0).reshape(-1, SIDES, AGENTS)
        # The part of the reward that the weights do not explain comes from team spirit or from time scaling.
        paid[..., BOUNTY_KEYS.index("teamSpirit")] = gained - paid.sum(axis=-1)
        means, stds = (torch.stack(values).numpy() for values in zip(*self.beliefs.values(), strict=True))
        return MatchRecord(
            task=self.task,
            shot_targets=frames.pop("shot_targets"),
            states=frames,
            actions=torch.stack(self.actions).numpy(),
            rewards=paid,
            belief_steps=np.array(list(self.beliefs)),
            z_mean=means,
            z_std=stds,
            own_side=own_side,
        )

    def _belief(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[latent]``; without numbers if the belief is not a Gaussian."""
        mean, std = self.player.belief.posterior() or (torch.empty(self.arena + 1, 0), torch.empty(self.arena + 1, 0))
        return mean[self.arena].cpu(), std[self.arena].cpu()

    def _frame(self, backend: Any) -> dict[str, Tensor]:
        state = backend.state()
        return {name: state[name][self.arena].cpu() for name in (*_STATES, "shot_targets", "gold", "events", "weights")}


def one_arena(env: DerkEnv) -> DerkEnv:
    """Create the same environment with one arena in the simulator, for recording. The caller must close it.

    An environment that plays the real game or a backend object is recorded with the default rules of the simulator.
    """
    return DerkEnv(
        arenas=1,
        tasks=cast(DerkTasks, env.tasks),
        backend="simulator",
        backend_options=env.simulator_options,
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
    """Play a task, starting from the prior, and record the first arena; return one record per episode.

    Args:
        env: Derk's Gym in the simulator with ``count_events``. Its tasks and random state are restored afterwards.
        agent: Agent that plays.
        task: Index of the task; all arenas play it.
        episodes: Number of episodes, at least 1.
        deterministic: Play the policy's mode instead of a sample.
        seed: Seed of the spawns and of all samples.

    Raises:
        ValueError: The environment does not count events, or ``episodes`` is below 1.
    """
    if not env.events:
        raise ValueError("env must use the simulator with count_events: true")
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    generator = torch.Generator().manual_seed(seed)
    player = Player(agent, env.arenas, deterministic=deterministic, generator=generator)
    camera = MatchCamera(player)
    saved_tasks, saved_state, records = env.next_tasks, env.random_state(), []
    try:
        env.set_seed(seed)
        env.set_tasks(torch.full((env.arenas,), task))
        env.spectator = camera
        for _ in range(episodes):
            play_episode(env, player)
            records.append(camera.record(("home", "away").index(env.side)))
    finally:
        env.spectator = None
        env.load_random_state(saved_state)
        env.set_tasks(saved_tasks)
    return records
