"""What a backend accepts as actions; the real game checks nothing itself."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ACTION_KEYS, ACTION_SPACE, AGENTS, SIDES

_LOW = [*ACTION_SPACE.low, *([0.0] * len(ACTION_SPACE.choices))]
_HIGH = [*ACTION_SPACE.high, *(float(options - 1) for options in ACTION_SPACE.choices)]


def checked_actions(action: Tensor, arenas: int, device: torch.device | str = "cpu") -> Tensor:
    """Actions of both teams as contiguous float32.

    One NaN breaks a creature of the real game for the rest of the match, and a wrong shape is accepted in silence.

    Args:
        action: ``[side, arena, agent, 5]``.
        arenas: Number of arenas.
        device: Where the actions must lie.

    Raises:
        ValueError: A wrong shape or device, or an entry that is not finite, out of range, or no whole number where one
            is needed; the message names the first such entry.
    """
    expected = (SIDES, arenas, AGENTS, ACTION_SPACE.width)
    if not isinstance(action, Tensor) or tuple(action.shape) != expected:
        got = tuple(action.shape) if isinstance(action, Tensor) else type(action).__name__
        raise ValueError(f"action must be a tensor of shape {expected} [side, arena, agent, action], got {got}")
    if action.device.type != torch.device(device).type:
        raise ValueError(f"action must be on {device}, where the matches are, got {action.device}")
    action = action.detach().to(torch.float32).contiguous()
    rows = action.flatten(1)
    low, high, whole = _bounds(arenas, action.device)
    if not torch.equal(rows.clamp(low, high), rows) or (rows.frac() * whole).any():  # NaN equals nothing
        legal = (rows >= low) & (rows <= high) & (rows.frac() * whole == 0)
        raise ValueError(_first_fault(action, legal.view_as(action)))
    return action


@lru_cache(8)
def _bounds(arenas: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest and largest legal value, and 1 where it must be whole, of a side's actions ``[arenas * 3 * 5]``.

    Written out for every agent: torch is several times slower on rows of five.
    """
    columns = (_LOW, _HIGH, [0.0] * ACTION_SPACE.continuous + [1.0] * len(ACTION_SPACE.choices))
    low, high, whole = (torch.tensor(column).repeat(arenas * AGENTS).to(device) for column in columns)
    return low, high, whole


def _first_fault(action: Tensor, legal: Tensor) -> str:
    side, arena, agent, key = (~legal).nonzero()[0].tolist()
    value = action[side, arena, agent, key].item()
    name = f"action[side={side}, arena={arena}, agent={agent}, {ACTION_KEYS[key]}]"
    if not math.isfinite(value):
        return f"{name} must be finite, got {value}"
    if key >= ACTION_SPACE.continuous:
        return f"{name} must be a whole number from 0 to {int(_HIGH[key])}, got {value:g}"
    return f"{name} must be in [{_LOW[key]:g}, {_HIGH[key]:g}], got {value:g}"
