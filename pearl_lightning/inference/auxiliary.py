"""Auxiliary losses, which train the encoder to infer more than the critics need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pearl_lightning.inference.inferred import Inferred
from pearl_lightning.networks.layers import mlp

LOSSES_OF_PEARL = ("critic", "actor", "value", "temperature", "kl")
"""Names that auxiliary losses must not have."""


@dataclass(frozen=True, kw_only=True)
class AuxiliarySizes:
    """Sizes of the inputs of an auxiliary loss.

    Args:
        observation: Number of features in one agent's observation.
        action: Size of an encoded action.
        latent: Size of z.
        descriptor: Size of a task's descriptor; 0 if the tasks have none.
    """

    observation: int
    action: int
    latent: int
    descriptor: int


class AuxiliaryLoss(nn.Module, ABC):
    """An additional loss of the encoder. If it has parameters, they are trained with the encoder's optimizer settings.

    Args:
        sizes: Sizes of the inputs.
    """

    name: ClassVar[str]
    """The loss is logged as ``loss/NAME``."""

    def __init__(self, sizes: AuxiliarySizes) -> None:
        super().__init__()
        self.sizes = sizes

    @abstractmethod
    def loss(self, inferred: Inferred) -> Tensor:
        """Return the weighted loss, a scalar; on a GPU it must not wait, as ``OffPolicyAgent.losses``."""

    def informed(self, mean: Tensor, std: Tensor, inferred: Inferred) -> tuple[Tensor, Tensor]:
        """Return mean and std ``[task, latent]`` of the posteriors that the update acts on; unchanged by default."""
        return mean, std


class Reconstruction(AuxiliaryLoss):
    """Prediction of the rewards of the context from z, and optionally of the changes of its observations.

    It trains z to contain the rewards, or the effects of actions, before the critics use them (Zintgraf et al. 2020,
    sec. 3.1). The predicted transitions are those that the encoder has read.

    Args:
        sizes: Sizes of the inputs.
        hidden: Widths of the hidden layers.
        reward_weight: Weight of the squared error of the reward, at least 0.
        observation_weight: Weight of the squared error of the change of the observation, averaged over features; at
            least 0.

    Raises:
        ValueError: A weight is out of its range.
    """

    name = "reconstruction"

    def __init__(
        self,
        sizes: AuxiliarySizes,
        hidden: Sequence[int] = (128, 128),
        reward_weight: float = 1.0,
        observation_weight: float = 0.0,
    ) -> None:
        super().__init__(sizes)
        for name, weight in (("reward_weight", reward_weight), ("observation_weight", observation_weight)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        self.reward_weight, self.observation_weight = reward_weight, observation_weight
        self.body = mlp(sizes.observation + sizes.action + sizes.latent, hidden, 1 + sizes.observation)

    def loss(self, inferred: Inferred) -> Tensor:
        context = inferred.transitions
        of_task = inferred.z.unsqueeze(1).expand(-1, context.shape[1], -1)
        change, known, reward = context.tensor_split([self.sizes.observation, context.shape[-1] - 1], dim=-1)
        predicted = self.body(torch.cat([known, of_task], dim=-1))
        reward_error, change_error = (predicted[..., :1] - reward).square(), (predicted[..., 1:] - change).square()
        if inferred.played is not None:  # padding counts 0; a selection would wait for the GPU
            share = inferred.played.float().mean()
            reward_error, change_error = (
                torch.where(inferred.played.unsqueeze(-1), error, 0.0) / share for error in (reward_error, change_error)
            )
        loss: Tensor = self.reward_weight * reward_error.mean()
        return loss + self.observation_weight * change_error.mean()


class TaskInference(AuxiliaryLoss):
    """Task inference: trains the first numbers of z to equal the task's descriptor, which is privileged information.

    Descriptors have mean 0 and variance 1 over the train tasks, like z under its prior (Humplik et al. 2019, sec.
    3.2). For a share of the tasks of a meta-batch, actor and critics get the descriptor itself in place of the first
    numbers of z. The agent thus learns what to do in a task before any context identifies it. When z is sampled from
    the prior, it tries these behaviours, and only behaviours that are tried produce informative context (Kamienny et
    al. 2020, sec. 3).

    Args:
        sizes: Sizes of the inputs.
        weight: Weight of the squared error, summed over numbers and averaged over tasks; must be positive.
        informed_share: Share of a meta-batch's tasks for which z contains the descriptor itself, in [0, 1].

    Raises:
        ValueError: A setting is out of its range, the tasks have no descriptors, or z is smaller than a descriptor.
    """

    name = "task_inference"

    def __init__(self, sizes: AuxiliarySizes, weight: float = 1.0, informed_share: float = 0.5) -> None:
        super().__init__(sizes)
        if not 0 < weight < math.inf:
            raise ValueError(f"TaskInference's weight must be above 0 and finite, got {weight}")
        if not 0 <= informed_share <= 1:
            raise ValueError(f"informed_share must be in [0, 1], got {informed_share}")
        if sizes.descriptor < 1:
            raise ValueError(
                "TaskInference needs tasks with descriptors, or descriptor_features above 0, got descriptor_features "
                f"{sizes.descriptor}: remove it from model.auxiliary"
            )
        if sizes.descriptor > sizes.latent:
            raise ValueError(
                f"latent_dim must be at least the {sizes.descriptor} numbers of a descriptor with TaskInference, got "
                f"{sizes.latent}"
            )
        self.weight, self.informed_share = weight, informed_share

    def loss(self, inferred: Inferred) -> Tensor:
        errors = (inferred.z[:, : self.sizes.descriptor] - self._descriptor(inferred)).square()
        return self.weight * errors.sum(dim=1).mean()

    def informed(self, mean: Tensor, std: Tensor, inferred: Inferred) -> tuple[Tensor, Tensor]:
        """Replace the first numbers by the descriptor, with std 0, for the first ``informed_share`` of the tasks.

        The order of tasks in a meta-batch is random. No gradient reaches the encoder through the replaced numbers.
        """
        numbers = torch.arange(mean.shape[1], device=mean.device) < self.sizes.descriptor
        tasks = torch.arange(len(mean), device=mean.device) < round(self.informed_share * len(mean))
        is_informed = tasks.unsqueeze(1) & numbers
        descriptor = pad(self._descriptor(inferred), (0, mean.shape[1] - self.sizes.descriptor))
        return torch.where(is_informed, descriptor, mean), torch.where(is_informed, 0.0, std)

    @staticmethod
    def _descriptor(inferred: Inferred) -> Tensor:
        assert inferred.descriptor is not None, "meta-batches contain the descriptors if the tasks have any"
        return inferred.descriptor


def named_losses(losses: Sequence[AuxiliaryLoss]) -> nn.ModuleList:
    """Collect auxiliary losses as a module list, and check that their names are unique.

    Args:
        losses: Auxiliary losses.

    Raises:
        ValueError: A name occurs twice, or is one of ``LOSSES_OF_PEARL``.
    """
    names = [*LOSSES_OF_PEARL, *(loss.name for loss in losses)]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"auxiliary losses must have different names, got {', '.join(repeated)} twice")
    return nn.ModuleList(losses)
