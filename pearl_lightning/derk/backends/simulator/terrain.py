"""Height and steepness of the ground, read from the installed game (section 1.2)."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pearl_lightning.derk.backends.simulator.rules import f32, rule

FIRST_TEXEL, TEXELS = 304, 416
"""Rows and columns of the images that units can reach or observe."""
TEXELS_PER_METRE = f32(8)
GROUND_ZERO = 59.1
STEEP = 0.7
"""Ground blocks units that walk uphill if the z component of its normal is below this value."""
FLAT_HEIGHT = 2.35

HEIGHT_IMAGE, NORMAL_IMAGE = "Image0000.e25d7315.exr", "Image0000.a88ec4c0.exr"


class TerrainUnavailable(RuntimeError):
    """Raised if the terrain images cannot be read; the message contains the package to install."""


class Terrain(NamedTuple):
    """A grid of texels of 1/8 m, as an argument of compiled functions.

    Attributes:
        height: Height in metres ``[row, column]``, float32; row 0 has the lowest y.
        steep: Whether the texel blocks units that walk uphill ``[row, column]``, uint8.
    """

    height: np.ndarray
    steep: np.ndarray


@rule
def _texel(coordinate):
    return min(max(int(coordinate * TEXELS_PER_METRE) - FIRST_TEXEL, 0), TEXELS - 1)


@rule
def ground(terrain, x, y):
    """Height of the ground at (x, y); it is piecewise constant."""
    return terrain.height[_texel(y), _texel(x)]


@rule
def is_steep(terrain, x, y):
    """Whether the ground at (x, y) blocks units that walk uphill."""
    return terrain.steep[_texel(y), _texel(x)] != 0


def flat_terrain() -> Terrain:
    """Flat terrain at the height of the game's main plain, for tests."""
    shape = (TEXELS, TEXELS)
    return Terrain(np.full(shape, FLAT_HEIGHT, dtype=np.float32), np.zeros(shape, dtype=np.uint8))


@cache
def game_terrain() -> Terrain:
    """Terrain of the game, read from two images in the installed gym-derk package. This project does not store them.

    Raises:
        TerrainUnavailable: gym-derk or the reader of its images is not installed.
    """
    height = _read_channel(HEIGHT_IMAGE, 0) + f32(GROUND_ZERO)
    return Terrain(height, (_read_channel(NORMAL_IMAGE, 2) < f32(STEEP)).astype(np.uint8))


def _read_channel(name: str, channel: int) -> np.ndarray:
    """Read one channel of an image, cropped, with the lowest y first."""
    package = importlib.util.find_spec("gym_derk")
    if package is None or package.origin is None:
        raise TerrainUnavailable("the simulator reads its terrain from gym-derk: pip install gym-derk==1.1.1")
    path = Path(package.origin).parent / "app_build" / "static" / "media" / name
    if not path.is_file():
        raise TerrainUnavailable(f"{path} is missing; the simulator needs gym-derk 1.1.1: pip install gym-derk==1.1.1")
    try:
        import OpenEXR
    except ImportError as error:
        raise TerrainUnavailable("the simulator needs OpenEXR to read its terrain: pip install OpenEXR") from error
    with OpenEXR.File(str(path)) as image:
        (pixels,) = (channel.pixels for channel in image.channels().values())
    cut = slice(FIRST_TEXEL, FIRST_TEXEL + TEXELS)
    return np.ascontiguousarray(pixels[::-1, :, channel][cut, cut], dtype=np.float32)
