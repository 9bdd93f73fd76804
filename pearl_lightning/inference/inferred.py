"""The posteriors of a meta-batch, as conditions and auxiliary losses use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.inference.context import ContextReader
from pearl_lightning.inference.encoders import ContextEncoder


@dataclass(frozen=True)
class Inferred:
    """Posteriors that an encoder infers from the context of a meta-batch, and that context.

    Args:
        encoder: The context encoder.
        context: Input of the encoder ``[task, transition, feature]``.
        transitions: The complete transitions: the change of the observation, the observation, the encoded action and
            the reward ``[task, transition, feature]``; observations are normalized if the agent normalizes them.
        mean: Mean of each posterior ``[task, latent]``.
        std: Standard deviation of each posterior ``[task, latent]``.
        noise: Standard normal numbers that give ``z`` ``[task, latent]``.
        z: A sample of each posterior ``[task, latent]``.
        descriptor: Descriptors of the tasks ``[task, number]``, with mean 0 and variance 1 over the train tasks; None
            if the tasks have none.
        played: Mask of the transitions that were played ``[task, transition]``; the others are padding after the end
            of an episode. None if all were played.
    """

    encoder: ContextEncoder
    context: Tensor
    transitions: Tensor
    mean: Tensor
    std: Tensor
    noise: Tensor
    z: Tensor
    descriptor: Tensor | None = None
    played: Tensor | None = None

    def average(self, values: Tensor) -> Tensor:
        """Return the mean of values ``[task, transition, ...]`` of the transitions that were played."""
        if self.played is not None:  # padding counts 0, because a selection would wait for the GPU
            played = self.played.reshape(*self.played.shape, *[1] * (values.ndim - 2))
            values = torch.where(played, values, 0.0) / self.played.float().mean()
        return values.mean()

    def diagnostics(self) -> dict[str, Tensor]:
        """Precision of the posteriors as ``train/*`` scalars; empty if z has no numbers."""
        if self.encoder.latent_dim == 0:
            return {}
        played = self.played
        number = (
            self.std.new_full((), float(self.context.shape[1])) if played is None else played.sum(dim=1).float().mean()
        )
        return {
            "train/z_std": self.std.mean(),
            "train/factors": number,
            "train/factor_precision": self.std.square().reciprocal().mean() / number,
        }


def infer(
    batch: TensorDictBase,
    reader: ContextReader,
    encoder: ContextEncoder,
    normal: Callable[[torch.Size], Tensor],
    device: torch.device,
) -> Inferred:
    """Infer the posteriors of a meta-batch.

    Args:
        batch: Result of ``TaskReplay.sample``.
        reader: Reader of the context.
        encoder: Context encoder.
        normal: Function that returns standard normal numbers of a given shape.
        device: Device of the encoder.
    """
    transitions, played = reader.of_meta_batch(batch)
    transitions, played = transitions.to(device), None if played is None else played.to(device)
    context = reader.encoder_input(transitions)
    mean, std = encoder(context, played)
    noise = normal(mean.shape)
    descriptor = batch.get("descriptor", None)
    descriptor = None if descriptor is None else descriptor.to(device)
    complete, z = reader.with_normalized(transitions), mean + std * noise
    return Inferred(encoder, context, complete, mean, std, noise, z, descriptor, played)
