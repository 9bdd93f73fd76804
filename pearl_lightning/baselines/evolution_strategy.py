"""A search over a perceptron's weights, without gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.optim import SGD, Optimizer

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agent import require_finite
from pearl_lightning.baselines.on_policy import OnPolicyAgent
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import check_sizes


class EvolutionStrategy(OnPolicyAgent):
    """The weights of a perceptron as the mean of a Gaussian that moves towards its better samples.

    Each update is a generation: every member plays with the mean weights plus noise of its own, those with the highest
    returns are kept, and the mean moves to theirs. It is a truncation-selection evolution strategy with a fixed
    deviation, as Salimans et al. 2017 use for deep networks (there with all members, weighted by rank). The policy is
    deterministic: bounded components by tanh, choices by the largest output.

    Args:
        observation_features: Numbers in one agent's observation.
        action_space: Layout of one agent's action; a mapping with ``low``, ``high`` and ``choices`` will do.
        hidden: Widths of the hidden layers.
        members: Samples of a generation; the arenas must be a multiple. Member m plays arena m, m + members, and so on:
            with ``tasks_per_iteration`` = arenas / members, all play the same tasks.
        kept: How many of them the mean moves to, in [1, members].
        deviation: Of the noise on each weight, above 0.
        rate: How far the mean moves, in (0, 1]; at 1 all the way.
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
            raise ValueError(f"kept must be in [1, {members}], the members, got {kept}")
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
        self._perturbation = torch.empty(0)  # of the generation that plays, [member, weight]

    @torch.no_grad()
    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
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

    def experience(self, episode: TensorDictBase) -> TensorDict:
        """Each member's ``perturbation`` ``[member, weight]`` and ``fitness`` ``[member]``, its mean team return."""
        returns = episode["training_reward"].sum(dim=(1, 2))  # [arena]
        fitness = returns.unflatten(0, (-1, self.members)).mean(dim=0)
        items = {"perturbation": self._perturbation.to(fitness.device), "fitness": fitness}
        return TensorDict(items, batch_size=[self.members])

    def configure_optimizers(self) -> Optimizer:
        return SGD([self.mean], lr=self.rate)

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        """Its gradient is minus the mean perturbation of the members that are kept."""
        fitness = batch["fitness"]
        require_finite(fitness.sum(), {"fitness": fitness.sum()}, self.global_step)
        kept = batch["perturbation"][fitness.topk(self.kept).indices].mean(dim=0).to(self.device)
        self.log_dict({"train/fitness": fitness.mean(), "train/fitness_kept": fitness.topk(self.kept).values.mean()})
        return -(kept * self.mean).sum()

    def _actions(self, weights: Tensor, observation: Tensor) -> Tensor:
        """Actions ``[member, row, width]`` of members with ``weights`` ``[member, weight]`` of their own."""
        hidden, first = observation, 0
        for layer, (inputs, width) in enumerate(self._layers):
            own = weights[:, first : first + (inputs + 1) * width].unflatten(1, (inputs + 1, width))
            hidden = torch.baddbmm(own[:, -1:], hidden.relu() if layer else hidden, own[:, :-1])
            first += (inputs + 1) * width
        mean, *choices = hidden.split([self.action_space.continuous, *self.action_space.choices], dim=-1)
        log_choices = tuple(log_softmax(choice, dim=-1) for choice in choices)
        return HybridTanhGaussian(mean, torch.zeros_like(mean), log_choices, self.action_space).mode()
