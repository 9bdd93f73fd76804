"""WebSocket server that the game's page connects to."""

from __future__ import annotations

import asyncio

from websockets.legacy.server import WebSocketServer, WebSocketServerProtocol, serve

from pearl_lightning.derk.backends.game.protocol import (
    AGENTS,
    FEATURES,
    STATISTICS,
    decode_observation,
    decode_result,
    decode_reward,
    decode_statistics,
    decode_teams,
)
from pearl_lightning.derk.backends.game.state import parse_state
from pearl_lightning.derk.backends.game.wire import Array

_SIDES = 2


class SessionServer:
    """Listens on a free local port for sessions of the page and uses the latest one.

    Unlike gym-derk's server it does not compress messages, because both ends run on the same machine.

    Args:
        arenas: Number of matches in parallel.
    """

    def __init__(self, *, arenas: int) -> None:
        self.arenas = arenas
        self.address = ""
        self._server: WebSocketServer | None = None
        self._session: asyncio.Future[WebSocketServerProtocol] | None = None

    async def start(self) -> None:
        """Listen on a port that the system selects."""
        self._server = await serve(
            self._accept, "127.0.0.1", 0, max_size=None, max_queue=None, compression=None, ping_interval=None
        )
        self.address = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def expect_session(self) -> None:
        """Close the running session, if any, and use the next one that connects."""
        previous, self._session = self._session, asyncio.get_running_loop().create_future()
        if previous is not None and previous.done():
            await previous.result().close()

    async def observation(self) -> Array:
        """Receive the observation ``[side, arena, agent, 64]`` that the game sends at a reset."""
        session = await self._connected()
        return self._by_side(decode_observation(await session.recv(), _SIDES * self.arenas), AGENTS, FEATURES)

    async def play(self, action: Array) -> tuple[Array, Array, bool, Array | None, Array | None]:
        """Send actions ``[side, arena, agent, 5]``; return the result of the step.

        Returns:
            Observation; reward ``[side, arena, agent]``; done; statistics ``[side, arena, 5]`` at the end of an
            episode, else None; state ``[arena, member, field]`` if the game sends it, else None.
        """
        session, teams = await self._connected(), _SIDES * self.arenas
        await session.send(action.tobytes())
        observation = self._by_side(decode_observation(await session.recv(), teams), AGENTS, FEATURES)
        reward = self._by_side(decode_reward(await session.recv(), teams), AGENTS)
        done, info = decode_result(await session.recv())
        statistics = self._by_side(decode_statistics(await session.recv(), teams), STATISTICS) if done else None
        told = info.get("gameState")
        return observation, reward, done, statistics, None if told is None else parse_state(told, self.arenas)

    async def _accept(self, websocket: WebSocketServerProtocol) -> None:
        teams = decode_teams(await websocket.recv())
        if teams != _SIDES * self.arenas:
            raise ValueError(f"the game must offer {_SIDES * self.arenas} teams, got {teams}")
        if self._session is not None and not self._session.done():
            self._session.set_result(websocket)
            await websocket.wait_closed()

    async def _connected(self) -> WebSocketServerProtocol:
        assert self._session is not None
        return await self._session

    def _by_side(self, rows: Array, *shape: int) -> Array:
        """Reshape rows of teams, home first, to ``[side, arena, *shape]``."""
        return rows.reshape(_SIDES, self.arenas, *shape)
