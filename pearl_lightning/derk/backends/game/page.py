"""The game's page: loads it offline and configures its episodes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pyppeteer.browser import Browser
from pyppeteer.launcher import connect
from pyppeteer.page import Page

from pearl_lightning.derk.backends.game.install import APT_INSTALL, GameUnavailable
from pearl_lightning.derk.backends.game.wire import Array

with contextlib.redirect_stderr(io.StringIO()):  # its dependency gym prints a notice that it is unmaintained
    from gym_derk.derk_app_instance import DerkAppInstance

SESSION_BOUNTIES = {"killEnemyStatue": 0.0, "killEnemyUnit": 0.0, "timeScaling": 1.0}
"""Override of the game's default bounties: weights that a creature does not have are 0, and time does not discount."""


class GamePage:
    """A browser page in which the game runs.

    Args:
        arenas: Number of matches in parallel.
        turbo: Render once per step instead of once per tick.
        substeps: Ticks per step.
        read_state: Send the game's state with every step.
    """

    def __init__(self, *, arenas: int, turbo: bool, substeps: int, read_state: bool = False) -> None:
        self.arenas, self.turbo, self.substeps, self.read_state = arenas, turbo, substeps, read_state
        self.crashed = asyncio.Event()
        self.app = DerkAppInstance()
        self.facts: dict[str, str] = {}
        """Version of the browser and name of the WebGL renderer, once loaded."""

    async def load(self, devtools: str) -> None:
        """Load the game in the browser at a DevTools address and wait until it is ready.

        Raises:
            GameUnavailable: The browser has no WebGL; the game would hang without it.
        """
        logging.getLogger("pyppeteer").setLevel(logging.CRITICAL)
        browser: Browser = await connect(browserWSEndpoint=devtools, ignoreHTTPSErrors=True, defaultViewport=None)
        while not (pages := await browser.pages()):
            await asyncio.sleep(0.02)
        page = pages[0]
        page.on("error", lambda _: self.crashed.set())
        renderer = await _webgl_renderer(page)
        if renderer is None:
            raise GameUnavailable(f"the browser has no WebGL; its GL libraries may be missing: {APT_INSTALL}")
        self.facts = {"renderer": renderer, "browser": await browser.version()}
        await _go_offline(page)
        self.app.browser = browser
        await self.app.start()

    async def open_session(self, server: str, home: list[dict[str, Any]], away: list[dict[str, Any]]) -> None:
        """Make the game open a new session with the server at this address."""
        await self.app.create_session(
            n_arenas=self.arenas,
            reward_function=dict(SESSION_BOUNTIES),
            turbo_mode=self.turbo,
            home_team=home,
            away_team=away,
            substeps=self.substeps,
            interleaved=False,
            agent_hosts=[{"uri": server, "regions": [{"sides": "both"}]}],
            read_game_state=self.read_state,
        )
        await self.app.connect_to_agent_hosts()

    async def change_teams(self, home: list[dict[str, Any]], away: list[dict[str, Any]]) -> None:
        """Replace the creatures of the running session, effective at its next reset."""
        await self.app.update_home_team_config(home)
        await self.app.update_away_team_config(away)
        await self.app.update_reward_function(dict(SESSION_BOUNTIES))

    async def reset(self, seed: int) -> None:
        """Start an episode; the seed fixes its spawns."""
        await self.app.page.evaluate("(seed) => { window.derk.session.config.randomSeed = seed; }", str(seed))
        await self.app.episode_reset()

    async def step(self) -> None:
        """Play one step with the actions from the session's server."""
        await self.app.episode_step()

    async def picture(self) -> Array:
        """Screenshot of the page, as the bytes of a JPEG file."""
        jpeg = await self.app.page.screenshot({"type": "jpeg", "quality": 85})
        return np.frombuffer(jpeg, np.uint8).astype(np.float32)  # the pipe transfers float32 arrays only


async def _webgl_renderer(page: Page) -> str | None:
    name: str | None = await page.evaluate(
        """() => {
            const gl = document.createElement('canvas').getContext('webgl2');
            if (!gl) return null;
            const names = gl.getExtension('WEBGL_debug_renderer_info');
            return gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
        }"""
    )
    return name


async def _go_offline(page: Page) -> None:
    """Answer requests for style sheets with an empty one and fail all other web requests.

    The game waits for a web font's style sheet without a time-out. pyppeteer's request interception uses a call that
    modern browsers have dropped, so this function uses the DevTools ``Fetch`` domain.
    """
    client = page._client

    async def answer(event: dict[str, Any]) -> None:
        request = {"requestId": event["requestId"]}
        if (
            event["resourceType"] == "Stylesheet"
            or urlsplit(event["request"]["url"]).hostname == "fonts.googleapis.com"
        ):
            headers = [
                {"name": "Content-Type", "value": "text/css"},
                {"name": "Access-Control-Allow-Origin", "value": "*"},
            ]
            await client.send("Fetch.fulfillRequest", {**request, "responseCode": 200, "responseHeaders": headers})
        else:
            await client.send("Fetch.failRequest", {**request, "errorReason": "BlockedByClient"})

    client.on("Fetch.requestPaused", lambda event: asyncio.ensure_future(answer(event)))
    await client.send("Fetch.enable", {"patterns": [{"urlPattern": "http*"}]})
