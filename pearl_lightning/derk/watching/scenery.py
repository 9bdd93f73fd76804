"""Picture of the arena from above, shaded by height. It is read from the installed game and never stored."""

from __future__ import annotations

import numpy as np
from PIL import Image

EXTENT = (43.0, 85.0, 43.0, 85.0)
"""West, east, south and north edge of the drawn area, in metres."""
_LOW, _HIGH = np.array([38.0, 44.0, 52.0]), np.array([104.0, 112.0, 104.0])
"""Colours of the lowest and of the highest ground."""
_CLIFF = np.array([24.0, 26.0, 32.0])
_LIGHT = 0.35  # strength of the light from the north-west on slopes


def scenery(pixels: int) -> Image.Image:
    """Draw the ground within ``EXTENT`` as a square of ``pixels`` pixels per side; north is up.

    Raises:
        TerrainUnavailable: gym-derk is not installed.
    """
    # imports numba, which most runs that use this module do not need
    from pearl_lightning.derk.backends.simulator.terrain import FIRST_TEXEL, TEXELS_PER_METRE, game_terrain

    terrain = game_terrain()
    west, east, south, north = (round(edge * float(TEXELS_PER_METRE)) - FIRST_TEXEL for edge in EXTENT)
    height = terrain.height[south:north, west:east].astype(np.float64)
    steep = terrain.steep[south:north, west:east] > 0
    low, high = np.quantile(height[~steep], [0.02, 0.98])
    share = np.clip((height - low) / max(high - low, 1e-6), 0, 1)[..., None]
    colour = _LOW + share * (_HIGH - _LOW)
    to_north, to_east = np.gradient(height, 1 / float(TEXELS_PER_METRE))
    lit = np.clip(1 + _LIGHT * (to_east - to_north), 0.55, 1.45)[..., None]
    colour = np.where(steep[..., None], _CLIFF, colour) * lit
    image = Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)[::-1])
    return image.resize((pixels, pixels), Image.Resampling.LANCZOS)
