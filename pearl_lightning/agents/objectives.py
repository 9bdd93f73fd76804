"""PEARL's losses as pure functions of tensors.

They are those of soft actor-critic (Haarnoja et al. 2018) conditioned on z (Rakelly et al. 2019, algorithm 1), with
exact expectations over discrete choices. The axis ``batch`` contains the transitions of all tasks of a meta-batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pearl_lightning.networks.distributions import HybridTanhGaussian


def total_loss(terms: dict[str, Tensor]) -> Tensor:
    """Sum of the scalars whose names start with ``loss/``, which an update minimizes.

    Args:
        terms: Losses ``loss/*`` and diagnostics ``train/*`` by name, as returned by ``PEARL.losses``.
    """
    return torch.stack([term for name, term in terms.items() if name.startswith("loss/")]).sum()


def critic_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared Bellman error, averaged over the batch and summed over the critics.

    Args:
        predicted: Q-values ``[critic, batch]``.
        target: Backed-up values ``[batch]``, shared by every critic; no gradient flows through them.
    """
    return (predicted - target.detach()).square().mean(dim=-1).sum()


def played_values(table: Tensor, joint_index: Tensor) -> Tensor:
    """Values ``[critic, batch]`` of the played choices ``[batch]`` in tables ``[critic, batch, joint]``."""
    return table.gather(-1, joint_index.expand(len(table), -1).unsqueeze(-1)).squeeze(-1)


def bellman_target(rewards: Tensor, steps: Tensor, terminated: Tensor, next_value: Tensor, discount: float) -> Tensor:
    """Σ_k γ^k r_k + γ^n (1 - d) V(s_n), the n-step return (Sutton and Barto 2018, eq. 7.1) ``[batch]``.

    As usual, the entropy of the steps between the first and the n-th is omitted. With n = 1 there are none.

    Args:
        rewards: Rewards of the steps up to s_n, 0 after the end of the episode, ``[batch, step]``.
        steps: Number of steps n ``[batch]``; smaller than the size of the axis ``step`` if the episode ended before.
        terminated: Whether the episode terminated at s_n ``[batch]``, d in the formula.
        next_value: Values V(s_n) ``[batch]``.
        discount: Discount γ per step.
    """
    weights = discount ** torch.arange(rewards.shape[-1], device=rewards.device)
    ahead = discount**steps * (1 - terminated.to(rewards.dtype))
    return ((rewards * weights).sum(dim=-1) + ahead * next_value).detach()


def soft_value(table: Tensor, policy: HybridTanhGaussian, pre_tanh: Tensor, temperatures: Tensor) -> Tensor:
    """State value ``[batch]``: exact for the discrete choices, one sample for the continuous part.

    V = Σ π(c) min_i Q_i[c] - α_u log π_u(u) + Σ_j α_j H(π_j).

    Args:
        table: Q-values ``[critic, batch, joint]`` at the squashed ``pre_tanh``.
        policy: Policy at the same states.
        pre_tanh: Reparameterized sample of the policy ``[batch, continuous]``.
        temperatures: Temperatures α of the continuous part and of each choice ``[1 + choices]``.
    """
    value = (policy.joint_probabilities() * table.amin(dim=0)).sum(dim=-1)
    value = value - temperatures[0] * policy.log_prob(pre_tanh)
    for temperature, entropy in zip(temperatures[1:], policy.choice_entropies(), strict=True):
        value = value + temperature * entropy
    return value


def actor_penalty(policy: HybridTanhGaussian, mean_weight: float, log_std_weight: float) -> Tensor:
    """The original's small penalty on the squares of mean and log standard deviation, a scalar."""
    if policy.mean.shape[-1] == 0:  # discrete actions have no Gaussian
        return policy.mean.new_zeros(())
    return mean_weight * policy.mean.square().mean() + log_std_weight * policy.log_std.square().mean()


def kl_to_prior(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(0, I)) ``[task]`` for posteriors ``[task, latent]``."""
    return 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).sum(dim=-1)


def temperature_loss(log_temperatures: Tensor, entropies: Tensor, target_entropies: Tensor) -> Tensor:
    """Loss that raises each temperature while its entropy is below target (Haarnoja et al. 2018b, eq. 18).

    Args:
        log_temperatures: Logarithms of the temperatures ``[1 + choices]``.
        entropies: Mean entropy of each part of the policy ``[1 + choices]``; no gradient flows through them.
        target_entropies: Target of each entropy ``[1 + choices]``.
    """
    return (log_temperatures * (entropies - target_entropies).detach()).sum()


@torch.no_grad()
def polyak_update(targets: list[Tensor], sources: list[Tensor], rate: float) -> None:
    """Move the targets towards the sources by the share ``rate``, in place."""
    torch._foreach_lerp_(targets, sources, rate)
