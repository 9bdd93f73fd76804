"""The game's process: starts the browser, plays the requested steps and removes all its traces.

``GameBackend`` starts it as the leader of a new session. It exits when the other end of its pipe is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import psutil

from pearl_lightning.derk.backends.game.browser import devtools_address, start_browser
from pearl_lightning.derk.backends.game.install import GameUnavailable
from pearl_lightning.derk.backends.game.page import GamePage
from pearl_lightning.derk.backends.game.processes import browser_processes, is_running, is_stopped, kill_session
from pearl_lightning.derk.backends.game.session import SessionServer
from pearl_lightning.derk.backends.game.wire import Array, pack, unpack

Result = TypeVar("Result")

_LOOK_EVERY = 0.5  # seconds between checks of the browser's processes while waiting for an answer
_SETTLE = 0.5  # seconds to wait for the root cause: a killed browser disappears later than its child processes


class GameBroken(Exception):
    """Raised if the game cannot continue; the message contains the reason."""


class Game:
    """A browser in which the game runs.

    Args:
        settings: Settings from ``GameBackend``.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.folder = Path(settings["folder"])
        self.page = GamePage(**{name: settings[name] for name in ("arenas", "turbo", "substeps", "read_state")})
        self.server = SessionServer(arenas=settings["arenas"])
        self._browser: subprocess.Popen[bytes] | None = None
        self._gpu_processes: list[psutil.Process] = []
        self._has_session = False
        self._mid_episode = False

    async def start(self) -> dict[str, str]:
        """Start the browser and the game; return facts about them."""
        return await self._watched(self._start(), self.settings["start_timeout"])

    async def reset(self, seed: int, home: list[dict[str, Any]], away: list[dict[str, Any]], timeout: float) -> Array:
        """Start an episode within ``timeout`` seconds, in a new session if the last episode is unfinished."""
        return await self._watched(self._reset(seed, home, away), timeout)

    async def step(self, action: Array, timeout: float) -> tuple[Array, Array, bool, Array | None, Array | None]:
        """Play one step within ``timeout`` seconds; return the result of ``SessionServer.play``."""
        result, _ = await self._watched(_both(self.server.play(action), self.page.step()), timeout)
        self._mid_episode = not result[2]
        return result

    async def pictures(self, timeout: float) -> list[Array]:
        """Return a picture of the page within ``timeout`` seconds; empty unless pictures were requested."""
        return [await self._watched(self.page.picture(), timeout)] if self.settings["pictures"] else []

    async def _start(self) -> dict[str, str]:
        await self.server.start()
        browser, renderer = self.settings["browser"], self.settings["renderer"]
        self._browser = start_browser(browser, renderer, self.folder, pictures=self.settings["pictures"])
        await self.page.load(await devtools_address(self._browser, self.folder))
        self._gpu_processes = browser_processes(os.getsid(0), "gpu-process")
        return self.page.facts

    async def _reset(self, seed: int, home: list[dict[str, Any]], away: list[dict[str, Any]]) -> Array:
        if self._has_session and not self._mid_episode:
            await self.page.change_teams(home, away)
        else:
            self._has_session = True
            await self.server.expect_session()
            await self.page.open_session(self.server.address, home, away)
        self._mid_episode = True
        observation, _ = await _both(self.server.observation(), self.page.reset(seed))
        return observation

    async def _watched(self, play: Coroutine[Any, Any, Result], timeout: float) -> Result:
        """Wait for an answer of the game while checking its processes.

        Raises:
            GameBroken: The game broke or did not answer in time.
        """
        answer = asyncio.ensure_future(play)
        crash = asyncio.ensure_future(self.page.crashed.wait())
        deadline = time.monotonic() + timeout
        try:
            while True:
                await asyncio.wait({answer, crash}, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                if answer.done() and answer.exception() is None:
                    return answer.result()
                broken = self._what_broke()
                if broken is not None or answer.done():
                    await asyncio.sleep(_SETTLE)
                    broken = self._what_broke() or broken or _told(answer.exception())
                if broken is None and time.monotonic() > deadline:
                    broken = f"no answer within {timeout:g} s" + self._stopped_processes()
                if broken is not None:
                    raise GameBroken(broken)
        finally:
            for task in (answer, crash):
                task.cancel()
            with contextlib.suppress(BaseException):
                await asyncio.gather(answer, crash, return_exceptions=True)

    def _what_broke(self) -> str | None:
        if self._browser is not None and self._browser.poll() is not None:
            return f"the browser died ({_ending(self._browser.returncode)})"
        if self.page.crashed.is_set():
            return "the browser's renderer process died"
        if not all(is_running(process) for process in self._gpu_processes):
            return "the browser's GPU process died"
        return None

    def _stopped_processes(self) -> str:
        session, browser = os.getsid(0), self._browser
        suspects = {
            "the browser": [psutil.Process(browser.pid)] if browser is not None and browser.poll() is None else [],
            "its renderer process": browser_processes(session, "renderer"),
            "its GPU process": browser_processes(session, "gpu-process"),
        }
        stopped = [name for name, processes in suspects.items() if any(map(is_stopped, processes))]
        return f" ({' and '.join(stopped)} stopped)" if stopped else ""


async def _both(first: Coroutine[Any, Any, Result], second: Coroutine[Any, Any, Any]) -> tuple[Result, Any]:
    """Run two coroutines; if one fails, the other is cancelled."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _told(error: BaseException | None) -> str:
    return str(error) if isinstance(error, GameBroken | GameUnavailable) else f"{type(error).__name__}: {error}"


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


async def serve_backend(pipe: Connection, settings: dict[str, Any]) -> None:
    """Answer requests until the pipe is closed, the parent exits or the game breaks."""
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[bytes] = asyncio.Queue()
    main = asyncio.current_task()
    assert main is not None

    def take() -> None:
        try:
            requests.put_nowait(pipe.recv_bytes())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            main.cancel()

    async def watch_parent() -> None:
        while os.getppid() == settings["parent"]:
            await asyncio.sleep(1.0)
        main.cancel()

    loop.add_reader(pipe.fileno(), take)
    watch = asyncio.ensure_future(watch_parent())
    game = Game(settings)
    try:
        pipe.send_bytes(pack({"facts": await game.start()}))
        while True:
            header, arrays = unpack(await requests.get())
            if header["request"] == "reset":
                observation = await game.reset(header["seed"], header["home"], header["away"], header["timeout"])
                pipe.send_bytes(pack({}, observation))
            else:
                observation, reward, done, *extra = await game.step(arrays[0], header["timeout"])
                told = [array for array in extra if array is not None] + await game.pictures(header["timeout"])
                pipe.send_bytes(pack({"done": done}, observation, reward, *told))
    except Exception as error:
        pipe.send_bytes(pack({"broken": _told(error)}))
        await requests.get()  # no further request follows; the backend reads the logs, then closes the pipe
    finally:
        watch.cancel()


def main(pipe: int, settings: dict[str, Any]) -> None:
    """Run the game's process until it ends.

    Args:
        pipe: File descriptor of the connection to the backend.
        settings: Settings from the backend, and the folder of this game.
    """
    with contextlib.suppress(asyncio.CancelledError, BrokenPipeError, ConnectionResetError):
        asyncio.run(_until_done(pipe, settings))


async def _until_done(pipe: int, settings: dict[str, Any]) -> None:
    try:
        await serve_backend(Connection(pipe), settings)
    finally:
        kill_session(os.getsid(0), spare=os.getpid())
        shutil.rmtree(settings["folder"], ignore_errors=True)
        os._exit(0)  # tasks that still wait for the dead browser would never finish


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
