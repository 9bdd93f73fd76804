"""The game's end of the wire: a WebSocket server that the page connects to."""

from __future__ import annotations

import asyncio

from websockets.legacy.server import WebSocketServer, WebSocketServerProtocol, serve

from pearl_lightning.envs.derk.game.protocol import (
    AGENTS,
    FEATURES,
    STATISTICS,
    decode_observation,
    decode_result,
    decode_reward,
    decode_statistics,
    decode_teams,
)
from pearl_lightning.envs.derk.game.state import parse_state
from pearl_lightning.envs.derk.game.wire import Array

_SIDES = 2


class SessionServer:
    """Listens on a free local port for the page's sessions; the latest one counts.

    Nothing is compressed, unlike with gym-derk's own server: the two ends share a machine.

    Args:
        arenas: Matches side by side.
    """

    def __init__(self, *, arenas: int) -> None:
        self.arenas = arenas
        self.address = ""
        self._server: WebSocketServer | None = None
        self._session: asyncio.Future[WebSocketServerProtocol] | None = None

    async def start(self) -> None:
        """Listen on a port that the system picks."""
        self._server = await serve(
            self._accept, "127.0.0.1", 0, max_size=None, max_queue=None, compression=None, ping_interval=None
        )
        self.address = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def expect_session(self) -> None:
        """Drop the running session, if any, and take the next one that comes."""
        previous, self._session = self._session, asyncio.get_running_loop().create_future()
        if previous is not None and previous.done():
            await previous.result().close()

    async def observation(self) -> Array:
        """The observation ``[side, arena, agent, 64]`` that the game sends at a reset."""
        session = await self._connected()
        return self._by_side(decode_observation(await session.recv(), _SIDES * self.arenas), AGENTS, FEATURES)

    async def play(self, action: Array) -> tuple[Array, Array, bool, Array | None, Array | None]:
        """Send actions ``[side, arena, agent, 5]``; returns what the step gave.

        Returns:
            Observation, reward ``[side, arena, agent]``, done, at the end ``[side, arena, 5]`` statistics, and the
            state ``[arena, member, field]`` where the game tells it.
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
        """Rows of teams, home's first, as ``[side, arena, *shape]``."""
        return rows.reshape(_SIDES, self.arenas, *shape)
