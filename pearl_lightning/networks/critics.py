"""Critics: soft action values and state values, an ensemble being one batched module."""

from __future__ import annotations

from collections.abc import Sequence

from pearl_lightning.networks.layers import BatchedMLP


class CriticEnsemble(BatchedMLP):
    """Q(s, z, continuous action) for every joint discrete choice, by independent critics.

    Args:
        features: Numbers in observation, latent and continuous action together.
        outputs: Joint discrete choices; 1 for continuous actions.
        hidden: Widths of the hidden layers.
        critics: Ensemble members; the smallest of their values is used, entry by entry (Fujimoto et al. 2018).
        layer_norm: Normalize every hidden layer.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden: Sequence[int] = (256, 256),
        critics: int = 2,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(critics, features, hidden, outputs, layer_norm)
