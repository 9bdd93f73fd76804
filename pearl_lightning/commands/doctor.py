"""``pearl doctor``: what the real game needs, and what of it this machine lacks."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pearl_lightning.cli import PlainParser
from pearl_lightning.envs.derk.game.install import (
    APT_INSTALL,
    GYM_DERK_VERSION,
    PIP_INSTALL,
    find_browser,
    gym_derk_version,
)

GAME_TIMEOUT = 60.0
"""Seconds given to each of three things: the game's start, its first reset, its first step."""

_GL_LIBRARIES = ("libEGL.so.1", "libGLESv2.so.2")
_DRIVER_FOLDERS = ("/usr/lib/*/dri", "/usr/lib64/dri", "/usr/lib/dri", "/usr/local/lib/*/dri")
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


class Missing(Exception):
    """Something that the game needs is not there.

    Args:
        what: What is wrong.
        remedy: Command that installs it; empty if there is none to give.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True)
class Finding:
    """Outcome of one check.

    Args:
        name: What was looked for.
        is_ok: Whether it is there.
        note: Where or in which version it is, or what is wrong with it; may have further lines.
        remedy: Command that installs it.
        facts: What else is worth telling, by name.
    """

    name: str
    is_ok: bool
    note: str
    remedy: str = ""
    facts: dict[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        first, *rest = self.note.splitlines() or [""]
        line = f"{'ok' if self.is_ok else 'missing':8} {self.name:13} {first}"
        install = [f"{'':22} install: {self.remedy}"] if self.remedy else []
        return "\n".join([line, *install, *(f"{'':22} {other}" for other in rest)])


def main(arguments: list[str]) -> int:
    """Check, print a line per check, and return 0 if the real game can be played here, 1 otherwise.

    Args:
        arguments: The command line behind ``pearl doctor``.
    """
    PlainParser(
        prog="pearl doctor",
        description="Tell what the real game (gym-derk in a headless browser) still needs on this machine, with the "
        "commands that install it, and play one step of it. Exit status 0 if the game can be played, 1 otherwise. "
        f"Takes some 10 s, and at most {3 * GAME_TIMEOUT / 60:.0f} minutes when something hangs.",
    ).parse_args(arguments)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        findings.append(_find(name, check))
        print(findings[-1], flush=True)
    needed = {finding.name: finding.is_ok for finding in findings}
    if not all(needed[name] for name in NEEDED_TO_START):
        game = Finding("game", False, "not started, see above")
    else:
        print(f"{'...':8} {'game':13} starting, within {GAME_TIMEOUT:.0f} s", flush=True)
        game = _play_a_step()
    print(game)
    print()
    for name, fact in {**_versions(), **game.facts}.items():
        print(f"{name}: {fact}")
    print(f"\nThis machine can{'' if game.is_ok else 'not'} play the real game.")
    return 0 if game.is_ok else 1


def _find(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except Missing as missing:
        return Finding(name, False, str(missing), missing.remedy)
    except Exception as error:  # a doctor does not faint
        return Finding(name, False, f"{type(error).__name__}: {error}")


def check_browser() -> str:
    """Path of the browser."""
    try:
        return find_browser()
    except RuntimeError as error:
        raise Missing(str(error).removesuffix(f": {APT_INSTALL}"), APT_INSTALL) from error


def check_gl_libraries() -> str:
    """The libraries through which a browser draws without a GPU."""
    absent = [library for library in _GL_LIBRARIES if not _loads(library)]
    folders = [folder for folder in os.environ.get("LIBGL_DRIVERS_PATH", "").split(":") if folder] or _DRIVER_FOLDERS
    if not any(any(Path("/").glob(f"{folder.lstrip('/')}/*_dri.so")) for folder in folders):
        absent.append("a Mesa driver (dri/*_dri.so)")
    if absent:
        raise Missing(", ".join(absent), APT_INSTALL)
    return ", ".join((*_GL_LIBRARIES, "Mesa driver"))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_fonts() -> str:
    """A folder with a font, without which text in pictures of a match is missing."""
    for folder in map(os.path.expanduser, _FONT_FOLDERS):
        for _, _, files in os.walk(folder):
            if any(file.endswith((".ttf", ".otf", ".pfb", ".ttc")) for file in files):
                return folder
    raise Missing(f"none in {', '.join(_FONT_FOLDERS)}", APT_INSTALL)


def check_gym_derk() -> str:
    """Version of gym-derk, which must be the one that everything was measured with."""
    try:
        version = gym_derk_version()
    except RuntimeError as error:
        raise Missing(str(error).removesuffix(f": {PIP_INSTALL}"), PIP_INSTALL) from error
    if version != GYM_DERK_VERSION:
        raise Missing(f"version must be {GYM_DERK_VERSION}, got {version}", PIP_INSTALL)
    return version


def check_psutil() -> str:
    """Version of psutil, which finds the game's processes."""
    try:
        return importlib.metadata.version("psutil")
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing("psutil is not installed", PIP_INSTALL) from error


CHECKS: dict[str, Callable[[], str]] = {
    "browser": check_browser,
    "GL libraries": check_gl_libraries,
    "fonts": check_fonts,
    "gym-derk": check_gym_derk,
    "psutil": check_psutil,
}
"""What is looked for before the game is started."""
NEEDED_TO_START = ("browser", "gym-derk", "psutil")
"""Checks without which a start is not tried; libraries may also lie where nobody looks, so there the game decides."""


def _play_a_step() -> Finding:
    start = time.monotonic()
    try:
        import torch

        from pearl_lightning.envs.derk.game import GameBackend
        from pearl_lightning.envs.derk.interface import ACTION_SPACE, AGENTS, SIDES
        from pearl_lightning.envs.derk.tasks import LoadoutTasks

        backend = GameBackend(arenas=1, start_timeout=GAME_TIMEOUT)
        try:
            backend.reset([LoadoutTasks(train_tasks=1, test_tasks=0)[0]], seed=0)
            backend.step(torch.zeros(SIDES, 1, AGENTS, ACTION_SPACE.width))
            facts = backend.report()
        finally:
            backend.close()
    except Exception as error:
        return Finding("game", False, str(error) or type(error).__name__)
    told = {"browser": facts["browser"], "WebGL renderer": facts["renderer"]}
    return Finding("game", True, f"played a step, {time.monotonic() - start:.0f} s after the start", facts=told)


def _versions() -> dict[str, str | int]:
    versions: dict[str, str | int] = {"Python": platform.python_version()}
    for package in ("pearl-lightning", "gym-derk", "torch", "torchrl"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
