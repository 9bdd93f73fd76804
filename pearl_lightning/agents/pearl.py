"""PEARL as a LightningModule: encoder, soft actor-critic and auxiliary losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torch.optim import Optimizer

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.objectives import kl_to_prior
from pearl_lightning.agents.off_policy import OffPolicyAgent
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.checkpoints import make_hyperparameters_plain
from pearl_lightning.inference.auxiliary import AuxiliaryLoss, AuxiliarySizes, named_losses
from pearl_lightning.inference.belief import BeliefConfig, GaussianBelief
from pearl_lightning.inference.context import ContextReader
from pearl_lightning.inference.encoders import ContextEncoder, GaussianProductEncoder
from pearl_lightning.inference.inferred import infer
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.normalization import ObservationNorm, normalized


class PEARL(OffPolicyAgent):
    """Off-policy meta-RL: a soft actor-critic conditioned on a latent belief about the task (Rakelly et al. 2019).

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
        descriptor_features: Size of a task's descriptor (``TaskDistribution.descriptors``); 0 if there are none.
        encoder: Function that creates the context encoder from the number of features of a transition.
        belief: Settings of the belief: the context that the encoder reads, and the condition of actor and critics.
        sac: Function that creates the soft actor-critic from its number of input features and the action space.
        auxiliary: Functions that create auxiliary losses of the encoder from their sizes; the original has none.
        kl_weight: Weight of the KL loss, the mean over tasks of KL(q(z|c) ‖ N(0, I)); at least 0.
        optimizers: Optimizers of all parameters.
        normalize_observations: Whether all networks read observations with mean 0 and variance 1 over all updates.
        cuda_graphs: Whether a run on one GPU records its updates as CUDA graphs. Elsewhere it has no effect.
    """

    def __init__(
        self,
        observation_features: int,
        action_space: ActionSpace | dict[str, Any],
        descriptor_features: int = 0,
        encoder: Callable[[int], ContextEncoder] = GaussianProductEncoder,
        belief: BeliefConfig = BeliefConfig(),  # noqa: B008  (frozen)
        sac: Callable[[int, ActionSpace], HybridSAC] = HybridSAC,
        auxiliary: Sequence[Callable[[AuxiliarySizes], AuxiliaryLoss]] = (),
        kl_weight: float = 0.1,
        optimizers: Optimizers = Optimizers(),  # noqa: B008  (frozen)
        normalize_observations: bool = False,
        cuda_graphs: bool = True,
    ) -> None:
        super().__init__(observation_features, action_space, optimizers, cuda_graphs)
        if not 0 <= kl_weight < math.inf:
            raise ValueError(f"kl_weight must be at least 0 and finite, got {kl_weight}")
        self.save_hyperparameters(logger=False)  # for load_from_checkpoint
        make_hyperparameters_plain(self)
        self.kl_weight = kl_weight
        self.observe_every, self.resample_every = belief.observe_every, belief.resample_every

        self.norm = ObservationNorm(observation_features) if normalize_observations else None
        self.context = ContextReader(belief.context, observation_features, self.action_space, self.norm)
        self.encoder = encoder(self.context.features)
        self.condition = belief.condition(self.encoder.latent_dim)
        self.sac = sac(observation_features + self.condition.width, self.action_space)
        sizes = AuxiliarySizes(
            observation=observation_features,
            action=self.action_space.encoded_width,
            latent=self.encoder.latent_dim,
            descriptor=descriptor_features,
        )
        self.auxiliary = named_losses([make(sizes) for make in auxiliary])

    @property
    def actor(self) -> Actor:
        """The policy's network."""
        return self.sac.actor

    def prior(self, arenas: int) -> GaussianBelief:
        self.finite.require()
        return GaussianBelief(self.encoder, self.context, self.condition, arenas)

    @torch.no_grad()
    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        read = observation if self.norm is None else self.norm(observation.to(self.device)).to(observation.device)
        return self.sac.act(read, condition, deterministic, generator)

    def start_settings(self) -> dict[str, Any]:
        """Settings that only affect the start of a run."""
        return self.sac.start_settings()

    def configure_optimizers(self) -> list[Optimizer]:
        return self.optimization.make((self.encoder, self.condition, *self.auxiliary), self.sac.parameter_groups())

    def update_statistics(self, batch: TensorDictBase) -> None:
        if self.norm is not None:
            self.norm.update(batch["transitions"]["observation"].to(self.device))
            self.context.update_norm(batch)

    def update_targets(self) -> None:
        self.sac.update_target()

    def losses(self, batch: TensorDictBase) -> dict[str, Tensor]:
        """Compute losses and diagnostics of one meta-batch.

        Args:
            batch: Meta-batch from ``TaskReplay.sample``.

        Returns:
            Losses ``loss/*``, whose sum an update minimizes, and detached diagnostics ``train/*``; all are scalars. The
            encoder gets gradients from ``loss/critic``, ``loss/kl`` and the auxiliary losses only.
        """
        transitions = normalized(batch["transitions"].to(self.device), self.norm)
        inferred = infer(batch, self.context, self.encoder, self.normal, self.device)
        losses, mean, std = {}, inferred.mean, inferred.std
        for each in cast(list[AuxiliaryLoss], list(self.auxiliary)):
            losses[f"loss/{each.name}"] = each.loss(inferred)
            mean, std = each.informed(mean, std, inferred)
        condition = self.condition(mean, std, inferred.noise).repeat_interleave(transitions.shape[1], dim=0)
        of_sac, diagnostics = self.sac.losses(transitions.flatten(), condition, self.normal)
        kl = kl_to_prior(inferred.mean, inferred.std).mean()
        losses |= of_sac | {"loss/kl": self.kl_weight * kl}
        diagnostics |= {"train/kl": kl} | inferred.diagnostics()
        return losses | {name: scalar.detach() for name, scalar in diagnostics.items()}
