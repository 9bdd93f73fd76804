"""A Derk environment for tests: deterministic, without rules, and able to break."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.derk.interface import (
    AGENTS,
    EPISODE_STEPS,
    OBSERVATION_FEATURES,
    SIDES,
    TARGETS,
    observation_index,
)
from pearl_lightning.derk.tasks import DerkTask
from pearl_lightning.envs.meta_env import EpisodeLost


def random_observations(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Observations ``[*shape, 64]`` in the game's ranges; about a fifth of the targets are dead."""
    observation = torch.rand(*shape, OBSERVATION_FEATURES, generator=generator)
    for target in TARGETS:
        distance, angle = observation_index(f"{target}Distance"), observation_index(f"{target}Angle")
        dead = torch.rand(*shape, generator=generator) < 0.2
        observation[..., angle] = (observation[..., angle] * 2 - 1).masked_fill(dead, 0.0)
        observation[..., distance] = observation[..., distance].masked_fill(dead, 2.0)
    flags = [observation_index(name) for name in ("Ability0Ready", "Ability1Ready", "Ability2Ready", "HasFocus")]
    flags += range(observation_index("HasTalons"), OBSERVATION_FEATURES - 2)
    observation[..., flags] = (observation[..., flags] > 0.5).float()
    return observation


class FakeBackend:
    """Observations and rewards depend on the seed, the step and the actions only.

    Args:
        arenas: Number of arenas.
        lose_at_step: Step (from 1) of the first episode at which the episode is lost.
        team_rewards: ``[side, arena]`` of the final statistics; the summed rewards when left out.
    """

    def __init__(
        self, *, arenas: int, lose_at_step: int | None = None, team_rewards: Sequence[Sequence[float]] | None = None
    ) -> None:
        self.arenas = arenas
        self.episode_steps = EPISODE_STEPS
        self.device = torch.device("cpu")
        self.lose_at_step = lose_at_step
        self.team_rewards = team_rewards
        self.tasks: list[DerkTask] = []
        self.seeds: list[int] = []
        self.actions: list[Tensor] = []  # of the running episode
        self.closed = 0

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        if len(tasks) != self.arenas:
            raise ValueError(f"tasks must contain one task per arena ({self.arenas}), got {len(tasks)}")
        self.tasks, self.actions = list(tasks), []
        self.seeds.append(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.total = torch.zeros(SIDES, self.arenas)
        return self._observe()

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        if action.shape != (SIDES, self.arenas, AGENTS, 5) or not bool(action.isfinite().all()):
            raise ValueError(f"action must be finite numbers [2, {self.arenas}, 3, 5], got {action}")
        self.actions.append(action.clone())
        if len(self.actions) == self.lose_at_step:
            self.lose_at_step = None
            raise EpisodeLost("the fake environment broke")
        reward = action[..., 0]
        self.total += reward.sum(-1)
        return self._observe(), reward, len(self.actions) == EPISODE_STEPS

    def team_stats(self) -> Tensor:
        rewards = self.total if self.team_rewards is None else torch.tensor(self.team_rewards)
        stats = torch.zeros(SIDES, self.arenas, 5)
        stats[..., 0], stats[..., 1] = rewards, rewards.flip(0)
        return stats

    def report(self) -> dict[str, str | int]:
        return {"backend": "fake"}

    def close(self) -> None:
        self.closed += 1

    def _observe(self) -> Tensor:
        return random_observations(SIDES, self.arenas, AGENTS, generator=self.generator)
