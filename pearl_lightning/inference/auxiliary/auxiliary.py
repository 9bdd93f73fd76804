"""AuxiliaryLoss: an additional loss of the encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pearl_lightning.inference.inferred import Inferred

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
