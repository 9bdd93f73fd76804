"""PPO's clipped objective by TorchRL, for policies and value functions that read a condition beside the observation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Distribution
from torchrl.objectives import ClipPPOLoss

from pearl_lightning.agents.finite_losses import require_finite
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.distributions import HybridTanhGaussian

LOSSES = {"actor": "loss_objective", "critic": "loss_critic", "entropy": "loss_entropy"}
"""Terms of the loss as they are logged, and TorchRL's names of them."""
DIAGNOSTICS = {"entropy": "entropy", "kl": "kl_approx", "clipped": "clip_fraction", "explained": "explained_variance"}
"""Diagnostics as they are logged, and TorchRL's names of them."""


@dataclass(frozen=True, kw_only=True)
class ClippedObjective:
    """Settings of the clipped objective (Schulman et al. 2017, eq. 7 and 9) and of its advantages.

    Args:
        discount: Reward discount per environment step, in (0, 1].
        gae_lambda: Decay of the advantage estimate (Schulman et al. 2016), in [0.01, 1].
        clip: Largest distance of the probability ratio from 1 before the objective is clipped; must be positive.
        entropy_weight: Weight of the policy's entropy in the objective, at least 0.
        value_weight: Weight of the value network's squared error; must be positive.
        reward_scale: Multiplier on rewards; must be positive.

    Raises:
        ValueError: A setting is out of its range.
    """

    discount: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    reward_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.discount <= 1:
            raise ValueError(f"objective.discount must be in (0, 1], got {self.discount}")
        if not 0.01 <= self.gae_lambda <= 1:  # near 0 TorchRL's estimator truncates its whole sum
            raise ValueError(f"objective.gae_lambda must be in [0.01, 1], got {self.gae_lambda}")
        if not 0 <= self.entropy_weight < math.inf:
            raise ValueError(f"objective.entropy_weight must be at least 0 and finite, got {self.entropy_weight}")
        for name in ("clip", "value_weight", "reward_scale"):
            if not 0 < (number := getattr(self, name)) < math.inf:
                raise ValueError(f"objective.{name} must be above 0 and finite, got {number}")

    def make_loss(self, actor: Actor, value: nn.Module) -> ClipPPOLoss:
        """Create TorchRL's loss of an actor and of a value network ``[..., feature] -> [..., 1]``.

        It shares their parameters. The value network reads the observation and the condition side by side.
        """
        return ClipPPOLoss(
            _Policy(actor),
            TensorDictModule(_Value(value), in_keys=["observation", "condition"], out_keys=["state_value"]),
            clip_epsilon=self.clip,
            entropy_coeff=self.entropy_weight,
            critic_coeff=self.value_weight,
            loss_critic_type="l2",
            normalize_advantage=True,
            functional=False,
        )


def clipped_terms(loss: ClipPPOLoss, items: TensorDictBase, update: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of transitions ``[item]``, a scalar, and its terms and diagnostics, by name.

    Args:
        loss: Result of ``ClippedObjective.make_loss``.
        items: Transitions ``[item]`` with observation ``[item, feature]``, condition ``[item, number]``, action
            ``[item, width]``, action_log_prob ``[item]``, advantage and value_target ``[item, 1]``.
        update: Number of the update, for the error message.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    result = loss(items)
    losses = {f"loss/{name}": result[key] for name, key in LOSSES.items()}
    total = torch.stack(list(losses.values())).sum()
    require_finite(total, losses, update)
    logged = losses | {f"train/{name}": result[key] for name, key in DIAGNOSTICS.items()}
    return total, {name: term.detach() for name, term in logged.items()}


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
