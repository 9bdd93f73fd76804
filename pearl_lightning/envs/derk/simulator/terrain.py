"""Height and steepness of the ground, read from the installed game (section 1.2)."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pearl_lightning.envs.derk.simulator.rules import f32, rule

FIRST_TEXEL, TEXELS = 304, 416
"""The cut-out: the rows and columns that units can reach, and their senses."""
TEXELS_PER_METRE = f32(8)
GROUND_ZERO = 59.1
STEEP = 0.7
"""Normals whose z is below this block whoever walks uphill."""
FLAT_HEIGHT = 2.35

HEIGHT_IMAGE, NORMAL_IMAGE = "Image0000.e25d7315.exr", "Image0000.a88ec4c0.exr"


class TerrainUnavailable(RuntimeError):
    """The images cannot be read on this machine; the message says what to install."""


class Terrain(NamedTuple):
    """A grid of texels of 1/8 m; a compiled argument.

    Attributes:
        height: Metres ``[row, column]``, float32; row 0 is the lowest y.
        steep: Whether the texel blocks whoever walks uphill ``[row, column]``, uint8.
    """

    height: np.ndarray
    steep: np.ndarray


@rule
def _texel(coordinate):
    return min(max(int(coordinate * TEXELS_PER_METRE) - FIRST_TEXEL, 0), TEXELS - 1)


@rule
def ground(terrain, x, y):
    """Height of the ground at (x, y), piecewise constant."""
    return terrain.height[_texel(y), _texel(x)]


@rule
def is_steep(terrain, x, y):
    """Whether the ground blocks whoever walks uphill there."""
    return terrain.steep[_texel(y), _texel(x)] != 0


def flat_terrain() -> Terrain:
    """A plain at the height of the game's main plain, for tests."""
    shape = (TEXELS, TEXELS)
    return Terrain(np.full(shape, FLAT_HEIGHT, dtype=np.float32), np.zeros(shape, dtype=np.uint8))


@cache
def game_terrain() -> Terrain:
    """The game's arena, from the two images in the installed gym-derk package; none is stored in this project.

    Raises:
        TerrainUnavailable: gym-derk or the reader of its images is missing.
    """
    height = _read_channel(HEIGHT_IMAGE, 0) + f32(GROUND_ZERO)
    return Terrain(height, (_read_channel(NORMAL_IMAGE, 2) < f32(STEEP)).astype(np.uint8))


def _read_channel(name: str, channel: int) -> np.ndarray:
    """One colour of an image, cut out, lowest y first."""
    package = importlib.util.find_spec("gym_derk")
    if package is None or package.origin is None:
        raise TerrainUnavailable("the simulator reads its terrain from gym-derk: pip install gym-derk==1.1.1")
    path = Path(package.origin).parent / "app_build" / "static" / "media" / name
    if not path.is_file():
        raise TerrainUnavailable(f"{path} is missing: the simulator needs gym-derk 1.1.1: pip install gym-derk==1.1.1")
    try:
        import OpenEXR
    except ImportError as error:
        raise TerrainUnavailable("the terrain's images need a reader: pip install OpenEXR") from error
    with OpenEXR.File(str(path)) as image:
        (pixels,) = (channel.pixels for channel in image.channels().values())
    cut = slice(FIRST_TEXEL, FIRST_TEXEL + TEXELS)
    return np.ascontiguousarray(pixels[::-1, :, channel][cut, cut], dtype=np.float32)
