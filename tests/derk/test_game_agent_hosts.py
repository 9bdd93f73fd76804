"""The running game with two agent servers: ``pearl serve`` on one side, a random agent of gym-derk's on the other."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from agent_servers import DerkSession, gym_derk_server, random_agent

from pearl_lightning.envs.derk.game.browser import devtools_address, start_browser
from pearl_lightning.envs.derk.game.install import find_browser
from pearl_lightning.envs.derk.game.page import GamePage
from pearl_lightning.envs.derk.interface import EPISODE_STEPS

pytestmark = pytest.mark.game

ROOT = Path(__file__).parents[2]
ARENAS, EPISODES = 2, 2


async def play(home: str, away: str, folder: Path) -> tuple[list[int], np.ndarray]:
    """Play episodes as gym-derk does; the steps of each, and the last statistics ``[side, arena, 5]``."""
    page = GamePage(arenas=ARENAS, turbo=True, substeps=8)
    browser = start_browser(find_browser(), "llvmpipe", folder)
    try:
        await asyncio.wait_for(page.load(await devtools_address(browser, folder)), 120)
        await page.app.create_session(
            n_arenas=ARENAS,
            turbo_mode=True,
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


def test_a_game_of_two_agent_servers_is_played_through(tmp_path: Path) -> None:
    sessions: list[DerkSession] = []

    async def watched(session: DerkSession) -> None:
        sessions.append(session)
        await random_agent(session)

    command = [sys.executable, "-m", "pearl_lightning", "serve", "--port", "0", "--sampled"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    folder = Path(tempfile.mkdtemp(prefix="derk-", dir="/tmp"))  # a browser's sockets need a short path
    with (
        gym_derk_server(watched) as away,
        subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server,
    ):
        try:
            assert server.stdout is not None
            home = server.stdout.readline().split()[3]
            steps, statistics = asyncio.run(play(home, away, folder))
            server.send_signal(signal.SIGINT)
            output, errors = server.communicate(timeout=60)
        finally:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)
    assert steps == [EPISODE_STEPS] * EPISODES
    (session,) = sessions
    assert session.n_teams == ARENAS
    lines = output.splitlines()
    assert lines[0] == f"session 1: {ARENAS} teams"
    for episode in range(EPISODES):
        assert re.fullmatch(rf"session 1: episode {episode}: return \S+, \d of {ARENAS} won", lines[1 + episode])
    assert lines[3] == f"session 1: the game left after {EPISODES} episodes"
    assert errors == "pearl: interrupted\n"
    own, other = statistics[0, :, 0], statistics[0, :, 1]
    assert lines[2].endswith(f"return {own.mean():.2f}, {(own > other).sum()} of {ARENAS} won")
    np.testing.assert_allclose(session.team_stats[:, :2], statistics[1, :, :2])  # the same match, from the other side
