"""An encoder that reads no context."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.inference.encoders.encoder import ContextEncoder


class ContextFreeEncoder(ContextEncoder):
    """An encoder with an empty z. PEARL with this encoder is a plain soft actor-critic over all tasks.

    It is the context-free baseline. In an environment that observes the task, it is the oracle.

    Args:
        context_features: Number of features of a transition; ignored.
    """

    device_probe: Tensor

    def __init__(self, context_features: int) -> None:
        super().__init__(context_features, latent_dim=0)
        self.register_buffer("device_probe", torch.empty(0), persistent=False)

    def initial_state(self, tasks: int) -> Tensor:
        return self.device_probe.new_empty(tasks, 0)

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        return state

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        return state, state
