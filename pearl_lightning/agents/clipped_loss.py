"""TorchRL's loss of PPO, for policies and value functions that read a condition beside the observation."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Distribution
from torchrl.objectives import ClipPPOLoss

from pearl_lightning.agents.finite import require_finite
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.distributions import HybridTanhGaussian

SHOWN = {"entropy": "entropy", "kl": "kl_approx", "clipped": "clip_fraction", "explained": "explained_variance"}
"""Diagnostics that are logged, and TorchRL's names of them."""


def clipped_loss(
    actor: Actor, value: nn.Module, clip: float, entropy_weight: float, value_weight: float
) -> ClipPPOLoss:
    """Create the loss of both networks; it shares their parameters.

    Raises:
        ValueError: A setting is out of its range.
    """
    if entropy_weight < 0:
        raise ValueError(f"entropy_weight must be at least 0, got {entropy_weight}")
    for name, number in (("clip", clip), ("value_weight", value_weight)):
        if number <= 0:
            raise ValueError(f"{name} must be above 0, got {number}")
    return ClipPPOLoss(
        _Policy(actor),
        TensorDictModule(_Value(value), in_keys=["observation", "condition"], out_keys=["state_value"]),
        clip_epsilon=clip,
        entropy_coeff=entropy_weight,
        critic_coeff=value_weight,
        loss_critic_type="l2",
        normalize_advantage=True,
        functional=False,
    )


def clipped_terms(loss: ClipPPOLoss, items: TensorDictBase, update: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of transitions ``[item]``, a scalar, and its terms and diagnostics, by name.

    Args:
        loss: Result of ``clipped_loss``.
        items: Transitions with observation, condition, action, action_log_prob, advantage and value_target.
        update: Number of the update, for the error message.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    result = loss(items)
    losses = {f"loss/{name}": result[f"loss_{key}"] for name, key in _TERMS.items()}
    total = torch.stack(list(losses.values())).sum()
    require_finite(total, losses, update)
    logged = losses | {f"train/{name}": result[key] for name, key in SHOWN.items()}
    return total, {name: term.detach() for name, term in logged.items()}


_TERMS = {"actor": "objective", "critic": "critic", "entropy": "entropy"}


class _Value(nn.Module):
    """Adapter of a value network to the two inputs."""

    def __init__(self, value: nn.Module) -> None:
        super().__init__()
        self.value = value

    def forward(self, observation: Tensor, condition: Tensor) -> Tensor:
        result: Tensor = self.value(torch.cat([observation, condition], dim=-1))
        return result


class _Policy(nn.Module):
    """Adapter of the actor to TorchRL's loss."""

    in_keys = ("observation", "condition")
    out_keys = ("action",)

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    def get_dist(self, items: TensorDictBase) -> Distribution:
        return _ActionDistribution(self.actor(items["observation"], items["condition"]))


class _ActionDistribution(Distribution):
    """Adapter of a policy over actions, with discrete choices, to torch's ``Distribution``."""

    has_rsample = False
    arg_constraints = {}

    def __init__(self, policy: HybridTanhGaussian) -> None:
        super().__init__(policy.mean.shape[:-1], torch.Size([policy.action_space.width]), validate_args=False)
        self.policy = policy

    def log_prob(self, value: Tensor) -> Tensor:
        return self.policy.action_log_prob(value)

    def entropy(self) -> Tensor:
        return self.policy.entropy()
