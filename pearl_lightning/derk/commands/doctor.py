"""``pearl doctor``: check whether this machine has everything that the real game needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pearl_lightning.cli import PlainParser
from pearl_lightning.derk.backends.game.install import (
    APT_INSTALL,
    GL_LIBRARIES,
    GYM_DERK_VERSION,
    PIP_INSTALL,
    find_browser,
    gym_derk_version,
    missing_gl_libraries,
)

GAME_TIMEOUT = 60.0
"""Time limit in seconds for each of the game's start, its first reset and its first step."""

_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


class Missing(Exception):
    """Raised if something that the game needs is missing.

    Args:
        what: Description of the problem.
        remedy: Command that installs the missing package; empty if there is none.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Args:
        name: Name of the check.
        is_ok: Whether the check has passed.
        note: Path or version that was found, or a description of the problem; may have several lines.
        remedy: Command that installs the missing package.
        facts: Further facts by name.
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
    """Run all checks, print one line per check, and return 0 if the real game can be played, else 1.

    Args:
        arguments: Command line after ``pearl doctor``.
    """
    PlainParser(
        prog="pearl doctor",
        description="Check whether the real game (gym-derk in a headless browser) can be played on this machine, print "
        "the commands that install missing packages, and play one step. The exit status is 0 if the game can be "
        f"played, else 1. This takes about 10 s, and at most {3 * GAME_TIMEOUT / 60:.0f} minutes if something hangs.",
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
    except Exception as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")


def check_browser() -> str:
    """Return the path of the browser."""
    try:
        return find_browser()
    except RuntimeError as error:
        raise Missing(str(error).removesuffix(f": {APT_INSTALL}"), APT_INSTALL) from error


def check_gl_libraries() -> str:
    """Return the names of the libraries that a browser needs to render without a GPU."""
    absent = missing_gl_libraries()
    if absent:
        raise Missing(", ".join(absent), APT_INSTALL)
    return ", ".join((*GL_LIBRARIES, "Mesa driver"))


def check_fonts() -> str:
    """Return a folder that contains a font. Without a font, text in pictures of a match is missing."""
    for folder in map(os.path.expanduser, _FONT_FOLDERS):
        for _, _, files in os.walk(folder):
            if any(file.endswith((".ttf", ".otf", ".pfb", ".ttc")) for file in files):
                return folder
    raise Missing(f"none in {', '.join(_FONT_FOLDERS)}", APT_INSTALL)


def check_gym_derk() -> str:
    """Return the version of gym-derk, which must be the version that this library was tested with."""
    try:
        version = gym_derk_version()
    except RuntimeError as error:
        raise Missing(str(error).removesuffix(f": {PIP_INSTALL}"), PIP_INSTALL) from error
    if version != GYM_DERK_VERSION:
        raise Missing(f"version must be {GYM_DERK_VERSION}, got {version}", PIP_INSTALL)
    return version


def check_psutil() -> str:
    """Return the version of psutil, which is used to find the game's processes."""
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
"""Checks before the game is started."""
NEEDED_TO_START = ("browser", "gym-derk", "psutil")
"""Checks that must pass before the game is started. GL libraries may be in other folders, so they are not required."""


def _play_a_step() -> Finding:
    start = time.monotonic()
    try:
        import torch

        from pearl_lightning.derk.backends.game import GameBackend
        from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, SIDES
        from pearl_lightning.derk.tasks import LoadoutTasks

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
