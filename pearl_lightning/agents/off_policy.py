"""Base class of agents that learn from meta-batches of a replay, one update per meta-batch."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities import rank_zero_warn
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.agent import Agent, logs_this_update
from pearl_lightning.agents.cuda_graphs import GraphedUpdate, Update, set_capturable, why_without_graphs
from pearl_lightning.agents.finite_losses import FiniteLosses
from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.optimizers import Optimizers, check_clipping, check_precision


class OffPolicyAgent(Agent):
    """An agent whose updates minimize the sum of several losses of a meta-batch.

    On one GPU, updates are recorded as CUDA graphs, and nothing waits for the GPU. A loss that is not finite then
    raises an error when metrics are logged, a checkpoint is written or the agent plays.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        optimizers: Optimizers of all parameters.
        cuda_graphs: Whether a run on one GPU records its updates as CUDA graphs.
    """

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        optimizers: Optimizers,
        cuda_graphs: bool,
    ) -> None:
        super().__init__(observation_features, action_space)
        self.automatic_optimization = False
        self.optimization, self.cuda_graphs = optimizers, cuda_graphs
        self.finite, self._run = FiniteLosses(), cast(Update, self.update)

    @property
    def is_on_gpu(self) -> bool:
        """Whether updates run on a GPU, for which nothing should wait."""
        return self.device.type == "cuda"

    @abstractmethod
    def losses(self, batch: TensorDictBase) -> dict[str, Tensor]:
        """Return losses ``loss/*``, whose sum an update minimizes, and detached diagnostics ``train/*``; all scalars.

        Like ``update_statistics`` and ``update_targets``, it must not wait for a GPU, and numbers that change from
        update to update must be in tensors that are changed in place: a CUDA graph repeats operations only.
        """

    def update_statistics(self, batch: TensorDictBase) -> None:
        """Include a meta-batch in the statistics that ``losses`` reads; there are none by default."""

    def update_targets(self) -> None:
        """Move target networks after the steps of the optimizers; there are none by default."""

    def update(self, batch: TensorDictBase) -> dict[str, Tensor]:
        """Update on one meta-batch, except for the step of the first optimizer; return losses and diagnostics.

        There is one backward pass over the sum of the losses. Target networks follow no parameters of the first
        optimizer, which Lightning steps.
        """
        self.update_statistics(batch)
        terms, optimizers = self.losses(batch), self.trainer.optimizers
        total = total_loss(terms)
        self.finite.note(total, terms, self.global_step)
        for optimizer in optimizers:  # the gradients of a graph stay where they are
            optimizer.zero_grad(set_to_none=not self.is_on_gpu)
        with torch.autocast(self.device.type, enabled=False):  # the backward pass has the precision of the forward pass
            self.manual_backward(total)
        self.optimization.step_others(optimizers)
        self.update_targets()
        return {name: term.detach() for name, term in terms.items()}

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> None:
        """Update all networks on one meta-batch."""
        terms = self._run(batch)
        cast(list[LightningOptimizer], self.optimizers())[0].step()  # through Lightning: global_step counts updates
        if logs_this_update(self.trainer):
            self.finite.require()
            self.log_dict(terms)

    @property
    def is_graphed(self) -> bool:
        """Whether updates are recorded as CUDA graphs in this run."""
        return isinstance(self._run, GraphedUpdate) and not self._run.is_eager

    def on_fit_start(self) -> None:
        check_precision(self.trainer)
        self.finite = FiniteLosses(is_deferred=self.is_on_gpu)

    def on_train_start(self) -> None:  # the optimizers of a resumed run are restored by now
        optimizers = self.trainer.optimizers
        records = self.cuda_graphs and self.is_on_gpu
        if records and (reason := why_without_graphs(self.trainer, optimizers)) is not None:
            rank_zero_warn(f"updates run without CUDA graphs, several times slower: {reason}")
            records = False
        set_capturable(optimizers, records)
        self._run = GraphedUpdate(self.update, optimizers[1:], self.noise) if records else self.update

    def on_train_end(self) -> None:
        self._run = self.update  # the graphs would keep their memory

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.finite.require()
        super().on_save_checkpoint(checkpoint)

    def check_trainer(self, trainer: Trainer) -> None:
        super().check_trainer(trainer)
        check_clipping(trainer)
