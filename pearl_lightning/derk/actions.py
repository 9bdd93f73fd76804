"""Validation of actions before they reach a backend; the real game does not check them itself."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ACTION_KEYS, ACTION_SPACE, AGENTS, SIDES

_LOW = [*ACTION_SPACE.low, *([0.0] * len(ACTION_SPACE.choices))]
_HIGH = [*ACTION_SPACE.high, *(float(options - 1) for options in ACTION_SPACE.choices)]


def checked_actions(action: Tensor, arenas: int, device: torch.device | str = "cpu") -> Tensor:
    """Check the actions of both teams and return them as contiguous float32.

    One NaN breaks a creature of the real game for the rest of the match, and the game accepts a wrong shape without an
    error.

    Args:
        action: ``[side, arena, agent, 5]``.
        arenas: Number of arenas.
        device: Device that the actions must be on.

    Raises:
        ValueError: The shape or the device is wrong, or an entry is not finite, is out of range, or is not a whole
            number although the action is discrete. The message names the first such entry.
    """
    expected = (SIDES, arenas, AGENTS, ACTION_SPACE.width)
    if not isinstance(action, Tensor) or tuple(action.shape) != expected:
        got = tuple(action.shape) if isinstance(action, Tensor) else type(action).__name__
        raise ValueError(f"action must be a tensor of shape {expected} [side, arena, agent, action], got {got}")
    if action.device.type != torch.device(device).type:
        raise ValueError(f"action must be on {device}, the device of the matches, got {action.device}")
    return _legal(action, arenas)


def checked_team_actions(action: Tensor) -> Tensor:
    """Check the actions of one team per arena and return them as contiguous float32.

    Args:
        action: ``[arena, agent, 5]``.

    Raises:
        ValueError: An entry is not legal (see ``checked_actions``). The message names the first such entry.
    """
    return _legal(action, len(action))


def _legal(action: Tensor, arenas: int) -> Tensor:
    action = action.detach().to(torch.float32).contiguous()
    low, high, whole = _bounds(arenas, action.device)
    rows = action.view(-1, len(low))
    if not torch.equal(rows.clamp(low, high), rows) or (rows.frac() * whole).any():  # NaN equals nothing
        legal = (rows >= low) & (rows <= high) & (rows.frac() * whole == 0)
        raise ValueError(_first_fault(action, legal.view_as(action)))
    return action


@lru_cache(8)
def _bounds(arenas: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds of one side's actions ``[arenas * 3 * 5]``: lowest value, highest value, and 1 if it must be whole.

    The bounds are repeated for every agent because torch is several times slower on rows of five.
    """
    columns = (_LOW, _HIGH, [0.0] * ACTION_SPACE.continuous + [1.0] * len(ACTION_SPACE.choices))
    low, high, whole = (torch.tensor(column).repeat(arenas * AGENTS).to(device) for column in columns)
    return low, high, whole


def _first_fault(action: Tensor, legal: Tensor) -> str:
    *place, key = (~legal).nonzero()[0].tolist()
    value = action[(*place, key)].item()
    axes = ("side", "arena", "agent")[-len(place) :]
    where = ", ".join(f"{axis}={index}" for axis, index in zip(axes, place, strict=True))
    name = f"action[{where}, {ACTION_KEYS[key]}]"
    if not math.isfinite(value):
        return f"{name} must be finite, got {value}"
    if key >= ACTION_SPACE.continuous:
        return f"{name} must be a whole number from 0 to {int(_HIGH[key])}, got {value:g}"
    return f"{name} must be in [{_LOW[key]:g}, {_HIGH[key]:g}], got {value:g}"
