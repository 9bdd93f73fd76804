"""The encoder that reads nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.networks.encoders.encoder import ContextEncoder


class ContextFreeEncoder(ContextEncoder):
    """Reads nothing: z has no numbers, and PEARL with it is a plain soft actor-critic over all tasks.

    What adaptation is measured against; given an environment that tells the task, the agent that knows it.

    Args:
        context_features: Numbers in one transition, all ignored.
    """

    device_probe: Tensor

    def __init__(self, context_features: int) -> None:
        super().__init__(context_features, latent_dim=0)
        self.register_buffer("device_probe", torch.empty(0), persistent=False)

    def initial_state(self, tasks: int) -> Tensor:
        return self.device_probe.new_empty(tasks, 0)

    def update(self, state: Tensor, context: Tensor) -> Tensor:
        return state

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        return state, state
