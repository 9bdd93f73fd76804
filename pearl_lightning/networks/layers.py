"""Plain and batched multi-layer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, relu_


def check_sizes(**sizes: int | Sequence[int]) -> None:
    """Raise a ``ValueError`` that names the argument if a layer size is below 1."""
    for name, size in sizes.items():
        values = [size] if isinstance(size, int) else list(size)
        if not values or any(value < 1 for value in values):
            raise ValueError(f"{name} must contain sizes of at least 1, got {size}")


class FullPrecisionLinear(nn.Linear):
    """A linear layer that computes in float32 under autocast, for output layers, which must be precise."""

    def forward(self, features: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(features.device.type):
            return linear(features, self.weight, self.bias)
        with torch.autocast(features.device.type, enabled=False):
            return linear(features.float(), self.weight, self.bias)


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Create a ReLU perceptron ``[..., inputs] -> [..., outputs]``."""
    check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.ReLU(inplace=True)]
        inputs = size
    return nn.Sequential(*layers, FullPrecisionLinear(inputs, outputs))


class BatchedMLP(nn.Module):
    """Independent ReLU perceptrons of the same shape, computed in one batch.

    Args:
        members: Number of perceptrons; each is initialized independently.
        inputs: Number of input features, shared by all members.
        hidden: Widths of the hidden layers.
        outputs: Number of output features.
        layer_norm: Whether to normalize every hidden layer before its ReLU (without learned scales).
    """

    def __init__(
        self, members: int, inputs: int, hidden: Sequence[int], outputs: int, layer_norm: bool = False
    ) -> None:
        super().__init__()
        check_sizes(members=members, inputs=inputs, hidden=hidden, outputs=outputs)
        self.layer_norm = layer_norm
        sizes = [inputs, *hidden, outputs]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
            bound = 1 / math.sqrt(fan_in)  # nn.Linear's initialization for each member
            self.weights.append(nn.Parameter(torch.empty(members, fan_out, fan_in).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, fan_out).uniform_(-bound, bound)))

    def forward(self, features: Tensor, frozen: bool = False) -> Tensor:
        """Compute the outputs ``[member, batch, outputs]`` for features ``[batch, inputs]``.

        Args:
            features: Input features, shared by all members.
            frozen: Stop the gradient to the parameters; the gradient to the features is kept.
        """
        hidden = features.expand(len(self.weights[0]), *features.shape)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if frozen:
                weight, bias = weight.detach(), bias.detach()
            if layer == last and torch.is_autocast_enabled(hidden.device.type):
                with torch.autocast(hidden.device.type, enabled=False):
                    return torch.baddbmm(bias, hidden.float(), weight.transpose(1, 2))
            hidden = torch.baddbmm(bias, hidden, weight.transpose(1, 2))
            if layer < last:
                if self.layer_norm:
                    scale = hidden.new_ones(hidden.shape[-1:])  # torch is twice as fast with a scale and a shift
                    hidden = layer_norm(hidden, hidden.shape[-1:], scale, torch.zeros_like(scale))
                hidden = relu_(hidden)
        return hidden
