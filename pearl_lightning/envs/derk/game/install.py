"""What the game needs on the machine, and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil

GYM_DERK_VERSION = "1.1.1"
PIP_INSTALL = f"pip install gym-derk=={GYM_DERK_VERSION} psutil"
APT_INSTALL = "apt-get update && apt-get install -y chromium libgl1-mesa-dri libegl1 libgles2 fonts-dejavu-core"

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class GameUnavailable(RuntimeError):
    """The game cannot be started on this machine; the message says what to install."""


def find_browser(path: str | None = None) -> str:
    """Path of the browser to use.

    Args:
        path: An explicit choice; then the environment's ``DERK_CHROME_EXECUTABLE``, then what is on ``PATH``.

    Raises:
        GameUnavailable: There is no such browser.
    """
    for name, wanted in (("browser", path), ("DERK_CHROME_EXECUTABLE", os.environ.get("DERK_CHROME_EXECUTABLE"))):
        if wanted:
            found = shutil.which(wanted)
            if found is None:
                raise GameUnavailable(f"{name} must be the path of an executable, got {wanted!r}")
            return found
    for command in _BROWSERS:
        found = shutil.which(command)
        if found is not None:
            return found
    raise GameUnavailable(f"no browser found ({', '.join(_BROWSERS)}): {APT_INSTALL}")


def gym_derk_version() -> str:
    """Version of the installed gym-derk.

    Raises:
        GameUnavailable: It is not installed.
    """
    try:
        return importlib.metadata.version("gym-derk")
    except importlib.metadata.PackageNotFoundError as error:
        raise GameUnavailable(f"gym-derk is not installed: {PIP_INSTALL}") from error
