"""The running game with two agent servers: ``pearl serve`` on one side, a random agent of gym-derk's on the other."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_servers import DerkSession, gym_derk_server, random_agent

from pearl_lightning.derk.backends.game.browser import devtools_address, start_browser
from pearl_lightning.derk.backends.game.install import find_browser
from pearl_lightning.derk.backends.game.page import GamePage
from pearl_lightning.derk.interface import EPISODE_TICKS

pytestmark = pytest.mark.game

ARENAS, EPISODES = 2, 2
SUBSTEPS = 120  # ticks per step: the game plays an episode of few steps in half the time


async def play(home: str, away: str, folder: Path) -> tuple[list[int], np.ndarray]:
    """Play episodes as gym-derk does; the steps of each, and the last statistics ``[side, arena, 5]``."""
    page = GamePage(arenas=ARENAS, turbo=True, substeps=SUBSTEPS)
    browser = start_browser(find_browser(), "llvmpipe", folder)
    try:
        await asyncio.wait_for(page.load(await devtools_address(browser, folder)), 120)
        await page.app.create_session(
            n_arenas=ARENAS,
            turbo_mode=True,
            substeps=SUBSTEPS,
            interleaved=False,
            agent_hosts=[
                {"uri": home, "regions": [{"sides": "home"}]},
                {"uri": away, "regions": [{"sides": "away"}]},
            ],
        )
        await asyncio.wait_for(page.app.connect_to_agent_hosts(), 60)
        steps = []
        for _ in range(EPISODES):
            await asyncio.wait_for(page.app.episode_reset(), 120)
            steps.append(1)
            while not await asyncio.wait_for(page.app.episode_step(), 120):
                steps[-1] += 1
        statistics = await page.app.get_team_stats()
        await page.app.disconnect_all_remotes()
        return steps, statistics
    finally:
        browser.kill()
        browser.wait()


def test_a_game_of_two_agent_servers_is_played_through(start_pearl: Any) -> None:
    sessions: list[DerkSession] = []

    async def watched(session: DerkSession) -> None:
        sessions.append(session)
        await random_agent(session)

    folder = Path(tempfile.mkdtemp(prefix="derk-", dir="/tmp"))  # a browser's sockets need a short path
    with (
        gym_derk_server(watched) as away,
        start_pearl("serve", "--port", "0", "--sampled") as server,
    ):
        try:
            home = server.first_line().split()[3]
            steps, statistics = asyncio.run(play(home, away, folder))
            server.process.send_signal(signal.SIGINT)
            _, output, errors = server.finish(60)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    assert steps == [EPISODE_TICKS // SUBSTEPS] * EPISODES
    (session,) = sessions
    assert session.n_teams == ARENAS
    lines = output.splitlines()[1:]
    assert lines[0] == f"session 1: {ARENAS} teams"
    for episode in range(EPISODES):
        assert re.fullmatch(rf"session 1: episode {episode}: return \S+, \d of {ARENAS} won", lines[1 + episode])
    assert lines[3] == f"session 1: the game disconnected after {EPISODES} episodes"
    assert errors == "pearl: interrupted\n"
    own, other = statistics[0, :, 0], statistics[0, :, 1]
    assert lines[2].endswith(f"return {own.mean():.2f}, {(own > other).sum()} of {ARENAS} won")
    np.testing.assert_allclose(session.team_stats[:, :2], statistics[1, :, :2])  # the same match, from the other side
