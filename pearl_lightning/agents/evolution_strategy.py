"""A gradient-free search over the weights of a perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.context_free import ContextFreeAgent
from pearl_lightning.agents.finite_losses import require_finite
from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.networks.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import check_sizes


class EvolutionStrategy(ContextFreeAgent, OnPolicyAgent):
    """An evolution strategy over the weights of a perceptron, with truncation selection and a fixed deviation.

    Each update is one generation. Every member plays with the mean weights plus its own noise. The members with the
    highest returns are kept, and the mean moves towards the mean of their weights. Salimans et al. 2017 use a similar
    method for deep networks, with all members weighted by rank. The policy is deterministic: it uses tanh for bounded
    components and the largest output for choices.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        hidden: Widths of the hidden layers.
        members: Number of samples in a generation; it must divide the number of arenas. Member m plays arena m,
            m + members, and so on. With ``tasks_per_iteration`` = arenas / members, all members play the same tasks.
        kept: Number of members that are kept, in [1, members].
        deviation: Standard deviation of the noise on each weight; must be positive.
        rate: Step size of the mean, in (0, 1]; with 1 it moves all the way.
    """

    learns_from_whole_iterations = True

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        hidden: Sequence[int] = (32, 32),
        members: int = 32,
        kept: int = 8,
        deviation: float = 0.1,
        rate: float = 1.0,
    ) -> None:
        super().__init__(observation_features, action_space)
        check_sizes(hidden=hidden, members=members)
        if not 1 <= kept <= members:
            raise ValueError(f"kept must be in [1, {members}], the number of members, got {kept}")
        if not 0 < deviation < math.inf:
            raise ValueError(f"deviation must be above 0 and finite, got {deviation}")
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be in (0, 1], got {rate}")
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        self.members, self.kept, self.deviation, self.rate = members, kept, deviation, rate
        outputs = self.action_space.continuous + sum(self.action_space.choices)
        self._layers = list(pairwise([observation_features, *hidden, outputs]))
        bounds = [1 / math.sqrt(inputs) for inputs, _ in self._layers]
        drawn = [
            torch.empty((inputs + 1) * width).uniform_(-bound, bound)
            for (inputs, width), bound in zip(self._layers, bounds, strict=True)
        ]
        self.mean = nn.Parameter(torch.cat(drawn))
        self._perturbation = torch.empty(0)  # noise of the current generation, [member, weight]

    @torch.no_grad()
    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        flat = observation.to(self.device).flatten(0, 1).unsqueeze(0)
        return self._actions(self.mean.unsqueeze(0), flat).view(*observation.shape[:2], -1).to(observation.device)

    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
        if arenas % self.members:
            raise ValueError(f"members must divide the {arenas} arenas, got {self.members}")
        shape = (self.members, len(self.mean))
        self._perturbation = self.deviation * torch.randn(shape, generator=generator).to(self.device)
        weights = self.mean.detach() + self._perturbation

        def act(observation: Tensor, step: int) -> Tensor:
            agents = observation.shape[1]
            by_member = observation.to(self.device).unflatten(0, (-1, self.members)).transpose(0, 1)
            actions = self._actions(weights, by_member.flatten(1, 2))  # [member, arena of the member x agent, width]
            return actions.unflatten(1, (-1, agents)).transpose(0, 1).flatten(0, 1).to(observation.device)

        return act

    def experience(self, episodes: Sequence[TensorDictBase]) -> TensorDict:
        """Return the ``perturbation`` ``[member, weight]`` and the ``fitness`` ``[member]`` (mean team return)."""
        (episode,) = episodes
        returns = episode["training_reward"].sum(dim=(1, 2))  # [arena]
        fitness = returns.unflatten(0, (-1, self.members)).mean(dim=0)
        items = {"perturbation": self._perturbation.to(fitness.device), "fitness": fitness}
        return TensorDict(items, batch_size=[self.members])

    def configure_optimizers(self) -> Optimizer:
        return SGD([self.mean], lr=self.rate)

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        """Return a loss; its gradient is minus the mean perturbation of the kept members."""
        fitness = batch["fitness"]
        require_finite(fitness.sum(), {"fitness": fitness.sum()}, self.global_step)
        kept = batch["perturbation"][fitness.topk(self.kept).indices].mean(dim=0).to(self.device)
        self.log_dict({"train/fitness": fitness.mean(), "train/fitness_kept": fitness.topk(self.kept).values.mean()})
        return -(kept * self.mean).sum()

    def _actions(self, weights: Tensor, observation: Tensor) -> Tensor:
        """Actions ``[member, row, width]`` of members with different ``weights`` ``[member, weight]``."""
        hidden, first = observation, 0
        for layer, (inputs, width) in enumerate(self._layers):
            own = weights[:, first : first + (inputs + 1) * width].unflatten(1, (inputs + 1, width))
            hidden = torch.baddbmm(own[:, -1:], hidden.relu() if layer else hidden, own[:, :-1])
            first += (inputs + 1) * width
        mean, logits = hidden.split([self.action_space.continuous, sum(self.action_space.choices)], dim=-1)
        return HybridTanhGaussian(mean, torch.zeros_like(mean), logits, self.action_space).mode()
