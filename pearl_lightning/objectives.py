"""PEARL's losses as pure functions of tensors, and the constants they take.

Soft actor-critic of Haarnoja et al. 2018 conditioned on z (Rakelly et al. 2019, algorithm 1), with the discrete part of
every expectation exact. ``batch`` is meta-batch tasks times transitions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.distributions import HybridTanhGaussian


@dataclass(frozen=True, kw_only=True)
class SacConfig:
    """Soft actor-critic constants; the defaults are the ``modern`` preset.

    Args:
        discount: Reward discount per environment step, in (0, 1].
        target_rate: Share of the online network mixed into the target at each update, in (0, 1].
        reward_scale: Multiplier on rewards before the Bellman backup; a larger one weakens entropy.
        value_network: Regress a state value and back it up (the original), rather than twin target critics.
        temperature: Entropy weight; learned where it is null.
        initial_temperature: Where a learned temperature starts.
        target_entropy: Entropy the learned temperature aims at, in nats per continuous component.
        target_choice_entropy: The same for each discrete choice, as a share of log(options), in (0, 1). Discrete SAC is
            sensitive to it (Christodoulou 2019; Xu et al. 2021).
        kl_weight: Weight of the information bottleneck.
        kl_over_tasks: Take the mean over the meta-batch's tasks, or the original's sum.
        mean_penalty: Weight of the squared Gaussian mean in the actor's loss.
        log_std_penalty: Weight of the squared log standard deviation.
        pre_tanh_penalty: Weight of the squared sample before tanh.
    """

    discount: float = 0.99
    target_rate: float = 0.005
    reward_scale: float = 1.0
    value_network: bool = False
    temperature: float | None = None
    initial_temperature: float = 0.2
    target_entropy: float = -1.0
    target_choice_entropy: float = 0.4
    kl_weight: float = 0.1
    kl_over_tasks: Literal["mean", "sum"] = "mean"
    mean_penalty: float = 1e-3
    log_std_penalty: float = 1e-3
    pre_tanh_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("discount", "target_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        for name in ("reward_scale", "initial_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("kl_weight", "mean_penalty", "log_std_penalty", "pre_tanh_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 or null, got {self.temperature}")
        if not 0 < self.target_choice_entropy < 1:
            raise ValueError(f"target_choice_entropy must be in (0, 1), got {self.target_choice_entropy}")

    @classmethod
    def reference(cls) -> SacConfig:
        """The original's constants for the point robot (Rakelly et al. 2019 and its published code)."""
        return cls(
            discount=0.9,
            reward_scale=100.0,
            value_network=True,
            temperature=1.0,
            kl_over_tasks="sum",
        )

    def target_entropies(self, action_space: ActionSpace) -> list[float]:
        """Target of the continuous part, then of each discrete choice, in nats."""
        continuous = self.target_entropy * action_space.continuous
        return [continuous, *(self.target_choice_entropy * math.log(n) for n in action_space.choices)]


@dataclass(frozen=True, kw_only=True)
class TaskInference:
    """How the belief is taught what the task is, where a family tells it while training; play needs nothing of it.

    The first numbers of z are to be those that tell the task, each of mean 0 and variance 1 over the train tasks, as
    the prior over z has them (Humplik et al. 2019, sec. 3.2). Some of a meta-batch's tasks are learned from as if they
    were known, whatever their context says. So the agent learns to play for what it has no evidence of yet, and tries
    it out where z comes from the prior; what it never tries, no context can tell it of (Kamienny et al. 2020, sec. 3).

    Args:
        weight: Of ``task_inference_loss``, above 0.
        informed_share: Share of a meta-batch's tasks whose z is told them (``inform``), in [0, 1].
    """

    weight: float = 1.0
    informed_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"task_inference's weight must be above 0 and finite, got {self.weight}")
        if not 0 <= self.informed_share <= 1:
            raise ValueError(f"informed_share must be in [0, 1], got {self.informed_share}")


def critic_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared Bellman error, averaged over the batch and summed over the critics.

    Args:
        predicted: Q-values ``[critic, batch]``.
        target: Backed-up values ``[batch]``, shared by every critic; no gradient flows through them.
    """
    return (predicted - target.detach()).square().mean(dim=-1).sum()


def played_values(table: Tensor, joint_index: Tensor) -> Tensor:
    """Entries ``[critic, batch]`` of tables ``[critic, batch, joint]`` at the choices ``[batch]`` that were played."""
    return table.gather(-1, joint_index.expand(len(table), -1).unsqueeze(-1)).squeeze(-1)


def bellman_target(rewards: Tensor, steps: Tensor, terminated: Tensor, next_value: Tensor, discount: float) -> Tensor:
    """Σ_k γ^k r_k + γ^n (1 - d) V(s_n), the n-step return (Sutton and Barto 2018, eq. 7.1) ``[batch]``.

    The entropy of the steps in between is left out, as is usual; with n = 1 there is none.

    Args:
        rewards: Of the steps up to s_n, zeros after the end of the episode, ``[batch, step]``.
        steps: n ``[batch]``, fewer than there is room for where the episode ended.
        terminated: d ``[batch]``: the episode's end was the task's, and nothing comes after it.
        next_value: V(s_n) ``[batch]``.
        discount: γ.
    """
    weights = discount ** torch.arange(rewards.shape[-1], device=rewards.device)
    ahead = discount**steps * (1 - terminated.to(rewards.dtype))
    return ((rewards * weights).sum(dim=-1) + ahead * next_value).detach()


def soft_value(table: Tensor, policy: HybridTanhGaussian, pre_tanh: Tensor, temperatures: Tensor) -> Tensor:
    """State value ``[batch]``, exact over the discrete choices and by one sample over the continuous part.

    V = Σ π(c) min_i Q_i[c] - α_u log π_u(u) + Σ_j α_j H(π_j).

    Args:
        table: Q-values ``[critic, batch, joint]`` at the squashed ``pre_tanh``.
        policy: Distribution at the same states.
        pre_tanh: Its reparameterized sample ``[batch, continuous]``.
        temperatures: α of the continuous part, then of each choice ``[1 + choices]``.
    """
    value = (policy.joint_probabilities() * table.amin(dim=0)).sum(dim=-1)
    value = value - temperatures[0] * policy.log_prob(pre_tanh)
    for temperature, entropy in zip(temperatures[1:], policy.choice_entropies(), strict=True):
        value = value + temperature * entropy
    return value


def actor_penalty(policy: HybridTanhGaussian, pre_tanh: Tensor, config: SacConfig) -> Tensor:
    """The original's small penalties on mean, log-std and pre-tanh values; a scalar."""
    return (
        config.mean_penalty * policy.mean.square().mean()
        + config.log_std_penalty * policy.log_std.square().mean()
        + config.pre_tanh_penalty * pre_tanh.square().sum(dim=-1).mean()
    )


def task_inference_loss(z: Tensor, told: Tensor) -> Tensor:
    """Squared error of the first numbers of z, summed over them and averaged over tasks.

    Args:
        z: A sample of each posterior ``[task, latent]``.
        told: What tells each task ``[task, number]``.
    """
    return (z[:, : told.shape[1]] - told).square().sum(dim=1).mean()


def inform(z: Tensor, told: Tensor, share: float) -> Tensor:
    """z with what tells the task in its first numbers, for the first ``share`` of the tasks.

    Args:
        z: ``[task, latent]``; meta-batches hold their tasks in a drawn order.
        told: What tells each task ``[task, number]``.
        share: In [0, 1], rounded to whole tasks.
    """
    informed = torch.arange(len(z), device=z.device).unsqueeze(1) < round(share * len(z))
    taught, free = z.tensor_split([told.shape[1]], dim=1)
    return torch.cat([torch.where(informed, told, taught), free], dim=1)


def kl_to_prior(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(0, I)) ``[task]`` of posteriors ``[task, latent]``."""
    return 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).sum(dim=-1)


def temperature_loss(log_temperatures: Tensor, entropies: Tensor, target_entropies: Tensor) -> Tensor:
    """Raises each temperature while its entropy is below target (Haarnoja et al. 2018b, eq. 18).

    Args:
        log_temperatures: ``[1 + choices]``.
        entropies: The policy's mean entropy per part ``[1 + choices]``; no gradient flows through them.
        target_entropies: ``[1 + choices]``.
    """
    return (log_temperatures * (entropies - target_entropies).detach()).sum()


@torch.no_grad()
def polyak_update(targets: list[Tensor], sources: list[Tensor], rate: float) -> None:
    """Mix ``rate`` of the sources into the targets, in place."""
    torch._foreach_lerp_(targets, sources, rate)
