"""Policies' action distributions: tanh-Gaussian, and its product with categoricals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pearl_lightning.action_space import ActionSpace


@dataclass(frozen=True)
class HybridTanhGaussian:
    """A tanh-Gaussian over the bounded components times one categorical per discrete choice.

    Without choices it is the tanh-Gaussian of Haarnoja et al. 2018, appendix C, and ``joint_probabilities`` is one
    column of ones.

    Args:
        mean: Gaussian mean before tanh ``[..., continuous]``.
        log_std: Its log standard deviation ``[..., continuous]``.
        log_choices: Normalized log-probabilities ``[..., options]``, one tensor per discrete choice.
        action_space: Bounds and options.
    """

    mean: Tensor
    log_std: Tensor
    log_choices: tuple[Tensor, ...]
    action_space: ActionSpace

    def pre_tanh(self, noise: Tensor) -> Tensor:
        """Reparameterized Gaussian sample ``[..., continuous]`` from standard normal ``noise`` of that shape."""
        return self.mean + self.log_std.exp() * noise

    def squash(self, pre_tanh: Tensor) -> Tensor:
        """Continuous components ``[..., continuous]`` within their bounds."""
        low, half = self._bounds(pre_tanh)
        return low + half * (1 + torch.tanh(pre_tanh))

    def log_prob(self, pre_tanh: Tensor) -> Tensor:
        """Log-density ``[...]`` of the squashed components at ``pre_tanh``, over the action's own units."""
        standard = (pre_tanh - self.mean) * (-self.log_std).exp()
        gaussian = -0.5 * standard.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - pre_tanh - softplus(-2 * pre_tanh))  # log(1 - tanh²), without cancellation
        return (gaussian - log_slope - self._bounds(pre_tanh)[1].log()).sum(dim=-1)

    def joint_probabilities(self) -> Tensor:
        """Probability ``[..., joint_choices]`` of each combination of choices, the first choice slowest."""
        joint = torch.ones_like(self.mean[..., :1])
        for log_choice in self.log_choices:
            joint = (joint.unsqueeze(-1) * log_choice.exp().unsqueeze(-2)).flatten(-2)
        return joint

    def choice_entropies(self) -> list[Tensor]:
        """Entropy ``[...]`` of each discrete choice, in nats."""
        return [-(log_choice.exp() * log_choice).sum(dim=-1) for log_choice in self.log_choices]

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A legal action ``[..., width]``; the draws are the generator's, on whatever device the policy is."""
        device = self.mean.device
        source = device if generator is None else generator.device
        noise = torch.randn(self.mean.shape, generator=generator, device=source).to(device)
        chosen = []
        for log_choice in self.log_choices:
            uniform = torch.rand(log_choice.shape, generator=generator, device=source)
            gumbel = -(-uniform.to(device).clamp_min(1e-20).log()).log()
            chosen.append((log_choice + gumbel).argmax(dim=-1, keepdim=True).to(self.mean.dtype))
        return torch.cat([self.squash(self.pre_tanh(noise)), *chosen], dim=-1)

    def mode(self) -> Tensor:
        """The action ``[..., width]`` of the Gaussian's mean and each categorical's most likely option."""
        chosen = [log_choice.argmax(dim=-1, keepdim=True).to(self.mean.dtype) for log_choice in self.log_choices]
        return torch.cat([self.squash(self.mean), *chosen], dim=-1)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        low, high = like.new_tensor(self.action_space.low), like.new_tensor(self.action_space.high)
        return low, (high - low) / 2
