"""A match as one self-contained HTML page that needs neither a network nor a server."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pearl_lightning.derk.interface import (
    AGENTS,
    BOUNTY_KEYS,
    CASTING_SLOT,
    CHANGE_FOCUS,
    ITEMS,
    TICKS_PER_STEP,
)
from pearl_lightning.derk.watching.record import MEMBERS_PER_SIDE, MatchRecord
from pearl_lightning.derk.watching.scenery import EXTENT, scenery

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
_EFFECTS = ("dazed", "crippled", "iron", "helium")
"""Bits of a member's effects, lowest bit first."""
_LEAST_REWARD = 1e-4  # smaller rewards are rounding errors


def match_page(records: Sequence[MatchRecord], title: str, agent: str) -> str:
    """Create an HTML page that plays the episodes of one adaptation.

    Args:
        records: One record per episode.
        title: Title of the page.
        agent: Name of the agent that plays the learner's team.
    """
    if not records:
        raise ValueError("records must contain at least one episode, got none")
    return _TEMPLATES.get_template("page.html").render(match=match_data(records, title, agent))


def match_data(records: Sequence[MatchRecord], title: str, agent: str) -> dict[str, Any]:
    """Content of the page as JSON data; arrays are flattened in row-major order."""
    own = records[0].own_side
    image = io.BytesIO()
    scenery(8 * round(EXTENT[1] - EXTENT[0])).save(image, "PNG", optimize=True)
    return {
        "title": title,
        "agent": agent,
        "opponent": records[0].task.opponent,
        "own": own,
        "ticksPerFrame": TICKS_PER_STEP,
        "membersPerSide": MEMBERS_PER_SIDE,
        "items": ITEMS,
        "slots": CASTING_SLOT,
        "targets": CHANGE_FOCUS,
        "bounties": BOUNTY_KEYS,
        "loadouts": [*records[0].task.home_loadouts, *records[0].task.away_loadouts],
        "rewardWeights": _reward_weights(records[0], own),
        "scenery": f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}",
        "extent": EXTENT,
        "episodes": [_episode(record) for record in records],
    }


def _reward_weights(record: MatchRecord, side: int) -> dict[str, float]:
    """Nonzero reward weights of a side; the scaling of time is not a weight."""
    weights = (record.task.home_bounties, record.task.away_bounties)[side][0]
    return {name: weight for name, weight in weights.items() if weight and name != "timeScaling"}


def _episode(record: MatchRecord) -> dict[str, Any]:
    states = record.states
    effects = sum((states[name] > 0).astype(int) << bit for bit, name in enumerate(_EFFECTS))
    flying = np.argwhere(record.shot_targets >= 0)
    rewarded = np.argwhere(np.abs(record.rewards) > _LEAST_REWARD)
    return {
        "frames": len(states["hitpoints"]),
        "x": _numbers(states["position"][..., 0], 2),
        "y": _numbers(states["position"][..., 1], 2),
        "heading": _numbers(states["heading"], 2),
        "hitpoints": _numbers(states["hitpoints"], 1),
        "focus": _numbers(states["focus"]),
        "castState": _numbers(states["cast_state"]),
        "castAbility": _numbers(states["cast_ability"]),
        "castTarget": _numbers(states["cast_target"]),
        "cooldown": _numbers(states["cooldown"]),
        "effects": _numbers(np.asarray(effects)),
        # frame, shot, x, y, target
        "shots": [
            [int(frame), int(shot), *_numbers(states["shot_position"][frame, shot, :2], 1), int(target)]
            for (frame, shot), target in zip(flying, record.shot_targets[tuple(flying.T)], strict=True)
        ],
        "actions": _numbers(record.actions, 2),
        # step, agent of both sides, bounty, amount
        "rewards": [
            [int(step), int(side * AGENTS + agent), int(bounty), round(float(amount), 4)]
            for (step, side, agent, bounty), amount in zip(rewarded, record.rewards[tuple(rewarded.T)], strict=True)
        ],
        "returns": _numbers(record.returns, 3),
        "kills": _numbers(record.kills),
        "beliefSteps": _numbers(record.belief_steps),
        "zMean": [_numbers(mean, 3) for mean in record.z_mean],
        "zStd": [_numbers(std, 3) for std in record.z_std],
    }


def _numbers(array: np.ndarray, decimals: int = 0) -> list[float] | list[int]:
    """Convert an array to a flat list of rounded numbers."""
    if decimals == 0:
        return array.astype(int).ravel().tolist()
    rounded = np.round(array.astype(np.float64).ravel(), decimals)
    return [int(number) if number == int(number) else number for number in rounded.tolist()]
