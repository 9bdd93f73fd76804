"""A context encoder with attention over transitions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.inference.encoders.encoder import ContextEncoder, gaussian_unless_empty
from pearl_lightning.networks.layers import check_sizes, mlp


class AttentionEncoder(ContextEncoder):
    """Task posterior from attention of learned queries over the transitions (Lee et al. 2019, sec. 3.2).

    Each query takes a softmax over all transitions, so it can select the few informative ones among many others. The
    softmax is updated online. The running state contains, for each query, the largest score, the sum of the
    exponentials relative to it, the number of transitions, and the weighted sum of the values,
    ``[task, query, 3 + value]``.

    Args:
        context_features: Number of features of a transition.
        latent_dim: Size of z.
        hidden: Widths of the hidden layers, before and after the attention.
        queries: Number of learned queries.
        values: Size of the value vectors.
    """

    def __init__(
        self,
        context_features: int,
        latent_dim: int = 5,
        hidden: Sequence[int] = (256, 256),
        queries: int = 8,
        values: int = 32,
    ) -> None:
        super().__init__(context_features, latent_dim)
        check_sizes(latent_dim=latent_dim, queries=queries, values=values)
        self.queries, self.values = queries, values
        self.embed = mlp(context_features, hidden, queries * (1 + values))
        self.head = mlp(queries * values + 1, hidden[-1:], 2 * latent_dim)

    def scores_and_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Score ``[task, query, transition]`` and value ``[task, query, transition, value]`` of each transition."""
        embedded = self.embed(context).float().unflatten(-1, (self.queries, 1 + self.values)).transpose(1, 2)
        return embedded[..., 0], embedded[..., 1:]

    def initial_state(self, tasks: int) -> Tensor:
        device = next(self.parameters()).device
        state = torch.zeros(tasks, self.queries, 3 + self.values, device=device)
        state[..., 0] = -torch.inf
        return state

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        if context.shape[1] == 0:
            return state
        score, value = self.scores_and_values(context)
        number: Tensor | int = context.shape[1]
        if played is not None:
            score = score.masked_fill(~played.unsqueeze(1), -torch.inf)
            number = played.sum(dim=1).view(-1, 1, 1)
        largest, weight, count, found = state.split([1, 1, 1, self.values], dim=-1)
        # a common factor does not change the softmax, so it needs no gradient
        new_largest = torch.maximum(largest, score.amax(dim=-1, keepdim=True)).detach()
        reference = new_largest if played is None else new_largest.clamp_min(torch.finfo(score.dtype).min)  # -inf: none
        old = (largest - reference).exp()
        new = (score - reference).exp().unsqueeze(-1)
        parts = [
            new_largest,
            old * weight + new.sum(dim=2),
            count + number,
            old * found + (new * value).sum(dim=2),
        ]
        return torch.cat(parts, dim=-1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        _, weight, count, found = state.split([1, 1, 1, self.values], dim=-1)
        number = count[:, 0]
        found = found / torch.where(weight == 0, 1.0, weight)
        summary = torch.cat([found.flatten(1), number.log1p()], dim=-1)
        return gaussian_unless_empty(self.head(summary), number.squeeze(-1))
