"""Several optimizers that take one step together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from pytorch_lightning import Trainer
from pytorch_lightning.cli import OptimizerCallable
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

PRECISIONS = ("32-true", "bf16-mixed")
"""Values of Lightning's ``precision`` that need no loss scaling, which several optimizers would have to share."""


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """Optimizers of all groups of parameters.

    Args:
        default: Function that creates an optimizer for a group of parameters.
        encoder: Function that creates the optimizers of the encoder and of the auxiliary losses; ``default`` if None.
            The encoder tolerates a larger learning rate than the critics, because its targets do not move.
        gradient_clip_norm: Largest norm of the gradient of all parameters of an optimizer; a larger gradient is scaled
            down to it. None for no limit. Lightning's ``gradient_clip_val`` has no effect on these updates.

    Raises:
        ValueError: The norm is not positive.
    """

    default: OptimizerCallable = Adam
    encoder: OptimizerCallable | None = None
    gradient_clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.gradient_clip_norm is not None and not self.gradient_clip_norm > 0:
            raise ValueError(f"optimizers.gradient_clip_norm must be above 0 or null, got {self.gradient_clip_norm}")

    def make(self, encoder: Sequence[nn.Module], others: Sequence[list[nn.Parameter]]) -> list[Optimizer]:
        """Create the optimizers: one per module of the encoder with parameters, then one per group of the others."""
        groups = [list(module.parameters()) for module in encoder]
        make_encoder_optimizer = self.encoder or self.default
        return [*(make_encoder_optimizer(g) for g in groups if g), *(self.default(group) for group in others)]

    def step_others(self, optimizers: Sequence[Optimizer]) -> None:
        """Clip the gradients of all optimizers and take one step with each but the first."""
        if self.gradient_clip_norm is not None:
            for optimizer in optimizers:
                learned = chain.from_iterable(group["params"] for group in optimizer.param_groups)
                clip_grad_norm_(list(learned), self.gradient_clip_norm)
        for optimizer in optimizers[1:]:
            optimizer.step()


def check_precision(trainer: Trainer) -> None:
    """Raise an error for a precision that needs loss scaling or changes the type of the parameters.

    Raises:
        ValueError: The precision is not supported.
    """
    if trainer.precision not in PRECISIONS:
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)}, got {trainer.precision}")


def check_clipping(trainer: Trainer) -> None:
    """Raise an error for Lightning's gradient clipping, which supports only one optimizer.

    Raises:
        ValueError: The trainer clips gradients.
    """
    for name in ("gradient_clip_val", "gradient_clip_algorithm"):
        if value := getattr(trainer, name):
            raise ValueError(
                f"trainer.{name} must not be set for PEARL, which has several optimizers: set "
                f"model.optimizers.gradient_clip_norm instead, got {getattr(value, 'value', value)}"
            )
