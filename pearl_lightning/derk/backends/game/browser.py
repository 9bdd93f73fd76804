"""Headless browser for the game: flags, start and log."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Literal

from pearl_lightning.derk.backends.game.processes import die_with_parent

Renderer = Literal["llvmpipe", "swiftshader"]

RENDERERS = ("llvmpipe", "swiftshader")
_RENDERER_FLAGS: dict[str, tuple[str, ...]] = {
    "llvmpipe": ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist"),
    "swiftshader": ("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
}
_PAGE_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the sandbox needs rights that containers lack; the only page is a local file, without a network
    "--allow-file-access-from-files",
    "--disable-web-security",
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
PICTURE_WINDOW = (1000, 750)
"""Width and height of the window in pixels, if someone looks at it; gym-derk's own."""
SMALL_WINDOW = (200, 150)
"""Size if nobody looks. The window is drawn on the CPU; the match does not depend on its size."""
_LOG_NOISE = ("dbus/", "unexpected operator", "DevTools listening")  # in the log of every headless Chromium


def browser_flags(renderer: Renderer, profile: Path, window: tuple[int, int]) -> list[str]:
    """Command-line flags for an offline, headless browser that renders without a GPU."""
    size = f"--window-size={window[0]},{window[1]}"
    return [*_PAGE_FLAGS, size, *_RENDERER_FLAGS[renderer], *_QUIET_FLAGS, f"--user-data-dir={profile}"]


def start_browser(
    executable: str, renderer: Renderer, folder: Path, *, pictures: bool = False
) -> subprocess.Popen[bytes]:
    """Start a browser that is killed when this process dies.

    Args:
        executable: Path of the browser.
        renderer: Software renderer.
        folder: Folder for the profile, the log and the browser's temporary files.
        pictures: Whether someone looks at the window, which is large then.
    """
    scratch = folder / "tmp"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch)}
    if not pictures:
        environment.setdefault(
            "LP_NUM_THREADS", "1"
        )  # llvmpipe's threads take longer to start than a small window to draw
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    window = PICTURE_WINDOW if pictures else SMALL_WINDOW
    with (folder / "browser.log").open("wb") as log:
        return subprocess.Popen(
            [executable, *browser_flags(renderer, folder / "profile", window), "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=die_with_parent,
        )


async def devtools_address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait until the browser's DevTools listen; return their address.

    Raises:
        RuntimeError: The browser exited while starting.
    """
    announced = folder / "profile" / "DevToolsActivePort"
    while True:
        lines = announced.read_text(encoding="utf-8").splitlines() if announced.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.poll() is not None:
            raise RuntimeError(f"the browser exited while starting (exit status {process.returncode})")
        await asyncio.sleep(0.02)


def log_tail(folder: Path, name: str = "browser.log", lines: int = 6) -> str:
    """Last relevant lines of a log, for an error message; empty if there are none."""
    try:
        text = (folder / name).read_text(errors="replace", encoding="utf-8")
    except OSError:
        return ""
    telling = [line[:300] for line in text.splitlines() if line and not any(noise in line for noise in _LOG_NOISE)]
    return "\n".join(telling[-lines:])
