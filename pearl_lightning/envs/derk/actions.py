"""What a backend accepts as actions; the real game checks nothing itself."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import ACTION_KEYS, ACTION_SPACE, AGENTS, SIDES


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
    low, high = _bounds(action.device)
    legal = (action >= low) & (action <= high)  # False for NaN
    legal[..., ACTION_SPACE.continuous :] &= (action == action.round())[..., ACTION_SPACE.continuous :]
    if not legal.all():
        raise ValueError(_first_fault(action, legal, low, high))
    return action


@cache
def _bounds(device: torch.device) -> tuple[Tensor, Tensor]:
    """Smallest and largest legal action ``[5]``, copied to a device once."""
    low = [*ACTION_SPACE.low, *([0.0] * len(ACTION_SPACE.choices))]
    high = [*ACTION_SPACE.high, *(float(options - 1) for options in ACTION_SPACE.choices)]
    return torch.tensor(low, device=device), torch.tensor(high, device=device)


def _first_fault(action: Tensor, legal: Tensor, low: Tensor, high: Tensor) -> str:
    side, arena, agent, key = (~legal).nonzero()[0].tolist()
    value = action[side, arena, agent, key].item()
    name = f"action[side={side}, arena={arena}, agent={agent}, {ACTION_KEYS[key]}]"
    if not torch.isfinite(action[side, arena, agent, key]):
        return f"{name} must be finite, got {value}"
    if key >= ACTION_SPACE.continuous:
        return f"{name} must be a whole number from 0 to {int(high[key])}, got {value:g}"
    return f"{name} must be in [{low[key]:g}, {high[key]:g}], got {value:g}"
