"""A context encoder that reads the transitions in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.inference.encoders.encoder import ContextEncoder, gaussian_unless_empty
from pearl_lightning.networks.layers import check_sizes, mlp


class RecurrentEncoder(ContextEncoder):
    """Task posterior from a gated recurrent unit that reads the transitions one after another (Cho et al. 2014).

    It is the only encoder that depends on the order of the transitions, and by far the slowest. The transitions of a
    team's agents in one step are read one after another. The running state is the state of the unit and the number of
    transitions, ``[task, memory + 1]``.

    Args:
        context_features: Number of features of a transition.
        latent_dim: Size of z.
        hidden: Widths of the hidden layers before the unit. The last one is also the width of the layer after it.
        memory: Size of the unit's state.
    """

    def __init__(
        self, context_features: int, latent_dim: int = 5, hidden: Sequence[int] = (128,), memory: int = 128
    ) -> None:
        super().__init__(context_features, latent_dim)
        check_sizes(latent_dim=latent_dim, memory=memory)
        self.memory = memory
        self.embed = mlp(context_features, hidden, memory)
        self.unit = nn.GRU(memory, memory, batch_first=True)
        self.head = mlp(memory + 1, hidden[-1:], 2 * latent_dim)

    def initial_state(self, tasks: int) -> Tensor:
        return torch.zeros(tasks, self.memory + 1, device=next(self.parameters()).device)

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        if context.shape[1] == 0:
            return state
        memory, count = state.split([self.memory, 1], dim=-1)
        embedded, first = self.embed(context).float(), memory.unsqueeze(0).contiguous()
        if played is None:
            _, memory = self.unit(embedded, first)
            return torch.cat([memory.squeeze(0).float(), count + context.shape[1]], dim=-1)
        order = (~played).to(torch.int8).argsort(dim=1, stable=True)  # the unit reads the played transitions first
        outputs, _ = self.unit(embedded.gather(1, order.unsqueeze(-1).expand_as(embedded)), first)
        number = played.sum(dim=1, keepdim=True)
        every = torch.cat([memory.unsqueeze(1), outputs.float()], dim=1)  # before the first transition and after each
        memory = every.gather(1, number.unsqueeze(-1).expand(-1, -1, self.memory)).squeeze(1)
        return torch.cat([memory, count + number], dim=-1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        memory, count = state.split([self.memory, 1], dim=-1)
        return gaussian_unless_empty(self.head(torch.cat([memory, count.log1p()], dim=-1)), count.squeeze(-1))
