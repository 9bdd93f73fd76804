"""Context-free PPO, a common alternative to meta-learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning.cli import OptimizerCallable
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.optim import Adam, Optimizer
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value.functional import vec_generalized_advantage_estimate

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.clipped_objective import ClippedObjective, clipped_terms
from pearl_lightning.agents.context_free import ContextFreeAgent
from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import mlp


class PPO(ContextFreeAgent, OnPolicyAgent):
    """Proximal policy optimization (Schulman et al. 2017), with TorchRL's loss and advantage estimator.

    The agents of a team share one policy and one value function; both read the observation of a single agent.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        actor: Function that creates the actor from the number of features and the action space.
        value_hidden: Widths of the value network's hidden layers.
        objective: Settings of the clipped objective.
        optimizer: Function that creates the optimizer of both networks.
    """

    _loss: ClipPPOLoss

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        actor: Callable[[int, ActionSpace], Actor] = Actor,
        value_hidden: Sequence[int] = (256, 256),
        objective: ClippedObjective = ClippedObjective(),  # noqa: B008  (frozen)
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=3e-4, fused=True),
    ) -> None:
        super().__init__(observation_features, action_space)
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        self.make_optimizer, self.objective = optimizer, objective
        self.actor = actor(observation_features, self.action_space)
        self.value = mlp(observation_features, value_hidden, 1)
        # set past nn.Module, which would register the two networks a second time
        object.__setattr__(self, "_loss", objective.make_loss(self.actor, self.value))

    @torch.no_grad()
    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        policy = _policy(self.actor, observation.to(self.device))
        return (policy.mode() if deterministic else policy.sample(generator)).to(observation.device)

    @torch.no_grad()
    def experience(self, episodes: Sequence[TensorDictBase]) -> TensorDict:
        """Return all agents' transitions ``[item]`` with log-probabilities, advantages and value targets.

        Padding after the end of an episode is left out.
        """
        (episode,) = episodes
        episode = episode.to(self.device)
        observation, action = episode["observation"][:, :-1], episode["action"][:, :-1]
        value = self.value(episode["observation"])  # [arena, row, agent, 1]
        reward = self.objective.reward_scale * episode["training_reward"][:, :-1]
        terminated = episode["terminated"][:, :-1].unsqueeze(-1).expand_as(reward)
        played = episode["played"][:, :-1].unsqueeze(-1).expand_as(reward)
        done = ~episode["played"][:, 1:].unsqueeze(-1).expand_as(reward)  # also of padding, which is left out below
        advantage, target = vec_generalized_advantage_estimate(
            self.objective.discount,
            self.objective.gae_lambda,
            value[:, :-1, :, 0],
            value[:, 1:, :, 0],
            reward,
            done=done,
            terminated=terminated,
            time_dim=1,
        )
        items = {
            "observation": observation,
            "condition": observation.new_empty(*observation.shape[:-1], 0),
            "action": action,
            "action_log_prob": _policy(self.actor, observation).action_log_prob(action),
            "advantage": advantage.unsqueeze(-1),
            "value_target": target.unsqueeze(-1),
        }
        return TensorDict(items, batch_size=reward.shape)[played]

    def on_fit_start(self) -> None:
        self._loss.to(self.device)  # its constants, because Lightning moves registered modules only

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer([*self.actor.parameters(), *self.value.parameters()])

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        """Compute the loss of one minibatch of the data from ``experience``."""
        total, logged = clipped_terms(self._loss, batch.to(self.device), self.global_step)
        self.log_dict(logged)
        return total


def _policy(actor: Actor, observation: Tensor) -> HybridTanhGaussian:
    return actor(observation, observation.new_empty(*observation.shape[:-1], 0))
