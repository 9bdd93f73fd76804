"""Context-free PPO, a common alternative to meta-learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning.cli import OptimizerCallable
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim import Adam, Optimizer
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value.functional import vec_generalized_advantage_estimate

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.finite import require_finite
from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.distributions import HybridTanhGaussian
from pearl_lightning.networks.layers import mlp


class PPO(OnPolicyAgent):
    """Proximal policy optimization (Schulman et al. 2017), with TorchRL's loss and advantage estimator.

    The agents of a team share one policy and one value function; both read the observation of a single agent.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        actor: Function that creates the actor from the number of features and the action space.
        value_hidden: Widths of the value network's hidden layers.
        discount: Reward discount per environment step, in (0, 1].
        gae_lambda: Decay of the advantage estimate (Schulman et al. 2016), in [0.01, 1].
        clip: Largest distance of the probability ratio from 1 before the objective is clipped; must be positive.
        entropy_weight: Weight of the policy's entropy in the objective, at least 0.
        value_weight: Weight of the value network's squared error; must be positive.
        reward_scale: Multiplier on rewards; must be positive.
        optimizer: Function that creates the optimizer of both networks.

    Raises:
        ValueError: A setting is out of its range.
    """

    _loss: ClipPPOLoss

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        actor: Callable[[int, ActionSpace], Actor] = Actor,
        value_hidden: Sequence[int] = (256, 256),
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        clip: float = 0.2,
        entropy_weight: float = 0.01,
        value_weight: float = 0.5,
        reward_scale: float = 1.0,
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=3e-4, fused=True),
    ) -> None:
        super().__init__(observation_features, action_space)
        if not 0 < discount <= 1:
            raise ValueError(f"discount must be in (0, 1], got {discount}")
        if not 0.01 <= gae_lambda <= 1:  # near 0 TorchRL's estimator truncates its whole sum
            raise ValueError(f"gae_lambda must be in [0.01, 1], got {gae_lambda}")
        if not reward_scale > 0:
            raise ValueError(f"reward_scale must be above 0, got {reward_scale}")
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        self.make_optimizer = optimizer
        self.discount, self.gae_lambda, self.reward_scale = discount, gae_lambda, reward_scale
        self.actor = actor(observation_features, self.action_space)
        self.value = mlp(observation_features, value_hidden, 1)
        # set past nn.Module, which would register the two networks a second time
        object.__setattr__(self, "_loss", _clip_loss(self.actor, self.value, clip, entropy_weight, value_weight))

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

    def explore(self, arenas: int, generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
        return lambda observation, step: self.act(observation, observation.new_empty(arenas, 0), generator=generator)

    @torch.no_grad()
    def experience(self, episode: TensorDictBase) -> TensorDict:
        """Return all agents' transitions ``[item]`` with log-probabilities, advantages and value targets.

        Padding after the end of an episode is left out.
        """
        episode = episode.to(self.device)
        observation, action = episode["observation"][:, :-1], episode["action"][:, :-1]
        value = self.value(episode["observation"])  # [arena, row, agent, 1]
        reward = self.reward_scale * episode["training_reward"][:, :-1]
        terminated = episode["terminated"][:, :-1].unsqueeze(-1).expand_as(reward)
        played = episode["played"][:, :-1].unsqueeze(-1).expand_as(reward)
        done = ~episode["played"][:, 1:].unsqueeze(-1).expand_as(reward)  # also of padding, which is left out below
        advantage, target = vec_generalized_advantage_estimate(
            self.discount,
            self.gae_lambda,
            value[:, :-1, :, 0],
            value[:, 1:, :, 0],
            reward,
            done=done,
            terminated=terminated,
            time_dim=1,
        )
        items = {
            "observation": observation,
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
        result = self._loss(batch.to(self.device))
        losses = {
            "loss/actor": result["loss_objective"],
            "loss/critic": result["loss_critic"],
            "loss/entropy": result["loss_entropy"],
        }
        total = torch.stack(list(losses.values())).sum()
        require_finite(total, losses, self.global_step)
        shown = {"entropy": "entropy", "kl": "kl_approx", "clipped": "clip_fraction", "explained": "explained_variance"}
        self.log_dict({name: term.detach() for name, term in losses.items()})
        self.log_dict({f"train/{name}": result[key].detach() for name, key in shown.items()})
        return total


def _clip_loss(actor: Actor, value: nn.Module, clip: float, entropy_weight: float, value_weight: float) -> ClipPPOLoss:
    """TorchRL's loss of both networks; it shares their parameters."""
    if entropy_weight < 0:
        raise ValueError(f"entropy_weight must be at least 0, got {entropy_weight}")
    for name, number in (("clip", clip), ("value_weight", value_weight)):
        if number <= 0:
            raise ValueError(f"{name} must be above 0, got {number}")
    return ClipPPOLoss(
        _Policy(actor),
        TensorDictModule(value, in_keys=["observation"], out_keys=["state_value"]),
        clip_epsilon=clip,
        entropy_coeff=entropy_weight,
        critic_coeff=value_weight,
        loss_critic_type="l2",
        normalize_advantage=True,
        functional=False,
    )


class _Policy(nn.Module):
    """Adapter of the actor to TorchRL's loss."""

    in_keys = ("observation",)
    out_keys = ("action",)

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    def get_dist(self, items: TensorDictBase) -> Distribution:
        return _ActionDistribution(_policy(self.actor, items["observation"]))


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


def _policy(actor: Actor, observation: Tensor) -> HybridTanhGaussian:
    return actor(observation, observation.new_empty(*observation.shape[:-1], 0))
