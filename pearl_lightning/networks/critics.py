"""Critics, which compute soft action values. An ensemble is one batched module."""

from __future__ import annotations

from collections.abc import Sequence

from pearl_lightning.networks.layers import BatchedMLP


class CriticEnsemble(BatchedMLP):
    """An ensemble of independent critics Q(s, z, continuous action), with one output per joint discrete choice.

    Args:
        features: Number of features of observation, condition and continuous action together.
        outputs: Number of joint discrete choices; 1 for continuous actions.
        hidden: Widths of the hidden layers.
        critics: Number of critics. The smallest of their values is used for each output (Fujimoto et al. 2018).
        layer_norm: Whether to normalize every hidden layer.
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
