"""Pictures of a match from above."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pearl_lightning import films
from pearl_lightning.derk.interface import TICKS_PER_STEP
from pearl_lightning.derk.watching.record import MEMBERS_PER_SIDE, MatchRecord
from pearl_lightning.derk.watching.scenery import EXTENT, scenery

FRAMES_PER_SECOND = Fraction(60, TICKS_PER_STEP)
"""Frame rate at the game's speed, with one frame per step."""
_OWN, _OTHER, _INK, _TEXT = (78, 168, 255), (255, 157, 77), (12, 14, 17), (230, 232, 236)
_SHOT, _HURT, _HEALED = (255, 243, 176), (255, 138, 138), (141, 240, 170)
_DRAWN = (_OWN, _OTHER, _INK, _TEXT, _SHOT, _HURT, _HEALED)
_RADIUS = 0.5  # metres
_HEADER = 26  # pixels above the arena
_FLOATS = 6  # frames for which a change of hitpoints is shown
_LEAST_CHANGE = 1.0  # hitpoints; changes by regeneration are smaller


def match_frames(records: Sequence[MatchRecord], pixels: int = 480, every: int = 1) -> Iterator[Image.Image]:
    """Draw every n-th frame of the episodes, one episode after another.

    Args:
        records: One record per episode.
        pixels: Width of a picture, at least 64.
        every: Number of frames from one picture to the next, at least 1.
    """
    for name, value, least in (("pixels", pixels, 64), ("every", every, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    for number, record in enumerate(records):
        sums = record.rewards.sum(axis=(2, 3)).cumsum(axis=0)  # [step, side]
        for frame in range(0, len(record.states["hitpoints"]), every):
            scores = sums[frame - 1] if frame else np.zeros(2)
            yield _picture(record, frame, pixels, f"episode {number}", scores)


def gif_bytes(frames: Iterator[Image.Image], frames_per_second: float) -> bytes:
    """Encode pictures of matches as GIF, with a palette that contains all drawn colours."""
    drawn = [*_DRAWN, *(_faint(colour) for colour in (_OWN, _OTHER))]
    return films.gif_bytes(frames, frames_per_second, drawn)


def _picture(record: MatchRecord, frame: int, pixels: int, caption: str, scores: np.ndarray) -> Image.Image:
    picture = Image.new("RGB", (pixels, pixels + _HEADER), _INK)
    picture.paste(_scenery(pixels), (0, _HEADER))
    pen, states = ImageDraw.Draw(picture), record.states
    west, east, south, north = EXTENT
    scale = pixels / (east - west)

    def at(position: np.ndarray) -> tuple[float, float]:
        return (position[0] - west) * scale, (north - position[1]) * scale + _HEADER

    radius = max(_RADIUS * scale, 4)
    places = [at(position) for position in states["position"][frame]]
    hitpoints, focus = states["hitpoints"][frame], states["focus"][frame]
    for member, target in enumerate(focus.tolist()):
        if member % MEMBERS_PER_SIDE and target >= 0 and hitpoints[member] > 0:
            pen.line([places[member], places[target]], fill=_faint(_colour(record, member)))
    for member, (x, y) in enumerate(places):
        _draw_member(pen, record, frame, member, x, y, radius)
    for shot in np.flatnonzero(record.shot_targets[frame] >= 0):
        x, y = at(states["shot_position"][frame, shot])
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_SHOT)
    for past in range(max(1, frame - _FLOATS), frame + 1):
        changes = states["hitpoints"][past] - states["hitpoints"][past - 1]
        for member in np.flatnonzero(np.abs(changes) >= _LEAST_CHANGE).tolist():
            x, y = places[member]
            colour = _HEALED if changes[member] > 0 else _HURT
            pen.text((x + 1.4 * radius, y - radius - 3 * (frame - past)), f"{changes[member]:+.0f}", colour, _font())
    own, other = scores[record.own_side], scores[1 - record.own_side]
    pen.text((8, 6), caption, _TEXT, _font())
    pen.text((pixels / 2 - 50, 6), f"{own:7.2f}", _OWN, _font())
    pen.text((pixels / 2 + 10, 6), f"{other:7.2f}", _OTHER, _font())
    pen.text((pixels - 60, 6), f"{float(frame / FRAMES_PER_SECOND):5.1f} s", _TEXT, _font())
    return picture


def _draw_member(
    pen: ImageDraw.ImageDraw, record: MatchRecord, frame: int, member: int, x: float, y: float, radius: float
) -> None:
    states, colour = record.states, _colour(record, member)
    hitpoints = float(states["hitpoints"][frame, member])
    if hitpoints <= 0:
        for sign in (-1, 1):
            pen.line([x - radius, y - sign * radius, x + radius, y + sign * radius], fill=_faint(colour), width=2)
        return
    if member % MEMBERS_PER_SIDE == 0:
        half = 1.3 * radius
        pen.polygon([(x, y - half), (x + half, y), (x, y + half), (x - half, y)], fill=colour, outline=_INK)
    else:
        heading = float(states["heading"][frame, member])
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour, outline=_INK)
        nose = x + 1.8 * radius * np.cos(heading), y - 1.8 * radius * np.sin(heading)
        pen.line([(x, y), nose], fill=colour, width=3)
        if states["cast_state"][frame, member] in (1, 2):
            ring = 1.6 * radius
            pen.ellipse([x - ring, y - ring, x + ring, y + ring], outline=_TEXT)
    wide, top = 2.6 * radius, y - 2.0 * radius
    pen.rectangle([x - wide / 2 - 1, top - 1, x + wide / 2 + 1, top + 3], fill=_INK)
    pen.rectangle([x - wide / 2, top, x - wide / 2 + wide * min(hitpoints / 100, 1), top + 2], fill=_HEALED)


def _colour(record: MatchRecord, member: int) -> tuple[int, int, int]:
    return _OWN if member // MEMBERS_PER_SIDE == record.own_side else _OTHER


def _faint(colour: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(channel // 2 + 30 for channel in colour)


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(13)


@cache
def _scenery(pixels: int) -> Image.Image:
    return scenery(pixels)
