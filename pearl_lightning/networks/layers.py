"""Plain and batched multi-layer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, relu


def check_sizes(**sizes: int | Sequence[int]) -> None:
    """Refuse layer sizes below 1, naming the argument."""
    for name, size in sizes.items():
        values = [size] if isinstance(size, int) else list(size)
        if not values or any(value < 1 for value in values):
            raise ValueError(f"{name} must hold sizes of at least 1, got {size}")


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """A ReLU perceptron ``[..., inputs] -> [..., outputs]``."""
    check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.ReLU()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class BatchedMLP(nn.Module):
    """Independent ReLU perceptrons of one shape, computed together.

    Args:
        members: Number of perceptrons; each is initialized on its own.
        inputs: Input features, shared by all members.
        hidden: Widths of the hidden layers.
        outputs: Output features.
        layer_norm: Normalize every hidden layer before its ReLU (without learned scales).
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
            bound = 1 / math.sqrt(fan_in)  # nn.Linear's initialization, member by member
            self.weights.append(nn.Parameter(torch.empty(members, fan_out, fan_in).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, fan_out).uniform_(-bound, bound)))

    def forward(self, features: Tensor, frozen: bool = False) -> Tensor:
        """Outputs ``[member, batch, outputs]`` of features ``[batch, inputs]``.

        Args:
            features: Shared by all members.
            frozen: Cut the gradient to the parameters, and keep the one to the features.
        """
        hidden = features
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if frozen:
                weight, bias = weight.detach(), bias.detach()
            if layer == 0:  # the members share their input: one wide product instead of one per member
                members, width, inputs = weight.shape
                wide = linear(hidden, weight.reshape(members * width, inputs), bias.reshape(-1))
                hidden = wide.unflatten(-1, (members, width)).transpose(0, 1)
            else:
                hidden = torch.baddbmm(bias, hidden, weight.transpose(1, 2))
            if layer < last:
                if self.layer_norm:
                    hidden = layer_norm(hidden, hidden.shape[-1:])
                hidden = relu(hidden)
        return hidden
