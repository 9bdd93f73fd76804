"""Soft actor-critic over hybrid actions, conditioned on a vector such as a sample of z."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents import objectives
from pearl_lightning.agents.temperatures import LearnedTemperature, Temperature
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.distributions import HybridTanhGaussian

Normal = Callable[[torch.Size], Tensor]
"""Function that returns standard normal numbers of a given shape."""


class HybridSAC(nn.Module):
    """Networks, targets, temperatures and losses of a soft actor-critic (Haarnoja et al. 2018).

    Expectations over discrete choices are exact: a critic maps observation, condition and continuous action to the
    values of all joint discrete choices.

    Args:
        features: Number of features of observation and condition together.
        action_space: Layout of one agent's action.
        actor: Function that creates the actor from ``features`` and the action space.
        critic: Function that creates the critics from their numbers of input and output features.
        temperature: Function that creates the temperatures from the action space.
        discount: Reward discount per environment step, in (0, 1].
        target_rate: Step size with which the target network follows the online network, in (0, 1].
        reward_scale: Multiplier on rewards before the Bellman backup; a larger value reduces the weight of the entropy.
        mean_penalty: Weight of the squared Gaussian mean in the actor's loss, at least 0.
        log_std_penalty: Weight of the squared log standard deviation in the actor's loss, at least 0.

    Raises:
        ValueError: A setting is out of its range.
    """

    def __init__(
        self,
        features: int,
        action_space: ActionSpace,
        actor: Callable[[int, ActionSpace], Actor] = Actor,
        critic: Callable[[int, int], CriticEnsemble] = CriticEnsemble,
        temperature: Callable[[ActionSpace], Temperature] = LearnedTemperature,
        discount: float = 0.99,
        target_rate: float = 0.005,
        reward_scale: float = 1.0,
        mean_penalty: float = 1e-3,
        log_std_penalty: float = 1e-3,
    ) -> None:
        super().__init__()
        for name, share in (("discount", discount), ("target_rate", target_rate)):
            if not 0 < share <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {share}")
        if not 0 < reward_scale < math.inf:
            raise ValueError(f"reward_scale must be above 0 and finite, got {reward_scale}")
        for name, weight in (("mean_penalty", mean_penalty), ("log_std_penalty", log_std_penalty)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {weight}")
        self.action_space, self.discount, self.target_rate = action_space, discount, target_rate
        self.reward_scale, self.mean_penalty, self.log_std_penalty = reward_scale, mean_penalty, log_std_penalty
        self.actor = actor(features, action_space)
        self.critics = critic(features + action_space.continuous, action_space.joint_choices)
        self.temperature = temperature(action_space)
        self.target = self.make_target(features, critic)

    def make_target(self, features: int, critic: Callable[[int, int], CriticEnsemble]) -> nn.Module:
        """Create the target network as a copy of the network that it follows."""
        return copy.deepcopy(self.critics).requires_grad_(False)

    @torch.no_grad()
    def act(
        self, observation: Tensor, condition: Tensor, deterministic: bool, generator: torch.Generator | None
    ) -> Tensor:
        """Actions ``[arena, agent, width]``; the agents of an arena share its condition ``[arena, width]``."""
        with torch.inference_mode():
            shared = condition.unsqueeze(1).expand(-1, observation.shape[1], -1)
            policy = self.actor(observation.to(condition.device), shared)
            action = policy.mode() if deterministic else policy.sample(generator)
        return action.to(observation.device, copy=True)  # a copy, because inference tensors cannot be modified in place

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """Learned parameters, one list per optimizer."""
        groups = [list(module.parameters()) for module in (self.actor, self.critics, self.temperature)]
        return [group for group in groups if group]

    def start_settings(self) -> dict[str, Any]:
        """Settings that only affect the start of a run."""
        is_learned = isinstance(self.temperature, LearnedTemperature)
        return {"sac.temperature.initial": self.temperature.initial} if is_learned else {}

    def losses(
        self, transitions: TensorDictBase, condition: Tensor, normal: Normal
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute the losses, whose sum an update minimizes, and diagnostics, by name.

        Only ``loss/critic`` has a gradient with respect to the condition.

        Args:
            transitions: Transitions ``[batch]`` with observation, action, reward ``[..., step]``, steps (number of
                played steps), next_observation (after the last of them) and terminated (whether it was terminated).
            condition: Condition of actor and critics, such as a sample of z ``[batch, width]``.
            normal: Function that returns the noise.
        """
        observation, action, fixed = transitions["observation"], transitions["action"], condition.detach()
        temperatures = self.temperature()
        policy = self.actor(observation, fixed)
        pre_tanh = policy.pre_tanh(normal(policy.mean.shape))
        table = self.critics(torch.cat([observation, fixed, policy.squash(pre_tanh)], dim=-1), frozen=True).float()
        value = objectives.soft_value(table, policy, pre_tanh, temperatures)

        target = objectives.bellman_target(
            self.reward_scale * transitions["reward"],
            transitions["steps"],
            transitions["terminated"],
            self.next_value(transitions, fixed, temperatures, normal),
            self.discount,
        )
        played = action[..., : self.action_space.continuous]
        predicted = objectives.played_values(
            self.critics(torch.cat([observation, condition, played], dim=-1)).float(),
            self.action_space.joint_index(action),
        )
        losses = {
            "loss/critic": objectives.critic_loss(predicted, target),
            "loss/actor": -value.mean() + objectives.actor_penalty(policy, self.mean_penalty, self.log_std_penalty),
        }
        losses |= self.value_losses(observation, fixed, value)
        entropies = _entropies(policy, pre_tanh)
        if (temperature_loss := self.temperature.loss(entropies)) is not None:
            losses["loss/temperature"] = temperature_loss
        return losses, {
            "train/q": predicted.mean(),
            "train/entropy": entropies[0],
            "train/temperature": temperatures[0],
        }

    def value_losses(self, observation: Tensor, condition: Tensor, value: Tensor) -> dict[str, Tensor]:
        """Compute the losses of a value network from the soft values ``[batch]`` of the policy; none by default."""
        return {}

    @torch.no_grad()
    def next_value(
        self, transitions: TensorDictBase, condition: Tensor, temperatures: Tensor, normal: Normal
    ) -> Tensor:
        """Value ``[batch]`` of the next observation by the target network."""
        observation = transitions["next_observation"]
        policy = self.actor(observation, condition)
        pre_tanh = policy.pre_tanh(normal(policy.mean.shape))
        table = self.target(torch.cat([observation, condition, policy.squash(pre_tanh)], dim=-1)).float()
        return objectives.soft_value(table, policy, pre_tanh, temperatures)

    def update_target(self) -> None:
        """Move the target network towards the network that it follows, by ``target_rate``."""
        targets, sources = self.target.parameters(), self.target_source().parameters()
        objectives.polyak_update(list(targets), list(sources), self.target_rate)

    def target_source(self) -> nn.Module:
        """The network that the target follows."""
        return self.critics


class ValueSAC(HybridSAC):
    """Soft actor-critic with a value network, as in Haarnoja et al. 2018a and the original PEARL.

    The Bellman backup uses the target of the value network instead of target critics.
    """

    def make_target(self, features: int, critic: Callable[[int, int], CriticEnsemble]) -> nn.Module:
        self.value = critic(features, 1, critics=1)  # type: ignore[call-arg]
        return copy.deepcopy(self.value).requires_grad_(False)

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        return [*super().parameter_groups(), list(self.value.parameters())]

    def value_losses(self, observation: Tensor, condition: Tensor, value: Tensor) -> dict[str, Tensor]:
        predicted = self.value(torch.cat([observation, condition], dim=-1)).squeeze(-1).float()
        return {"loss/value": objectives.critic_loss(predicted, value)}

    @torch.no_grad()
    def next_value(
        self, transitions: TensorDictBase, condition: Tensor, temperatures: Tensor, normal: Normal
    ) -> Tensor:
        features = torch.cat([transitions["next_observation"], condition], dim=-1)
        value: Tensor = self.target(features).float().amin(dim=0).squeeze(-1)
        return value

    def target_source(self) -> nn.Module:
        return self.value


@torch.no_grad()
def _entropies(policy: HybridTanhGaussian, pre_tanh: Tensor) -> Tensor:
    """Mean entropies of the continuous part and of each choice ``[1 + choices]``."""
    return torch.stack([-policy.log_prob(pre_tanh).mean(), *(each.mean() for each in policy.choice_entropies())])
