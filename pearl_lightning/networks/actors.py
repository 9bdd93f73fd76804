"""Actors: from an observation and a latent to a distribution over actions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import BatchedMLP, check_sizes, mlp


class Actor(nn.Module):
    """One perceptron with heads for the Gaussian and for each discrete choice, shared by the agents of a team.

    Args:
        features: Numbers in an observation and a latent together.
        action_space: Continuous bounds and discrete choices; without choices the actor is a tanh-Gaussian.
        hidden: Widths of the hidden layers.
        min_log_std: Lower bound of the Gaussian's log standard deviation.
        max_log_std: Upper bound of it.
    """

    def __init__(
        self,
        features: int,
        action_space: ActionSpace,
        hidden: Sequence[int] = (256, 256),
        min_log_std: float = -20.0,
        max_log_std: float = 2.0,
    ) -> None:
        super().__init__()
        if not min_log_std < max_log_std:
            raise ValueError(f"min_log_std must be below max_log_std, got {min_log_std} and {max_log_std}")
        self.action_space = action_space
        self.min_log_std, self.max_log_std = min_log_std, max_log_std
        self.body = self.make_body(features, hidden, 2 * action_space.continuous + sum(action_space.choices))

    def make_body(self, features: int, hidden: Sequence[int], outputs: int) -> nn.Module:
        """What turns features into the parameters of the distribution."""
        return mlp(features, hidden, outputs)

    def outputs(self, features: Tensor, agent: Tensor | None) -> Tensor:
        """Parameters of the distribution ``[..., output]`` given ``features`` ``[..., feature]``."""
        parameters: Tensor = self.body(features)
        return parameters

    def forward(self, observation: Tensor, z: Tensor, agent: Tensor | None = None) -> HybridTanhGaussian:
        """Distribution over actions ``[..., width]``.

        Args:
            observation: ``[..., feature]``.
            z: ``[..., latent]``.
            agent: Place in the team of the agent that acts ``[...]``, int64; for actors that tell agents apart.
        """
        continuous = self.action_space.continuous
        outputs = self.outputs(torch.cat([observation, z], dim=-1), agent).float()
        mean, log_std, *logits = outputs.split([continuous, continuous, *self.action_space.choices], dim=-1)
        return HybridTanhGaussian(
            mean=mean,
            log_std=log_std.clamp(self.min_log_std, self.max_log_std),
            log_choices=tuple(log_softmax(choice, dim=-1) for choice in logits),
            action_space=self.action_space,
        )


class PerAgentActor(Actor):
    """One perceptron for each agent of a team, computed together; each learns from its own data.

    Args:
        features: Numbers in an observation and a latent together.
        action_space: Continuous bounds and discrete choices; without choices the actor is a tanh-Gaussian.
        agents: Agents of a team.
        hidden: Widths of the hidden layers of each.
        min_log_std: Lower bound of the Gaussian's log standard deviation.
        max_log_std: Upper bound of it.
    """

    def __init__(
        self,
        features: int,
        action_space: ActionSpace,
        agents: int = 3,
        hidden: Sequence[int] = (256, 256),
        min_log_std: float = -20.0,
        max_log_std: float = 2.0,
    ) -> None:
        check_sizes(agents=agents)
        self.agents = agents
        super().__init__(features, action_space, hidden, min_log_std, max_log_std)

    def make_body(self, features: int, hidden: Sequence[int], outputs: int) -> nn.Module:
        return BatchedMLP(self.agents, features, hidden, outputs)

    def outputs(self, features: Tensor, agent: Tensor | None) -> Tensor:
        if agent is None:
            raise ValueError("agent must be given to an actor that tells agents apart, got None")
        # an exported program cannot look at numbers before it computes with them
        if not torch.compiler.is_exporting() and (highest := int(agent.max())) >= self.agents:
            raise ValueError(f"agents must be at least {highest + 1}, those of a team of this world, got {self.agents}")
        of_all = self.body(features.flatten(0, -2))  # [agent, row, output]
        rows = torch.arange(of_all.shape[1], device=agent.device)
        return of_all[agent.flatten(), rows].view(*agent.shape, -1)
