"""Episodes whose every number tells where it comes from, so that a draw can be traced back."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from pearl_lightning.experience.replay import TaskReplay

HORIZON, AGENTS = 5, 3


def marked_episodes(tasks: list[int], numbers: list[int], horizon: int = HORIZON, agents: int = AGENTS) -> TensorDict:
    """One episode per task ``[arena, row]`` as ``play_episode`` gives them; ``numbers`` name the episodes.

    An observation is (task, episode, row, agent), an action is that plus 0.25 in its first three columns, and the
    reward counts ``task * 1000 + episode * 100 + row * 10 + agent``; the training reward is its negative. Whether a
    row is marked as terminated depends on its episode's and its own number.
    """
    shape = (len(tasks), horizon + 1, agents)
    grid = torch.meshgrid(torch.arange(len(tasks)), torch.arange(horizon + 1), torch.arange(agents), indexing="ij")
    task, episode = torch.tensor(tasks)[grid[0]], torch.tensor(numbers)[grid[0]]
    observation = torch.stack([task, episode, grid[1], grid[2]], dim=-1).float()
    reward = observation @ torch.tensor([1000.0, 100.0, 10.0, 1.0])
    return TensorDict(
        {
            "observation": observation,
            "action": observation[..., :3] + 0.25,
            "reward": reward,
            "training_reward": -reward,
            "played": grid[1][..., 0] < horizon,
            "terminated": ends(episode[..., 0], grid[1][..., 0]),
            "task": task[..., 0].clone(),
        },
        batch_size=shape[:2],
    )


def ends(episode: Tensor, row: Tensor) -> Tensor:
    """Whether a marked row is a terminated one."""
    return (episode + row) % 3 == 0


def filled_replay(
    stored: list[tuple[int, int, bool]],
    *,
    tasks: int = 3,
    episodes_per_task: int = 4,
    recent_context: int = 2,
    **settings: Any,
) -> TaskReplay:
    """A replay that was given episodes (task, number, is_context), one after another."""
    replay = TaskReplay(
        tasks=tasks,
        episodes_per_task=episodes_per_task,
        horizon=HORIZON,
        recent_context=recent_context,
        generator=torch.Generator().manual_seed(0),
        **settings,
    )
    for task, number, is_context in stored:
        replay.extend(marked_episodes([task], [number]), is_context)
    return replay


def episodes_of(observations: TensorDictBase | Tensor) -> list[tuple[int, int]]:
    """The (task, episode) pairs in marked observations, sorted."""
    pairs = observations[..., :2].flatten(0, -2).unique(dim=0)  # type: ignore[union-attr]
    return [(int(task), int(episode)) for task, episode in pairs]


def chi_square(counts: Tensor) -> float:
    """Deviation of counts from equal ones, in standard deviations of the chi-square law."""
    freedom = counts.numel() - 1
    expected = counts.double().mean()
    return float(((counts - expected).square() / expected).sum() - freedom) / (2 * freedom) ** 0.5
