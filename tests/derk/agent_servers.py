"""Agent servers for tests, ours and gym-derk's own, each in a thread of its own; and a game to talk to them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import numpy as np
from websockets.legacy.client import WebSocketClientProtocol, connect

from pearl_lightning.derk.backends.game.agent_server import AgentServer, Player

with contextlib.redirect_stderr(io.StringIO()):  # gym, which it imports, prints a notice
    from gym_derk import DerkAgentServer, DerkSession

PATIENCE = 60.0


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def in_thread(serve: Callable[[Callable[[str], None]], Coroutine[Any, Any, None]]) -> Iterator[str]:
    """Run a server that tells its address; it is cancelled at the end."""
    address: list[str] = []
    is_ready = threading.Event()
    loop = asyncio.new_event_loop()

    def ready(found: str) -> None:
        address.append(found)
        is_ready.set()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        for other in asyncio.all_tasks(loop):  # agents that hang
            other.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    task = loop.create_task(serve(ready))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert is_ready.wait(PATIENCE)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextlib.contextmanager
def our_server(make_player: Callable[[int, int], Player], **settings: Any) -> Iterator[tuple[str, list[str]]]:
    """An ``AgentServer``; its address and what it told."""
    told: list[str] = []
    server = AgentServer(make_player, tell=told.append, **settings)
    with in_thread(server.serve) as address:
        yield address, told


@contextlib.contextmanager
def gym_derk_server(handle: Callable[[DerkSession], Awaitable[None]]) -> Iterator[str]:
    """gym-derk's own server with a coroutine that plays its sessions; its address."""

    async def quietly(session: DerkSession) -> None:
        with contextlib.suppress(Exception):  # gym-derk raises at the end of a session, by design
            await handle(session)

    async def serve(ready: Callable[[str], None]) -> None:
        server = DerkAgentServer(quietly, port=0)
        await server.start()
        ready(f"ws://127.0.0.1:{server.websocket_server.sockets[0].getsockname()[1]}")
        try:
            await asyncio.Future()
        finally:
            server.close()

    with in_thread(serve) as address:
        yield address


async def random_agent(session: DerkSession) -> None:
    """A random agent as gym-derk's documentation writes one."""
    while session.websocket.open:
        await session.reset()
        while not session.done:
            action_n = np.array([session.action_space.sample() for _ in range(session.n_agents)], dtype=object)
            await session.step(action_n)


class Game:
    """A game's side of a session, written from the protocol: number k of agent a is at ``[k // 4][a][k % 4]``.

    Args:
        websocket: Connected to an agent server.
        teams: That the server plays.
    """

    def __init__(self, websocket: WebSocketClientProtocol, teams: int) -> None:
        self.websocket, self.agents = websocket, 3 * teams

    @classmethod
    async def join(cls, address: str, teams: int) -> Game:
        websocket = await connect(address, max_size=None)
        await websocket.send(json.dumps({"nTeams": teams}))
        return cls(websocket, teams)

    async def observe(self, observation: np.ndarray) -> None:
        """Send observations ``[agent, 64]``."""
        layers = np.zeros((16, self.agents, 4), "<f4")
        for agent in range(self.agents):
            for key in range(64):
                layers[key // 4, agent, key % 4] = observation[agent, key]
        await self.websocket.send(layers.tobytes())

    async def action(self) -> np.ndarray:
        """Actions ``[agent, 5]`` that the server sends."""
        message = await asyncio.wait_for(self.websocket.recv(), PATIENCE)
        return np.frombuffer(message, "<f4").reshape(self.agents, 5)

    async def step(self, observation: np.ndarray, reward: np.ndarray, done: bool) -> None:
        """Send what a step gave; after the last one statistics of zeros, too."""
        await self.observe(observation)
        await self.websocket.send(reward.astype("<f4").tobytes())
        await self.websocket.send(json.dumps({"done": [done], "info": {}}))
        if done:
            await self.websocket.send(np.zeros((5, self.agents // 3), "<f4").tobytes())

    async def episode(self, observations: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Play observations ``[step + 1, agent, 64]`` and rewards ``[step, agent]``; the actions ``[step, agent, 5]``.

        What the server does after the last message is not waited for.
        """
        await self.observe(observations[0])
        actions = []
        for step, reward in enumerate(rewards):
            actions.append(await self.action())
            await self.step(observations[step + 1], reward, done=step == len(rewards) - 1)
        return np.stack(actions)
