"""Gymnasium's spaces as action rows and observation features. This module does not import torch, for fast workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pearl_lightning.action_space import ActionSpace

Array = NDArray[np.float32]
_KINDS = "a Box, Discrete, MultiDiscrete, MultiBinary, Tuple or Dict"


def to_action_space(space: spaces.Space[Any]) -> ActionSpace:
    """The layout of actions of a Gymnasium space: all bounded numbers, then all discrete choices, in its order.

    Raises:
        ValueError: A part of the space is unbounded, or of a kind that is not supported.
    """
    from pearl_lightning.action_space import ActionSpace  # imports torch

    low: list[float] = []
    high: list[float] = []
    choices: list[int] = []
    for path, leaf in _leaves(space, "action space"):
        if isinstance(leaf, spaces.Box):
            if not (np.isfinite(leaf.low).all() and np.isfinite(leaf.high).all()):
                raise ValueError(
                    f"{path} must be bounded, got {leaf}: wrap the environment with RescaleAction or the like"
                )
            low += leaf.low.astype(float).flatten().tolist()
            high += leaf.high.astype(float).flatten().tolist()
        elif isinstance(leaf, spaces.Discrete):
            choices.append(int(leaf.n))
        elif isinstance(leaf, spaces.MultiDiscrete):
            choices += leaf.nvec.flatten().tolist()
        elif isinstance(leaf, spaces.MultiBinary):
            choices += [2] * int(np.prod(leaf.shape))
        else:
            raise ValueError(f"{path} must be {_KINDS}, got {leaf}")
    return ActionSpace(tuple(low), tuple(high), tuple(choices))


def observation_features(space: spaces.Space[Any]) -> int:
    """Number of features of a flattened observation.

    Raises:
        ValueError: A part of the space is of a kind that is not supported, or there are no features.
    """
    for path, leaf in _leaves(space, "observation space"):
        if not isinstance(leaf, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise ValueError(f"{path} must be {_KINDS}, got {leaf}")
    if (features := spaces.utils.flatdim(space)) < 1:
        raise ValueError(f"observation space must have at least one number, got {space}")
    return features


def to_features(space: spaces.Space[Any], observation: Any, features: int) -> Array:
    """One observation as features ``[feature]``.

    Raises:
        ValueError: The observation does not have the shape of the space.
    """
    try:
        flat: Any = spaces.utils.flatten(space, observation)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"observations must fit {space}, got {observation!r}") from error
    if flat.shape != (features,):
        raise ValueError(f"observations must fit {space}, got {observation!r}")
    return flat.astype(np.float32)


def have_same_layout(first: spaces.Space[Any], second: spaces.Space[Any]) -> bool:
    """Whether observations of two spaces have the same features; the bounds of boxes may differ."""
    pairs = list(_leaves(first, "")), list(_leaves(second, ""))
    return len(pairs[0]) == len(pairs[1]) and all(
        path == other_path
        and (leaf == other or (isinstance(leaf, spaces.Box) and isinstance(other, spaces.Box)))
        and leaf.shape == other.shape
        for (path, leaf), (other_path, other) in zip(*pairs, strict=True)
    )


def to_actions(space: spaces.Space[Any], rows: Array) -> Any:
    """Actions of a vectorized Gymnasium environment.

    Args:
        space: The action space of one environment.
        rows: Action rows ``[arena, width]``, laid out as by ``to_action_space``.
    """
    boxes = [leaf for _, leaf in _leaves(space, "") if isinstance(leaf, spaces.Box)]
    continuous = sum(int(np.prod(box.shape)) for box in boxes)
    position = {"continuous": 0, "choice": continuous}

    def take(kind: str, count: int) -> Array:
        first = position[kind]
        position[kind] = first + count
        return rows[:, first : first + count]

    def build(part: spaces.Space[Any]) -> Any:
        if isinstance(part, spaces.Dict):
            return {name: build(each) for name, each in part.spaces.items()}
        if isinstance(part, spaces.Tuple):
            return tuple(build(each) for each in part.spaces)
        shape = (len(rows), *(part.shape or ()))
        if isinstance(part, spaces.Box):
            numbers = take("continuous", int(np.prod(part.shape))).reshape(shape).astype(part.dtype)
            return np.clip(numbers, part.low, part.high)
        whole = take("choice", int(np.prod(shape[1:]))).reshape(shape).astype(np.int64)
        start = part.start if isinstance(part, (spaces.Discrete, spaces.MultiDiscrete)) else 0
        return (whole + start).astype(part.dtype)

    return build(space)


def _leaves(space: spaces.Space[Any], path: str) -> Iterator[tuple[str, spaces.Space[Any]]]:
    """The parts of a space that are no Dict and no Tuple, with a name for errors."""
    if isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            yield from _leaves(part, f"{path}[{name!r}]")
    elif isinstance(space, spaces.Tuple):
        for number, part in enumerate(space.spaces):
            yield from _leaves(part, f"{path}[{number}]")
    else:
        yield path, space
