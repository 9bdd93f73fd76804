"""PEARL as a LightningModule: wires the networks, one update per meta-batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.core.optimizer import LightningOptimizer
from tensordict import TensorDictBase
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from pearl_lightning import objectives
from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agent import Agent, require_finite
from pearl_lightning.belief import Belief
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.encoders import ContextEncoder, GaussianProductEncoder
from pearl_lightning.networks.reconstruction import Reconstruction
from pearl_lightning.objectives import SacConfig, TaskInference

PRECISIONS = ("32-true", "bf16-mixed")
"""What Lightning's ``precision`` may be."""


class PEARL(Agent):
    """Off-policy meta-RL: a soft actor-critic conditioned on a latent belief about the task (Rakelly et al. 2019).

    Args:
        observation_features: Numbers in one agent's observation.
        action_space: Layout of one agent's action; a mapping with ``low``, ``high`` and ``choices`` will do.
        descriptor_features: Numbers that tell a task (``TaskDistribution.descriptors``), for ``task_inference`` only.
        encoder: Makes the context encoder, given the numbers in one context transition.
        actor: Makes the actor, given the numbers in observation and z, and the action space.
        critic: Makes the critics, given their input and output features.
        sac: Constants of the objective.
        reconstruction: Makes an auxiliary task for the encoder, given the numbers in observation and encoded action, in
            the observation, and in z; none when left out, as in the original.
        task_inference: How z is taught what the task is; not at all when left out, as in the original.
        optimizer: Makes an optimizer for each group of parameters.
        encoder_optimizer: Makes that of the encoder and of the reconstruction; as the others when left out. They bear
            larger steps than critics do, whose targets move with them.
        context_stride: The encoder sees every n-th step of an episode, in training and in play; rewards in between are
            summed, so that rare events are not lost.
        context_salient: Of all transitions of an episode, strided as they are, the encoder sees so many: those with the
            largest absolute rewards. All when left out. Where rewards are rare and what pays is hidden, the many
            transitions that paid nothing say next to nothing, and drown the others.
        context_next_observation: The encoder also sees by how much each step changed the observation: what an action
            does, not only what it paid (Rakelly et al. 2019, sec. 3; their code does so where dynamics differ).
        context_reward_scale: Multiplier on the rewards that the encoder reads: small ones go unheard beside dozens of
            observed numbers.
        z_steps: Steps for which a sample of z is acted on before the next is drawn from the same belief; a whole
            episode when left out, as in the original. A shorter span makes an agent that knows nothing yet try several
            guesses within one episode, so that the episode tells more; one that knows is hardly affected.
    """

    target_entropies: Tensor

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        descriptor_features: int = 0,
        encoder: Callable[[int], ContextEncoder] = GaussianProductEncoder,
        actor: Callable[[int, ActionSpace], Actor] = Actor,
        critic: Callable[[int, int], CriticEnsemble] = CriticEnsemble,
        sac: SacConfig = SacConfig(),  # noqa: B008  (frozen)
        reconstruction: Callable[[int, int, int], Reconstruction] | None = None,
        task_inference: TaskInference | None = None,
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=3e-4, fused=True),
        encoder_optimizer: OptimizerCallable | None = None,
        context_stride: int = 1,
        context_salient: int | None = None,
        context_next_observation: bool = False,
        context_reward_scale: float = 1.0,
        z_steps: int | None = None,
    ) -> None:
        super().__init__(observation_features, action_space)
        if context_stride < 1:
            raise ValueError(f"context_stride must be at least 1, got {context_stride}")
        if context_salient is not None and context_salient < 1:
            raise ValueError(f"context_salient must be at least 1 or null, got {context_salient}")
        if not 0 < context_reward_scale < math.inf:
            raise ValueError(f"context_reward_scale must be above 0 and finite, got {context_reward_scale}")
        if z_steps is not None and z_steps < 1:
            raise ValueError(f"z_steps must be at least 1 or null, got {z_steps}")
        self.automatic_optimization = False
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        action_space, self.sac, self.task_inference = self.action_space, sac, task_inference
        self.make_optimizer, self.make_encoder_optimizer = optimizer, encoder_optimizer or optimizer
        self.z_steps = z_steps
        self.context_stride, self.context_salient = context_stride, context_salient
        self.context_next_observation, self.context_reward_scale = context_next_observation, context_reward_scale

        shown = observation_features * (2 if context_next_observation else 1)
        self.encoder = encoder(shown + action_space.encoded_width + 1)
        if task_inference is not None and descriptor_features < 1:
            raise ValueError(
                "task_inference must be null for tasks without descriptors, or descriptor_features how many numbers "
                f"tell one, got {descriptor_features}"
            )
        if task_inference is not None and descriptor_features > self.encoder.latent_dim:
            raise ValueError(
                f"latent_dim must be at least the {descriptor_features} numbers that tell a task with task_inference, "
                f"got {self.encoder.latent_dim}"
            )
        features = observation_features + self.encoder.latent_dim
        self.actor = actor(features, action_space)
        self.critics = critic(features + action_space.continuous, action_space.joint_choices)
        self.value = critic(features, 1, critics=1) if sac.value_network else None  # type: ignore[call-arg]
        self.reconstruction = (
            None
            if reconstruction is None
            else reconstruction(
                observation_features + action_space.encoded_width,
                observation_features,
                self.encoder.latent_dim,
            )
        )
        self.target = copy.deepcopy(self.value if self.value is not None else self.critics).requires_grad_(False)
        fixed = sac.temperature is not None
        initial = sac.initial_temperature if sac.temperature is None else sac.temperature
        log_initial = math.log(max(initial, 1e-30))
        log_temperatures = torch.full((1 + len(action_space.choices),), log_initial)
        self.log_temperatures = nn.Parameter(log_temperatures, requires_grad=not fixed)
        self.register_buffer("target_entropies", torch.tensor(sac.target_entropies(action_space)), persistent=False)

    # --- acting -----------------------------------------------------------------------------------------------------

    def prior(self, arenas: int) -> Belief:
        return Belief(self.encoder, arenas)

    @torch.no_grad()
    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        shared = z.unsqueeze(1).expand(-1, observation.shape[1], -1)
        agent = torch.arange(observation.shape[1], device=z.device).expand(observation.shape[:2])
        policy = self.actor(observation.to(z.device), shared, agent)
        return (policy.mode() if deterministic else policy.sample(generator)).to(observation.device)

    def context_features(self, episodes: TensorDictBase) -> Tensor:
        return self._shown(self._transitions(episodes))

    def _shown(self, rows: Tensor) -> Tensor:
        """What the encoder is shown of ``_transitions``."""
        return rows if self.context_next_observation else rows[..., self.observation_features :]

    def _transitions(self, episodes: TensorDictBase) -> Tensor:
        """The transitions ``[task, transition, feature]`` that the encoder is shown: how the observation changed, the
        observation, the encoded action and the reward.
        """
        stride = self.context_stride
        before, after = episodes["observation"][:, :, :-1:stride], episodes["observation"][:, :, 1::stride]
        action = self.action_space.encode(episodes["action"][:, :, :-1:stride])
        reward = self.context_reward_scale * episodes["reward"][:, :, :-1]
        if stride > 1:
            reward = nn.functional.pad(reward, (0, 0, 0, -reward.shape[2] % stride))
            reward = reward.unflatten(2, (-1, stride)).sum(dim=3)
        rows = torch.cat([after - before, before, action, reward.unsqueeze(-1)], dim=-1)
        rows = rows.flatten(2, 3)  # [task, episode, transition, feature]
        if self.context_salient is not None and self.context_salient < rows.shape[2]:
            salient = rows[..., -1].abs().topk(self.context_salient, dim=2).indices.sort(dim=2).values
            rows = rows.gather(2, salient.unsqueeze(-1).expand(-1, -1, -1, rows.shape[-1]))
        return rows.flatten(1, 2).to(self.device)

    # --- learning ---------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        # float16 needs scaled losses, which the optimizers would have to share; others would change the parameters
        if self.trainer.precision not in PRECISIONS:
            raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)}, got {self.trainer.precision}")

    def configure_optimizers(self) -> list[Optimizer]:
        of_encoder = [list(module.parameters()) for module in (self.encoder, self.reconstruction) if module is not None]
        groups: list[list[nn.Parameter]] = [list(self.actor.parameters()), list(self.critics.parameters())]
        if self.value is not None:
            groups.append(list(self.value.parameters()))
        if self.log_temperatures.requires_grad:
            groups.append([self.log_temperatures])
        return [
            *(self.make_encoder_optimizer(group) for group in of_encoder if group),  # there may be nothing to learn
            *(self.make_optimizer(group) for group in groups),
        ]

    def losses(self, batch: TensorDictBase) -> dict[str, Tensor]:
        """Losses and diagnostics of one meta-batch.

        Args:
            batch: ``transitions`` ``[task, transition]`` with observation, action, reward ``[..., step]``, steps (how
                many of these were played), next_observation (after them), terminated (by their last) and agent, whose
                it is; ``context`` ``[task, episode, row]`` of whole episodes with observation, action and reward, the
                last row being the final observation alone; ``descriptor`` ``[task, number]``, for ``task_inference``.

        Returns:
            ``loss/*`` scalars whose sum is to be minimized, and detached ``train/*`` scalars. The encoder gets
            gradient from ``loss/critic``, ``loss/kl``, ``loss/reconstruction`` and ``loss/task_inference`` only.
        """
        sac, transitions = self.sac, batch["transitions"].to(self.device)
        rows = self._transitions(batch["context"])
        context = self._shown(rows)
        z_mean, z_std = self.encoder(context)
        z_sample = z_mean + z_std * self._normal(z_mean.shape)
        losses = {}
        if self.reconstruction is not None:
            losses["loss/reconstruction"] = self.reconstruction.loss(rows, z_sample)
        if self.task_inference is not None:
            told = batch["descriptor"].to(self.device)
            taught = objectives.task_inference_loss(z_sample, told)
            losses["loss/task_inference"] = self.task_inference.weight * taught
            z_sample = objectives.inform(z_sample, told, self.task_inference.informed_share)
        z = z_sample.repeat_interleave(transitions.shape[1], dim=0)  # [batch, latent]
        transitions = transitions.flatten()
        observation, action = transitions["observation"], transitions["action"]
        z_fixed = z.detach()
        temperatures = self.log_temperatures.detach().exp()

        policy = self.actor(observation, z_fixed, transitions["agent"])
        pre_tanh = policy.pre_tanh(self._normal(policy.mean.shape))
        table = self.critics(torch.cat([observation, z_fixed, policy.squash(pre_tanh)], dim=-1), frozen=True).float()
        value = objectives.soft_value(table, policy, pre_tanh, temperatures)

        reward = sac.reward_scale * transitions["reward"]
        next_value = self._next_value(transitions, z_fixed, temperatures)
        target = objectives.bellman_target(
            reward, transitions["steps"], transitions["terminated"], next_value, sac.discount
        )
        played = action[..., : self.action_space.continuous]
        predicted = objectives.played_values(
            self.critics(torch.cat([observation, z, played], dim=-1)).float(), self.action_space.joint_index(action)
        )
        kl = objectives.kl_to_prior(z_mean, z_std)
        losses |= {
            "loss/critic": objectives.critic_loss(predicted, target),
            "loss/kl": sac.kl_weight * (kl.mean() if sac.kl_over_tasks == "mean" else kl.sum()),
            "loss/actor": -value.mean() + objectives.actor_penalty(policy, pre_tanh, sac),
        }
        if self.value is not None:
            predicted_value = self.value(torch.cat([observation, z_fixed], dim=-1)).squeeze(-1).float()
            losses["loss/value"] = objectives.critic_loss(predicted_value, value)
        with torch.no_grad():
            entropies = torch.stack([-policy.log_prob(pre_tanh).mean(), *(h.mean() for h in policy.choice_entropies())])
        if self.log_temperatures.requires_grad:
            losses["loss/temperature"] = objectives.temperature_loss(
                self.log_temperatures, entropies, self.target_entropies
            )
        diagnostics = {
            "train/q": predicted.mean(),
            "train/kl": kl.mean(),
            "train/entropy": entropies[0],
            "train/temperature": temperatures[0],
        }
        if self.encoder.latent_dim > 0:
            diagnostics |= {
                "train/z_std": z_std.mean(),
                "train/factors": z_std.new_tensor(float(context.shape[1])),
                "train/factor_precision": z_std.square().reciprocal().mean() / context.shape[1],
            }
        return losses | {name: scalar.detach() for name, scalar in diagnostics.items()}

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> None:
        """One update of every network on one meta-batch (see ``losses``), by one backward pass."""
        optimizers = cast(list[LightningOptimizer], self.optimizers())
        terms = self.losses(batch)
        total = total_loss(terms)
        require_finite(total, terms, self.global_step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, enabled=False):  # each product's gradient in the precision of the product
            self.manual_backward(total)
        first, *others = optimizers
        first.step()  # through Lightning: global_step counts updates
        for optimizer in others:
            optimizer.optimizer.step()
        self.update_target()
        self.log_dict({name: term.detach() for name, term in terms.items()})

    def update_target(self) -> None:
        """Move the target network towards its source by ``sac.target_rate``."""
        source = self.critics if self.value is None else self.value
        objectives.polyak_update(list(self.target.parameters()), list(source.parameters()), self.sac.target_rate)

    @torch.no_grad()
    def _next_value(self, transitions: TensorDictBase, z: Tensor, temperatures: Tensor) -> Tensor:
        observation = transitions["next_observation"]
        if self.value is not None:
            return self.target(torch.cat([observation, z], dim=-1)).float().amin(dim=0).squeeze(-1)
        policy = self.actor(observation, z, transitions["agent"])
        pre_tanh = policy.pre_tanh(self._normal(policy.mean.shape))
        table = self.target(torch.cat([observation, z, policy.squash(pre_tanh)], dim=-1)).float()
        return objectives.soft_value(table, policy, pre_tanh, temperatures)

    def _normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.noise, device=self.device)


def total_loss(terms: dict[str, Tensor]) -> Tensor:
    """Sum of the ``loss/*`` among what ``PEARL.losses`` gives: the scalar that an update minimizes."""
    return torch.stack([term for name, term in terms.items() if name.startswith("loss/")]).sum()
