"""A match as one HTML page that needs nothing else: no network, no server, no installation."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pearl_lightning.envs.derk.interface import (
    AGENTS,
    BOUNTY_KEYS,
    CASTING_SLOT,
    CHANGE_FOCUS,
    ITEMS,
    TICKS_PER_STEP,
)
from pearl_lightning.watching.record import MEMBERS_PER_SIDE, MatchRecord
from pearl_lightning.watching.scenery import EXTENT, scenery

_TEMPLATE = Path(__file__).with_name("page.html")
_PLACEHOLDER = "/*match*/null"
_TITLE = "<!--title-->"
_EFFECTS = ("dazed", "crippled", "iron", "helium")
"""Bits of a member's effects, the lowest first."""
_LEAST_PAID = 1e-4  # smaller rewards are rounding


def match_page(records: Sequence[MatchRecord], title: str, agent: str) -> str:
    """A page that plays the episodes of one adaptation.

    Args:
        records: One per episode.
        title: What the page is called.
        agent: Who plays the learner's team.
    """
    if not records:
        raise ValueError("records must hold at least one episode, got none")
    data = json.dumps(match_data(records, title, agent), separators=(",", ":"))
    data = data.replace("</", "<\\/")  # no text of ours ends the script
    page = _TEMPLATE.read_text(encoding="utf-8")
    return page.replace(_TITLE, html.escape(title)).replace(_PLACEHOLDER, data)


def match_data(records: Sequence[MatchRecord], title: str, agent: str) -> dict[str, Any]:
    """What the page shows, as JSON takes it; arrays are flat, the last index running fastest."""
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
        "pays": {key: weight for key, weight in _weights(records[0], own).items() if weight},
        "scenery": f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}",
        "extent": EXTENT,
        "episodes": [_episode(record) for record in records],
    }


def _weights(record: MatchRecord, side: int) -> dict[str, float]:
    return (record.task.home_bounties, record.task.away_bounties)[side][0]


def _episode(record: MatchRecord) -> dict[str, Any]:
    states = record.states
    effects = sum((states[name] > 0).astype(int) << bit for bit, name in enumerate(_EFFECTS))
    flying = np.argwhere(record.shot_targets >= 0)
    paid = np.argwhere(np.abs(record.rewards) > _LEAST_PAID)
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
        "paid": [
            [int(step), int(side * AGENTS + agent), int(bounty), round(float(amount), 4)]
            for (step, side, agent, bounty), amount in zip(paid, record.rewards[tuple(paid.T)], strict=True)
        ],
        "returns": _numbers(record.returns, 3),
        "kills": _numbers(record.kills),
        "zMean": _numbers(record.z_mean, 3),
        "zStd": _numbers(record.z_std, 3),
    }


def _numbers(array: np.ndarray, decimals: int = 0) -> list[float] | list[int]:
    """An array as a flat list of short numbers."""
    if decimals == 0:
        return array.astype(int).ravel().tolist()
    rounded = np.round(array.astype(np.float64).ravel(), decimals)
    return [int(number) if number == int(number) else number for number in rounded.tolist()]
