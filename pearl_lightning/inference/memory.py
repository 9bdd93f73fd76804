"""A recurrent memory of everything that has happened in a task, as RL² uses it in place of a posterior."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from pearl_lightning.inference.belief import Belief
from pearl_lightning.networks.layers import check_sizes, mlp


class Memory(nn.Module):
    """A gated recurrent unit that reads one step after another (Cho et al. 2014).

    Each agent's part of a step is embedded; the unit reads the mean over the agents of a team.

    Args:
        features: Number of features of an agent's part of a step.
        hidden: Widths of the embedding's hidden layers.
        size: Size of the memory.
    """

    def __init__(self, features: int, hidden: Sequence[int], size: int) -> None:
        super().__init__()
        check_sizes(features=features, size=size)
        self.size = size
        self.embed = mlp(features, hidden, size)
        self.unit = nn.GRU(size, size, batch_first=True)

    def initial(self, tasks: int) -> Tensor:
        """Return the memory ``[task, size]`` before the first step."""
        return torch.zeros(tasks, self.size, device=next(self.parameters()).device)

    def forward(self, steps: Tensor, played: Tensor, memory: Tensor) -> Tensor:
        """Return the memory before the first step and after each step ``[task, step + 1, size]``.

        Args:
            steps: Steps ``[task, step, agent, feature]``.
            played: Mask of the steps that were played ``[task, step]``; the others do not change the memory.
            memory: Memory before the first step ``[task, size]``.
        """
        embedded = self.embed(steps).float().mean(dim=2)
        order = (~played).to(torch.int8).argsort(dim=1, stable=True)  # the unit reads the played steps first
        in_order = embedded.gather(1, order.unsqueeze(-1).expand_as(embedded))
        outputs, _ = self.unit(in_order, memory.unsqueeze(0).contiguous())
        every = torch.cat([memory.unsqueeze(1), outputs.float()], dim=1)
        number = torch.cat([played.new_zeros(len(played), 1), played], dim=1).cumsum(dim=1)  # of steps read before
        return every.gather(1, number.unsqueeze(-1).expand(-1, -1, self.size))


class MemoryBelief(Belief):
    """A belief that is the memory itself. An agent learns what to remember from its rewards alone.

    Args:
        memory: The memory's network.
        read: Function that converts steps ``[arena, step]`` to the network's input
            ``[arena, step, agent, feature]``.
        arenas: Number of beliefs.
    """

    def __init__(self, memory: Memory, read: Callable[[TensorDictBase], Tensor], arenas: int) -> None:
        self.memory, self.read = memory, read
        self._state = memory.initial(arenas)
        self._transitions = torch.zeros(arenas, dtype=torch.long, device=self._state.device)

    @torch.no_grad()
    def observe(self, steps: TensorDictBase) -> None:
        played = steps["played"].to(self._state.device)
        self._state = self.memory(self.read(steps), played, self._state)[:, -1]
        self._transitions = self._transitions + played.sum(dim=1) * steps["reward"].shape[-1]

    def condition(self, generator: torch.Generator | None = None) -> Tensor:
        return self._state

    @property
    def transitions(self) -> int:
        return int(self._transitions.max())
