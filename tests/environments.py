"""An environment without rules whose every number can be foretold, and an encoder that tells how much it has seen."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.envs.tasks import TaskDistribution
from pearl_lightning.experience.data import EnvDataModule
from pearl_lightning.inference.encoders import ContextEncoder

SPACE = ActionSpace((-1.0, 0.0), (1.0, 2.0), (3,))
AGENTS, FEATURES, HORIZON = 3, 3, 4


class NumberedTasks(TaskDistribution[int]):
    """Tasks that are their own index."""

    def __init__(self, train_tasks: int = 6, validation_tasks: int = 3, test_tasks: int = 3) -> None:
        self.train = range(train_tasks)
        self.validation = range(train_tasks, train_tasks + validation_tasks)
        self.test = range(train_tasks + validation_tasks, train_tasks + validation_tasks + test_tasks)

    def describe(self, index: int) -> str:
        return f"task {index}"


class CountingEnv(MetaEnv):
    """Observes (a number drawn at the start of the episode, step, agent); pays task + first action component.

    An arena wins where its number is positive, and loses otherwise. The last step is terminated.

    Args:
        lose: Episodes (counted from 0 as they begin) and the step before which each is lost.
    """

    def __init__(
        self,
        *,
        arenas: int = 4,
        tasks: NumberedTasks | None = None,
        lose: dict[int, int] | None = None,
        has_training_reward: bool = False,
        has_outcome: bool = True,
    ) -> None:
        super().__init__(
            arenas=arenas,
            tasks=NumberedTasks() if tasks is None else tasks,
            action_space=SPACE,
            agents=AGENTS,
            features=FEATURES,
            horizon=HORIZON,
            has_training_reward=has_training_reward,
            has_outcome=has_outcome,
        )
        self.lose = lose or {}
        self.begun: list[list[int]] = []  # tasks of every episode, lost ones included
        self.numbers: list[Tensor] = []  # what each episode drew ``[arena]``
        self.played_steps = 0  # of one arena, lost ones included

    def begin(self, tasks: list[Any]) -> Tensor:
        self.begun.append(list(tasks))
        self.numbers.append(torch.randn(self.arenas, generator=self.generator))
        self.step_number = 0
        return self._observe()

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if self.lose.get(len(self.begun) - 1) == self.step_number:
            raise EpisodeLost("the counting environment broke")
        self.step_number += 1
        self.played_steps += self.arenas
        reward = torch.tensor(self.begun[-1]).unsqueeze(1) + action[..., 0]
        last = self.step_number == HORIZON
        result = {"observation": self._observe(), "reward": reward, "terminated": last, "truncated": False}
        if self.has_training_reward:
            result["training_reward"] = reward + 100
        if self.has_outcome:
            result["outcome"] = self.numbers[-1].sign() * last
        return result

    def _observe(self) -> Tensor:
        step = torch.full((self.arenas, AGENTS), float(self.step_number))
        agent = torch.arange(AGENTS).expand(self.arenas, -1)
        return torch.stack([self.numbers[-1].unsqueeze(1).expand(-1, AGENTS), step, agent], dim=-1)


class CountingEncoder(ContextEncoder):
    """A posterior that is sure of the number of transitions it has seen, so that z tells what it rests on."""

    def __init__(self, context_features: int) -> None:
        super().__init__(context_features, latent_dim=2)
        self.unused = nn.Parameter(torch.zeros(()))

    def initial_state(self, tasks: int) -> Tensor:
        return torch.zeros(tasks, 1)

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        return state + context.shape[1]

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        return state.expand(-1, 2) + 0 * self.unused, torch.where(state == 0, 1.0, 1e-3).expand(-1, 2)


def train_quietly(agent: LightningModule, data: EnvDataModule, collector: Callback, updates: int) -> None:
    """So many updates, without evaluations, files and words."""
    trainer = Trainer(
        max_steps=updates,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[collector],
    )
    trainer.fit(agent, data)


class SpoiltEnv(CountingEnv):
    """A counting environment in which some tasks give numbers that are not finite; it refuses such actions.

    Args:
        spoilt: Task, what it spoils (``observation``, ``reward`` or ``outcome``), from which step on, and the number.
    """

    def __init__(self, spoilt: tuple[int, str, int, float], **settings: Any) -> None:
        super().__init__(**settings)
        self.spoilt = spoilt

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if not torch.isfinite(action).all():
            raise ValueError("action must be finite")
        task, name, step, number = self.spoilt
        result = super().advance(action)
        if self.step_number >= step:
            result[name][torch.tensor(self.begun[-1]) == task] = number  # type: ignore[index]
        return result
