"""System packages that the game needs: a check for missing ones, and their installation.

``make game-deps`` runs this file as a script before other packages are installed, so it uses only the standard library.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

GYM_DERK_VERSION = "1.1.1"
PIP_INSTALL = f"pip install gym-derk=={GYM_DERK_VERSION} psutil"
APT_PACKAGES = ("chromium", "libgl1-mesa-dri", "libegl1", "libgles2", "fonts-dejavu-core")
"""Debian packages of the browser, its GL libraries and a font. No other file may list them."""
APT_INSTALL = f"apt-get update && apt-get install -y {' '.join(APT_PACKAGES)}"
GL_LIBRARIES = ("libEGL.so.1", "libGLESv2.so.2")

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_DRIVER_FOLDERS = ("/usr/lib/*/dri", "/usr/lib64/dri", "/usr/lib/dri", "/usr/local/lib/*/dri")
_APT_OPTIONS = ("-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=120")


class GameUnavailable(RuntimeError):
    """Raised if the game cannot be started on this machine; the message contains the packages to install."""


def find_browser(path: str | None = None) -> str:
    """Return the path of the browser to use.

    Args:
        path: Path of a browser. Defaults to the environment variable ``DERK_CHROME_EXECUTABLE``, then to a browser on
            ``PATH``.

    Raises:
        GameUnavailable: No browser was found.
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
        GameUnavailable: gym-derk is not installed.
    """
    try:
        return importlib.metadata.version("gym-derk")
    except importlib.metadata.PackageNotFoundError as error:
        raise GameUnavailable(f"gym-derk is not installed: {PIP_INSTALL}") from error


def missing_browser() -> str:
    """Return an error message if no browser starts on this machine, else an empty string."""
    try:
        path = find_browser()
    except GameUnavailable as error:
        return str(error).removesuffix(f": {APT_INSTALL}")
    try:  # Ubuntu's chromium-browser is a script that only refers to a snap
        status = subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the browser {path} does not start: {error}"
    return f"the browser {path} does not start: exit status {status}" if status else ""


def missing_gl_libraries() -> list[str]:
    """Names of missing libraries that a browser needs to render without a GPU."""
    absent = [library for library in GL_LIBRARIES if not _loads(library)]
    folders = [folder for folder in os.environ.get("LIBGL_DRIVERS_PATH", "").split(":") if folder] or _DRIVER_FOLDERS
    if not any(any(Path("/").glob(f"{folder.lstrip('/')}/*_dri.so")) for folder in folders):
        absent.append("a Mesa driver (dri/*_dri.so)")
    return absent


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing() -> str:
    """Return an error message if the browser or its GL libraries are missing, else an empty string."""
    libraries = missing_gl_libraries()
    return missing_browser() or (f"GL libraries are missing: {', '.join(libraries)}" if libraries else "")


def main() -> int:
    """Install missing packages with apt-get; return the exit status.

    The status is 0 even if apt-get fails, is missing or needs rights that the user lacks, because the tests skip what
    needs the packages. With ``REQUIRE_GAME=1`` the status is 1 in these cases.
    """
    lacked = missing()
    if not lacked:
        return 0
    failed = 1 if os.environ.get("REQUIRE_GAME") == "1" else 0
    apt = _apt_command()
    if not apt:
        print(f"game-deps: {lacked}; not installed: no apt-get, or no root and no passwordless sudo", file=sys.stderr)
        return failed
    print(f"game-deps: {lacked}; installing {' '.join(APT_PACKAGES)}", flush=True)
    for command in (["update"], ["install", "-y", *APT_PACKAGES]):
        if subprocess.run([*apt, *_APT_OPTIONS, *command], stdout=subprocess.DEVNULL).returncode:
            print(f"game-deps: apt-get {command[0]} failed", file=sys.stderr)
            return failed
    if still := missing():
        print(f"game-deps: after the installation: {still}", file=sys.stderr)
        return failed
    return 0


def _apt_command() -> list[str]:
    """Command that runs apt-get as root without a prompt; empty if there is none."""
    apt = shutil.which("apt-get")
    if apt is None:
        return []
    start = ["env", "DEBIAN_FRONTEND=noninteractive", apt]
    if os.geteuid() == 0:
        return start
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True).returncode:
        return []
    return [sudo, "-n", *start]


if __name__ == "__main__":
    sys.exit(main())
