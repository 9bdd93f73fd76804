"""TorchRL's SACLoss over the very numbers of our networks, as the learner's tests compare with it."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import Tensor, nn
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble


def constant_noise(*shape: Any, **_: Any) -> Tensor:
    """The value of every Gaussian draw in a test that replaces the noise; all draws are equal."""
    size = torch.Size(shape if isinstance(shape[0], int) else shape[0])
    return torch.linspace(-1.0, 0.6, size[-1]).expand(size)


def single_critic(ensemble: CriticEnsemble, member: int) -> nn.Sequential:
    """One member as a plain torch perceptron with the same numbers."""
    layers: list[nn.Module] = []
    for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
        linear = nn.Linear(weight.shape[2], weight.shape[1])
        linear.weight.data, linear.bias.data = weight[member].detach().clone(), bias[member, 0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _CriticOf(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([observation, action], dim=-1))


def torchrl_sac(
    actor: Actor, critics: CriticEnsemble, target: CriticEnsemble, temperature: float, discount: float
) -> SACLoss:
    """SACLoss with two critics; z is part of its observation, and its actor shares ``actor``'s parameters."""
    extractor = nn.Sequential(actor.body, NormalParamExtractor(scale_mapping="exp", scale_lb=1e-8))
    policy = ProbabilisticActor(
        TensorDictModule(extractor, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"tanh_loc": False, "safe_tanh": False},
    )
    values = [ValueOperator(_CriticOf(single_critic(critics, i)), in_keys=["observation", "action"]) for i in range(2)]
    loss = SACLoss(
        policy,
        values,
        num_qvalue_nets=2,
        alpha_init=temperature,
        fixed_alpha=True,
        loss_function="l2",
        target_entropy=-2.0,
    )
    SoftUpdate(loss, eps=0.995)  # or TorchRL warns
    loss.make_value_estimator(gamma=discount)
    for layer, (weight, bias) in enumerate(zip(target.weights, target.biases, strict=True)):
        entry = ("module", "net", str(2 * layer))
        loss.target_qvalue_network_params[(*entry, "weight")].copy_(weight.detach())
        loss.target_qvalue_network_params[(*entry, "bias")].copy_(bias.detach().squeeze(1))
    return loss


def torchrl_batch(
    observation: Tensor, action: Tensor, reward: Tensor, next_observation: Tensor, terminated: Tensor
) -> TensorDict:
    """Transitions ``[batch, ...]``, rewards and terminations ``[batch]``, under TorchRL's keys."""
    ended = terminated.unsqueeze(-1)
    following = TensorDict(
        {"observation": next_observation, "reward": reward.unsqueeze(-1), "terminated": ended, "done": ended.clone()},
        batch_size=reward.shape,
    )
    return TensorDict({"observation": observation, "action": action, "next": following}, batch_size=reward.shape)
