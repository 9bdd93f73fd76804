"""TaskInference: prediction of the task's descriptor."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from pearl_lightning.inference.auxiliary.auxiliary import AuxiliaryLoss, AuxiliarySizes
from pearl_lightning.inference.inferred import Inferred


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
