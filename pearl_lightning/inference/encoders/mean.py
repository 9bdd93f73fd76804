"""A context encoder that averages embeddings of transitions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.inference.encoders.encoder import ContextEncoder, gaussian_unless_empty
from pearl_lightning.networks.layers import check_sizes, mlp


class MeanEncoder(ContextEncoder):
    """Task posterior from the mean of the transitions' embeddings (deep sets, Zaheer et al. 2017).

    Unlike a product of Gaussians, it does not treat the transitions as independent evidence. The dependence of the
    posterior's width on the number of transitions is learned, from the logarithm of that number. The running state is
    the sum of the embeddings and the number of transitions, ``[task, embedding + 1]``.

    Args:
        context_features: Number of features of a transition.
        latent_dim: Size of z.
        hidden: Widths of the hidden layers, before and after the mean.
        embedding: Size of the embeddings.
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

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        embedded = self.embed(context).float()
        summands = torch.cat([embedded, embedded.new_ones(*embedded.shape[:2], 1)], dim=-1)
        if played is not None:
            summands = torch.where(played.unsqueeze(-1), summands, 0.0)
        return state + summands.sum(dim=1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        total, count = state.split([self.embedding, 1], dim=-1)
        summary = torch.cat([total / count.clamp_min(1), count.log1p()], dim=-1)
        return gaussian_unless_empty(self.head(summary), count.squeeze(-1))
