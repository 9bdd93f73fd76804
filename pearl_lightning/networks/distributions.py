"""Action distributions: tanh-Gaussian, and its product with categoricals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from numpy.polynomial.hermite import hermgauss
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from pearl_lightning.action_space import ActionSpace

_NODES = 16
"""Quadrature nodes for ``entropy``. The error is below 0.01 nats up to a standard deviation of 1.5 before tanh."""
_NEAR_BOUND = 1 - 1e-6
"""Value before scaling that replaces an action on a bound. In exact arithmetic tanh does not reach the bounds."""


@dataclass(frozen=True)
class HybridTanhGaussian:
    """Product of a tanh-Gaussian over the bounded components and one categorical per discrete choice.

    Without choices it is the tanh-Gaussian of Haarnoja et al. 2018, appendix C, and ``joint_probabilities`` is a single
    column of ones. Without continuous components, ``mean`` and ``log_std`` are empty, their log-density and entropy are
    0, and every expectation is exact.

    Args:
        mean: Gaussian mean before tanh ``[..., continuous]``.
        log_std: Log standard deviation before tanh ``[..., continuous]``.
        logits: Logits of the options of all choices, one choice after another ``[..., options of all choices]``.
        action_space: Bounds of the components and options of the choices.
    """

    mean: Tensor
    log_std: Tensor
    logits: Tensor
    action_space: ActionSpace

    @cached_property
    def log_choices(self) -> tuple[Tensor, ...]:
        """Normalized log-probabilities ``[..., options]``, one tensor per discrete choice."""
        return tuple(log_softmax(choice, dim=-1) for choice in self._by_choice(self.logits))

    def pre_tanh(self, noise: Tensor) -> Tensor:
        """Reparameterized Gaussian sample ``[..., continuous]`` from standard normal ``noise`` of the same shape."""
        return self.mean + self.log_std.exp() * noise

    def squash(self, pre_tanh: Tensor) -> Tensor:
        """Map ``pre_tanh`` to continuous components ``[..., continuous]`` within their bounds."""
        low, half = self._bounds(pre_tanh)
        return low + half * (1 + torch.tanh(pre_tanh))

    def log_prob(self, pre_tanh: Tensor) -> Tensor:
        """Log-density ``[...]`` of the squashed components at ``pre_tanh``, in units of the action."""
        standard = (pre_tanh - self.mean) * (-self.log_std).exp()
        gaussian = -0.5 * standard.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - pre_tanh - softplus(-2 * pre_tanh))  # log(1 - tanh²), without cancellation
        return (gaussian - log_slope - self._bounds(pre_tanh)[1].log()).sum(dim=-1)

    def joint_probabilities(self) -> Tensor:
        """Probability ``[..., joint_choices]`` of each combination of choices; the first choice varies slowest."""
        joint = self.mean.new_ones(*self.mean.shape[:-1], 1)
        for log_choice in self.log_choices:
            joint = (joint.unsqueeze(-1) * log_choice.exp().unsqueeze(-2)).flatten(-2)
        return joint

    def choice_entropies(self) -> list[Tensor]:
        """Entropy ``[...]`` of each discrete choice, in nats."""
        return [-(log_choice.exp() * log_choice).sum(dim=-1) for log_choice in self.log_choices]

    def action_log_prob(self, action: Tensor) -> Tensor:
        """Log-density ``[...]`` of actions ``[..., width]``; actions on a bound are moved slightly inside."""
        low, half = self._bounds(action)
        continuous = self.mean.shape[-1]
        squashed = ((action[..., :continuous] - low) / half - 1).clamp(-_NEAR_BOUND, _NEAR_BOUND)
        log_prob = self.log_prob(torch.atanh(squashed))
        for log_choice, chosen in zip(self.log_choices, action[..., continuous:].unbind(-1), strict=True):
            log_prob = log_prob + log_choice.gather(-1, chosen.long().unsqueeze(-1)).squeeze(-1)
        return log_prob

    def entropy(self) -> Tensor:
        """Entropy ``[...]`` in nats: exact for choices, by Gauss-Hermite quadrature for continuous components."""
        nodes, weights = (torch.from_numpy(each).to(self.mean) for each in hermgauss(_NODES))
        pre_tanh = self.mean.unsqueeze(-1) + math.sqrt(2) * self.log_std.exp().unsqueeze(-1) * nodes
        log_slope = ((2 * (math.log(2) - pre_tanh - softplus(-2 * pre_tanh))) @ weights) / math.sqrt(math.pi)
        gaussian = self.log_std + 0.5 * math.log(2 * math.pi * math.e)
        entropy = (gaussian + log_slope + self._bounds(self.mean)[1].log()).sum(dim=-1)
        return entropy + sum(self.choice_entropies(), torch.zeros_like(entropy))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Sample legal actions ``[..., width]``. The random numbers are drawn on the generator's device."""
        device = self.mean.device
        source = device if generator is None else generator.device
        pre_tanh, scores = self.mean, self.logits
        if self.action_space.low:
            noise = torch.randn(self.mean.shape, generator=generator, device=source)
            pre_tanh = self.pre_tanh(noise.to(device))
        if self.action_space.choices:  # the option whose logit plus a Gumbel number is largest (Maddison et al. 2014)
            uniform = torch.rand(self.logits.shape, generator=generator, device=source).to(device)
            scores = self.logits - uniform.clamp_min_(1e-20).log_().neg_().log_()
        return self._action(pre_tanh, scores)

    def mode(self) -> Tensor:
        """Return the action ``[..., width]`` at the Gaussian's mean, with the most likely option of each choice."""
        return self._action(self.mean, self.logits)

    def _action(self, pre_tanh: Tensor, scores: Tensor) -> Tensor:
        """Action ``[..., width]`` at ``pre_tanh``, with the option of each choice that has the highest score."""
        chosen = [each.argmax(dim=-1, keepdim=True).to(self.mean.dtype) for each in self._by_choice(scores)]
        return torch.cat([self.squash(pre_tanh), *chosen], dim=-1)

    def _by_choice(self, of_options: Tensor) -> Sequence[Tensor]:
        """Split numbers of all options ``[..., options of all choices]`` into those of each choice."""
        return of_options.split(self.action_space.choices, dim=-1) if self.action_space.choices else ()

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bounds and half ranges of the continuous components ``[continuous]``."""
        low, span = self.action_space.low_and_span(like.device, like.dtype)
        return low, span / 2
