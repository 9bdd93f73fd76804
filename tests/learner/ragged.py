"""An environment whose arenas end at different steps."""

from __future__ import annotations

from typing import Any

import torch
from environments import NumberedTasks
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import MetaEnv

AGENTS, HORIZON, ARENAS = 2, 7, 6
SPACE = ActionSpace((-1.0,), (1.0,), (3,))


class RaggedEnv(MetaEnv):
    """Ends after a random number of steps in every arena, by termination if that number is odd.

    An observation is (task, step, agent), and nonsense in an arena that has ended; the reward of a step is its number,
    from 1, plus a tenth of the first action.

    Args:
        lengths: The number of steps of every arena; drawn for each episode by default.
    """

    def __init__(self, arenas: int = ARENAS, lengths: list[int] | None = None) -> None:
        super().__init__(
            arenas=arenas,
            tasks=NumberedTasks(arenas, 3, 3),
            action_space=SPACE,
            agents=AGENTS,
            features=3,
            horizon=HORIZON,
            has_outcome=True,
        )
        self.lengths = lengths
        self.drawn: list[Tensor] = []

    def begin(self, tasks: list[Any]) -> Tensor:
        drawn = torch.randint(1, HORIZON + 1, (self.arenas,), generator=self.generator)
        self.drawn.append(drawn if self.lengths is None else torch.tensor(self.lengths))
        self.numbers, self.step_number = torch.tensor(tasks), 0
        return self._observe()

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        assert torch.equal(self.ended, self.drawn[-1] <= self.step_number)
        self.step_number += 1
        ends = self.drawn[-1] == self.step_number
        return {
            "observation": self._observe(),
            "reward": self.step_number + action[..., 0] / 10,
            "terminated": ends & (self.drawn[-1] % 2 == 1),
            "truncated": ends & (self.drawn[-1] % 2 == 0),
            "outcome": torch.where(ends, self.numbers.sign().float(), 0.0),
        }

    def _observe(self) -> Tensor:
        step = torch.full((self.arenas, AGENTS), float(self.step_number))
        observation = torch.stack(
            [self.numbers.unsqueeze(1).expand(-1, AGENTS).float(), step, torch.arange(AGENTS).expand_as(step)], dim=-1
        )
        is_over = (self.drawn[-1] < self.step_number).view(-1, 1, 1)
        return torch.where(is_over, torch.nan, observation)
