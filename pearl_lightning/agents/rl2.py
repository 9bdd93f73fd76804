"""RL²: a recurrent policy that adapts because it remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from pytorch_lightning.cli import OptimizerCallable
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.optim import Adam, Optimizer
from torchrl.objectives import ClipPPOLoss

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.clipped_objective import ClippedObjective, clipped_terms
from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.inference.memory import Memory, MemoryBelief
from pearl_lightning.inference.steps import steps_of
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.layers import mlp
from pearl_lightning.networks.normalization import ObservationNorm


class RL2(OnPolicyAgent):
    """RL² (Duan et al. 2016): PPO with a memory that lasts through all episodes of a task.

    The agent is trained to maximize the return of several episodes of a task together, so it may lose reward in the
    first one to learn about the task. Its belief is the memory, which is updated at every step.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        actor: Function that creates the actor from the number of features and the action space.
        value_hidden: Widths of the value network's hidden layers.
        memory: Size of the memory.
        memory_hidden: Widths of the hidden layers before the memory.
        episodes: Number of episodes of a task that are learned from together, at least 1.
        objective: Settings of the clipped objective. The discount continues over the end of an episode.
        normalize_observations: Whether all networks read observations with mean 0 and variance 1.
        optimizer: Function that creates the optimizer of all networks.

    Raises:
        ValueError: The number of episodes is below 1, or a size is.
    """

    observe_every = 1
    _loss: ClipPPOLoss

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        actor: Callable[[int, ActionSpace], Actor] = Actor,
        value_hidden: Sequence[int] = (256, 256),
        memory: int = 128,
        memory_hidden: Sequence[int] = (128,),
        episodes: int = 3,
        objective: ClippedObjective = ClippedObjective(),  # noqa: B008  (frozen)
        normalize_observations: bool = False,
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=3e-4, fused=True),
    ) -> None:
        super().__init__(observation_features, action_space)
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        self.make_optimizer, self.objective, self.episodes = optimizer, objective, episodes
        self.norm = ObservationNorm(observation_features) if normalize_observations else None
        self.memory = Memory(observation_features + self.action_space.encoded_width + 2, memory_hidden, memory)
        self.actor = actor(observation_features + memory, self.action_space)
        self.value = mlp(observation_features + memory, value_hidden, 1)
        # set past nn.Module, which would register the two networks a second time
        object.__setattr__(self, "_loss", objective.make_loss(self.actor, self.value))

    def prior(self, arenas: int) -> MemoryBelief:
        return MemoryBelief(self.memory, self.read, arenas)

    @torch.no_grad()
    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        shared = condition.unsqueeze(1).expand(-1, observation.shape[1], -1)
        policy = self.actor(self._normalized(observation.to(self.device)), shared)
        return (policy.mode() if deterministic else policy.sample(generator)).to(observation.device)

    def read(self, steps: TensorDictBase) -> Tensor:
        """Return what the memory reads of steps, ``[arena, step, agent, feature]``.

        That is the action and what followed: the next observation, the reward, and whether the episode is over.

        Args:
            steps: Steps ``[arena, step]``, as for ``Belief.observe``.
        """
        steps = steps.to(self.device)
        reward = self.objective.reward_scale * steps["reward"].unsqueeze(-1)
        is_over = steps["done"].to(reward.dtype)[..., None, None].expand_as(reward)
        action = self.action_space.encode(steps["action"])
        return torch.cat([self._normalized(steps["next_observation"]), action, reward, is_over], dim=-1)

    def _normalized(self, observation: Tensor) -> Tensor:
        return observation if self.norm is None else self.norm(observation)

    @torch.no_grad()
    def experience(self, episodes: Sequence[TensorDictBase]) -> TensorDict:
        """Return the steps of all episodes of each arena ``[arena, step]``, with advantages and value targets."""
        rows = [episode.to(self.device) for episode in episodes]
        steps = cast(TensorDict, torch.cat([steps_of(episode) for episode in rows], dim=1))
        observation, read, played = self._normalized(steps["observation"]), self.read(steps), steps["played"]
        condition = self._conditions(read, played, observation.shape[2])
        value = self.value(torch.cat([observation, condition], dim=-1)).squeeze(-1)  # [arena, step, agent]
        reward = self.objective.reward_scale * torch.cat([e["training_reward"][:, :-1] for e in rows], dim=1)
        advantage = lasting_advantages(reward, value, played, self.objective)
        items = {
            "observation": observation,
            "read": read,
            "played": played,
            "action": steps["action"],
            "action_log_prob": self.actor(observation, condition).action_log_prob(steps["action"]),
            "advantage": advantage.unsqueeze(-1),
            "value_target": (advantage + value).unsqueeze(-1),
        }
        if self.norm is not None:  # after the log-probabilities, which are those of the policy that has played
            self.norm.update(steps["observation"][played])
        return TensorDict(items, batch_size=[len(steps)])

    def _conditions(self, read: Tensor, played: Tensor, agents: int) -> Tensor:
        """Memory before each step ``[arena, step, agent, size]``."""
        before = self.memory(read, played, self.memory.initial(len(read)))[:, :-1]
        return before.unsqueeze(2).expand(-1, -1, agents, -1)

    def on_fit_start(self) -> None:
        self._loss.to(self.device)  # its constants, because Lightning moves registered modules only

    def configure_optimizers(self) -> Optimizer:
        modules = (self.memory, self.actor, self.value)
        return self.make_optimizer([parameter for module in modules for parameter in module.parameters()])

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        """Compute the loss of the whole episodes of some arenas; the gradient reaches back to their first step."""
        batch = batch.to(self.device)
        played = batch["played"]
        condition = self._conditions(batch["read"], played, batch["observation"].shape[2])
        names = ("observation", "action", "action_log_prob", "advantage", "value_target")
        items = {name: batch[name][played].flatten(0, 1) for name in names}
        items["condition"] = condition[played].flatten(0, 1)
        flat = TensorDict(items, batch_size=[len(items["action"])])
        total, logged = clipped_terms(self._loss, flat, self.global_step)
        self.log_dict(logged)
        return total


def lasting_advantages(reward: Tensor, value: Tensor, played: Tensor, objective: ClippedObjective) -> Tensor:
    """Generalized advantage estimates (Schulman et al. 2016, eq. 16) ``[arena, step, agent]`` over several episodes.

    The step after the last one of an episode is the first one of the next episode. Nothing follows the last episode.

    Args:
        reward: Rewards ``[arena, step, agent]``.
        value: Values before each step ``[arena, step, agent]``.
        played: Mask of the steps that were played ``[arena, step]``; the result elsewhere has no meaning.
        objective: Discount and decay of the estimate.
    """
    discount, decay = objective.discount, objective.discount * objective.gae_lambda
    advantages = torch.zeros_like(value)
    following_value, following = torch.zeros_like(value[:, 0]), torch.zeros_like(value[:, 0])
    for step in reversed(range(value.shape[1])):
        error = reward[:, step] + discount * following_value - value[:, step]
        advantages[:, step] = error + decay * following
        is_played = played[:, step].unsqueeze(-1)
        following = torch.where(is_played, advantages[:, step], following)
        following_value = torch.where(is_played, value[:, step], following_value)
    return advantages
