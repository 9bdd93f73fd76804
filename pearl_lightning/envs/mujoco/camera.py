"""Pictures of a MuJoCo model, drawn without a screen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 480, 360
"""Size of a picture in pixels; within the frame buffer that every model has."""


class Camera:
    """Draws a model with its own first camera, which follows the body.

    Args:
        model: The model.

    Raises:
        RuntimeError: Neither EGL nor OSMesa is installed.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._context = _off_screen_context()
        self._context.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._renderer)
        self._view, self._option = mujoco.MjvCamera(), mujoco.MjvOption()
        if model.ncam:
            self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        else:
            mujoco.mjv_defaultFreeCamera(model, self._view)

    def picture(self, model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Draw a state, as RGB values ``[row, column, 3]``."""
        self._context.make_current()
        parts = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(model, data, self._option, None, self._view, parts, self._scene)
        frame = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)
        mujoco.mjr_render(frame, self._scene, self._renderer)
        pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, frame, self._renderer)
        return pixels[::-1]

    def close(self) -> None:
        """Free the memory of the graphics driver."""
        self._renderer.free()
        self._context.free()


def _off_screen_context() -> Any:
    """A GL context by EGL, else by OSMesa."""
    failures = []
    for name in ("egl", "osmesa"):
        try:
            return import_module(f"mujoco.{name}").GLContext(WIDTH, HEIGHT)
        except Exception as error:  # each library fails in its own way
            failures.append(f"{name}: {error}")
    raise RuntimeError(
        "pictures of MuJoCo need EGL or OSMesa: install one of them, for example with "
        "apt-get install libegl1 libgl1-mesa-dri "
        f"({'; '.join(failures)})"
    )
