"""Headless browser for the game: its flags, its start, and what it last said."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Literal

from pearl_lightning.envs.derk.game.processes import die_with_parent

Renderer = Literal["llvmpipe", "swiftshader"]

RENDERERS = ("llvmpipe", "swiftshader")
_RENDERER_FLAGS: dict[str, tuple[str, ...]] = {
    "llvmpipe": ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"),
    "swiftshader": ("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
}
_PAGE_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it needs rights that containers lack; the only page is a local file, and the network is off
    "--allow-file-access-from-files",
    "--disable-web-security",
    "--window-size=1000,750",
    "--remote-debugging-port=0",
)
_QUIET_FLAGS = (
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-domain-reliability",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--password-store=basic",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-hang-monitor",
)
_LOG_NOISE = ("dbus/", "unexpected operator", "DevTools listening")  # in the log of every headless Chromium


def browser_flags(renderer: Renderer, profile: Path) -> list[str]:
    """Command-line flags for an offline, headless browser that draws without a GPU."""
    return [*_PAGE_FLAGS, *_RENDERER_FLAGS[renderer], *_QUIET_FLAGS, f"--user-data-dir={profile}"]


def start_browser(executable: str, renderer: Renderer, folder: Path) -> subprocess.Popen[bytes]:
    """Start a browser that dies with this process.

    Args:
        executable: Path of the browser.
        renderer: What draws.
        folder: Gets the profile, the log and the browser's temporary files.
    """
    scratch = folder / "tmp"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch)}
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    with (folder / "browser.log").open("wb") as log:
        return subprocess.Popen(
            [executable, *browser_flags(renderer, folder / "profile"), "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=die_with_parent,
        )


async def devtools_address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Address of the browser's DevTools, once it listens.

    Raises:
        RuntimeError: The browser ended instead.
    """
    announced = folder / "profile" / "DevToolsActivePort"
    while True:
        lines = announced.read_text().splitlines() if announced.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.poll() is not None:
            raise RuntimeError(f"the browser ended while starting (exit status {process.returncode})")
        await asyncio.sleep(0.02)


def log_tail(folder: Path, name: str = "browser.log", lines: int = 6) -> str:
    """The last telling lines of a log, for an error message; empty when there are none."""
    try:
        text = (folder / name).read_text(errors="replace")
    except OSError:
        return ""
    telling = [line[:300] for line in text.splitlines() if line and not any(noise in line for noise in _LOG_NOISE)]
    return "\n".join(telling[-lines:])
