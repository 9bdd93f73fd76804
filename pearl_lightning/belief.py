"""The running posterior over z that an agent acts on."""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.networks.encoders import ContextEncoder


class Belief:
    """Posterior over z, one per arena; starts at the prior N(0, I) and takes in transitions as they come.

    Args:
        encoder: Holds the update rule.
        arenas: Number of beliefs.
    """

    def __init__(self, encoder: ContextEncoder, arenas: int) -> None:
        self.encoder = encoder
        self.state = encoder.initial_state(arenas)

    @torch.no_grad()
    def update(self, context: Tensor) -> None:
        """Take in transitions ``[arena, transition, feature]``."""
        self.state = self.encoder.update(self.state, context)

    @torch.no_grad()
    def posterior(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[arena, latent]``; the prior's before the first update."""
        return self.encoder.posterior(self.state)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A latent ``[arena, latent]`` from each posterior."""
        mean, std = self.posterior()
        return mean + std * torch.randn(mean.shape, generator=generator).to(mean.device)
