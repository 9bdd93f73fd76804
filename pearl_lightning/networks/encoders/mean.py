"""An encoder that averages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.networks.encoders.encoder import ContextEncoder, gaussian_unless_empty
from pearl_lightning.networks.layers import check_sizes, mlp


class MeanEncoder(ContextEncoder):
    """The posterior is read off the mean of the transitions' embeddings (deep sets, Zaheer et al. 2017).

    Unlike a product it does not take each transition for independent evidence: how sure the belief is after so many of
    them is learned, from the logarithm of their number. The running state is the embeddings' sum and the number,
    ``[task, embedding + 1]``.

    Args:
        context_features: Numbers in one transition.
        latent_dim: Numbers in z.
        hidden: Widths of the hidden layers, before and after the mean.
        embedding: Numbers that are averaged.
    """

    def __init__(
        self, context_features: int, latent_dim: int = 5, hidden: Sequence[int] = (256, 256), embedding: int = 128
    ) -> None:
        super().__init__(context_features, latent_dim)
        check_sizes(latent_dim=latent_dim, embedding=embedding)
        self.embed = mlp(context_features, hidden, embedding)
        self.head = mlp(embedding + 1, hidden[-1:], 2 * latent_dim)
        self.embedding = embedding

    def initial_state(self, tasks: int) -> Tensor:
        return torch.zeros(tasks, self.embedding + 1, device=next(self.parameters()).device)

    def update(self, state: Tensor, context: Tensor) -> Tensor:
        embedded = self.embed(context).float()
        return state + torch.cat([embedded, embedded.new_ones(*embedded.shape[:2], 1)], dim=-1).sum(dim=1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        total, count = state.split([self.embedding, 1], dim=-1)
        summary = torch.cat([total / count.clamp_min(1), count.log1p()], dim=-1)
        return gaussian_unless_empty(self.head(summary), count.squeeze(-1))
