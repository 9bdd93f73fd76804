"""Plain and batched multi-layer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, pad, relu, relu_

LINE_FLOATS = 16
"""Floats in a cache line. On CPUs, products of matrices whose rows are whole lines are up to 1.5 times as fast (rows of
304 against 300), so hidden layers are padded with zeros while they are computed; the parameters are not."""


def check_sizes(**sizes: int | Sequence[int]) -> None:
    """Refuse layer sizes below 1, naming the argument."""
    for name, size in sizes.items():
        values = [size] if isinstance(size, int) else list(size)
        if not values or any(value < 1 for value in values):
            raise ValueError(f"{name} must hold sizes of at least 1, got {size}")


def pad_parameters(weight: Tensor, bias: Tensor, inputs: int, hidden: bool) -> tuple[Tensor, Tensor]:
    """Weight ``[..., out, in]`` and bias ``[..., out]`` with zeros for inputs that are padding.

    Args:
        weight: Of a linear layer.
        bias: Of the same layer.
        inputs: Width of the features that the layer gets, padding included.
        hidden: Pad the outputs too, to whole cache lines.
    """
    more_outputs = -weight.shape[-2] % LINE_FLOATS if hidden else 0
    more_inputs = inputs - weight.shape[-1]
    if more_inputs or more_outputs:
        weight, bias = pad(weight, (0, more_inputs, 0, more_outputs)), pad(bias, (0, more_outputs))
    return weight, bias


class PaddedLinear(nn.Linear):
    """A layer of ``mlp``: takes features that may be padded and, where it is hidden, pads its own (``LINE_FLOATS``).

    Args:
        inputs: Features without padding.
        outputs: Outputs without padding.
        hidden: Whether another ``PaddedLinear`` follows.
    """

    def __init__(self, inputs: int, outputs: int, hidden: bool) -> None:
        super().__init__(inputs, outputs)
        self.hidden = hidden

    def forward(self, features: Tensor) -> Tensor:
        parameters = pad_parameters(self.weight, self.bias, features.shape[-1], self.hidden)
        if self.hidden or not torch.is_autocast_enabled(features.device.type):
            return linear(features, *parameters)
        with torch.autocast(features.device.type, enabled=False):
            return linear(features.float(), *parameters)


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """A ReLU perceptron ``[..., inputs] -> [..., outputs]``."""
    check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [PaddedLinear(inputs, size, hidden=True), nn.ReLU(inplace=True)]
        inputs = size
    return nn.Sequential(*layers, PaddedLinear(inputs, outputs, hidden=False))


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
            # a layer norm would count the padding in
            pads = layer < last and not self.layer_norm
            weight, bias = pad_parameters(weight, bias, hidden.shape[-1], pads)
            if layer == last and torch.is_autocast_enabled(hidden.device.type):
                with torch.autocast(hidden.device.type, enabled=False):
                    return torch.baddbmm(bias, hidden.float(), weight.transpose(1, 2))
            if layer == 0:  # the members share their input: one wide product instead of one per member
                members, width, inputs = weight.shape
                wide = linear(hidden, weight.reshape(members * width, inputs), bias.reshape(-1))
                hidden = wide.unflatten(-1, (members, width)).transpose(0, 1)
            else:
                hidden = torch.baddbmm(bias, hidden, weight.transpose(1, 2))
            if layer < last:
                if self.layer_norm:
                    hidden = layer_norm(hidden, hidden.shape[-1:])
                hidden = relu(hidden) if layer == 0 else relu_(hidden)  # autograd copies a view changed in place
        return hidden
