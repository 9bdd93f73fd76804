"""An encoder that reads in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pearl_lightning.networks.encoders.encoder import ContextEncoder, gaussian_unless_empty
from pearl_lightning.networks.layers import check_sizes, mlp


class RecurrentEncoder(ContextEncoder):
    """The posterior is read off a gated recurrent unit that reads the transitions one after another (Cho et al. 2014).

    The only encoder that sees their order, and by far the slowest: a team's transitions of a step are read in turn. The
    running state is the unit's, and the number of transitions, ``[task, memory + 1]``.

    Args:
        context_features: Numbers in one transition.
        latent_dim: Numbers in z.
        hidden: Widths of the hidden layers before the unit; the last is also that of the one after it.
        memory: Numbers in the unit's state.
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

    def update(self, state: Tensor, context: Tensor) -> Tensor:
        if context.shape[1] == 0:
            return state
        memory, count = state.split([self.memory, 1], dim=-1)
        embedded = self.embed(context).float()
        _, memory = self.unit(embedded, memory.unsqueeze(0).contiguous())
        return torch.cat([memory.squeeze(0).float(), count + context.shape[1]], dim=-1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        memory, count = state.split([self.memory, 1], dim=-1)
        return gaussian_unless_empty(self.head(torch.cat([memory, count.log1p()], dim=-1)), count.squeeze(-1))
