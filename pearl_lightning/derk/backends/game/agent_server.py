"""Agent server: a WebSocket server that plays for games of gym-derk that connect to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import WebSocketServerProtocol, serve

from pearl_lightning.derk.backends.game.protocol import (
    WrongMessage,
    decode_observation,
    decode_result,
    decode_reward,
    decode_statistics,
    decode_teams,
    encode_action,
)
from pearl_lightning.derk.backends.game.wire import Array

LONGEST_EPISODE = 1200
"""Number of steps in an episode if each step has one tick."""
_MOST_TEAMS = 4096
_LONGEST_MESSAGE = 2**26  # bytes; a game that sends its state sends several megabytes
_CLOSING = 1.0  # seconds to wait for a client to close the connection
_UNSUPPORTED, _BROKEN = 1003, 1011  # WebSocket close codes
_LONGEST_REASON = 120  # bytes


class Player(Protocol):
    """Plays the teams of one session."""

    def act(self, observation: Array) -> Array:
        """Return actions ``[team, agent, 5]`` for observations ``[team, agent, 64]``."""

    def observe(self, reward: Array, next_observation: Array) -> None:
        """Take in the result of the last action: rewards ``[team, agent]``, observations ``[team, agent, 64]``."""

    def end(self) -> None:
        """Finish the episode."""


class AgentServer:
    """An agent server for games of gym-derk. It serves any number of sessions, also concurrently.

    Each session has its own player. A session ends if its game disconnects or sends a message that violates the
    protocol; other sessions continue.

    Args:
        make_player: Creates the player of a session from the session's number, counted from 1, and its number of teams.
        port: Port to listen on, in [0, 65535]; 0 selects a free port.
        longest_episode: Largest number of steps in an episode.
        tell: Called with each line of the log.

    Raises:
        ValueError: The port is outside its range.
    """

    def __init__(
        self,
        make_player: Callable[[int, int], Player],
        *,
        port: int = 0,
        longest_episode: int = LONGEST_EPISODE,
        tell: Callable[[str], None] = print,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be in [0, 65535], got {port}")
        self.make_player, self.port, self.longest_episode, self.tell = make_player, port, longest_episode, tell
        self.sessions = 0

    async def serve(self, ready: Callable[[str], None]) -> None:
        """Listen until the task is cancelled.

        Args:
            ready: Called with the address as soon as games can connect.

        Raises:
            OSError: The port is in use.
        """
        silent = logging.getLogger(f"{__name__}.websockets")
        silent.setLevel(logging.CRITICAL)  # otherwise each client that is not a WebSocket causes a traceback
        async with serve(
            self._accept,
            "127.0.0.1",
            self.port,
            logger=silent,
            max_size=_LONGEST_MESSAGE,
            compression=None,
            ping_interval=None,  # a game may take any time between messages
            close_timeout=_CLOSING,
        ) as server:
            ready(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            await asyncio.Future()

    async def _accept(self, websocket: WebSocketServerProtocol) -> None:
        self.sessions += 1
        session = _Session(websocket, self.sessions)
        try:
            await self._play(session)
        except ConnectionClosed:
            self.tell(f"{session}: the game disconnected {session.where}")
        except WrongMessage as error:
            self.tell(f"{session}: closed {session.where}: {error}")
            await websocket.close(_UNSUPPORTED, str(error).encode()[:_LONGEST_REASON].decode(errors="ignore"))
        except Exception as error:  # raised by a player; the other sessions continue
            self.tell(f"{session}: failed {session.where}: {type(error).__name__}: {error}")
            await websocket.close(_BROKEN)

    async def _play(self, session: _Session) -> None:
        receive = session.websocket.recv
        teams = decode_teams(await receive())
        if not 1 <= teams <= _MOST_TEAMS:
            raise WrongMessage(f"nTeams must be in [1, {_MOST_TEAMS}], got {teams}")
        player = self.make_player(session.number, teams)
        self.tell(f"{session}: {teams} teams")
        while True:
            observation, paid, done = _finite("observation", decode_observation(await receive(), teams)), 0.0, False
            while not done:
                if session.step == self.longest_episode:
                    raise WrongMessage(f"an episode must end within {self.longest_episode} steps, got a longer one")
                await session.websocket.send(encode_action(player.act(observation)))
                observation = _finite("observation", decode_observation(await receive(), teams))
                reward = _finite("reward", decode_reward(await receive(), teams))
                done, _ = decode_result(await receive())
                player.observe(reward, observation)
                paid += float(reward.sum())
                session.step += 1
            own, other, *_ = decode_statistics(await receive(), teams).T
            player.end()
            won = int((own > other).sum())
            self.tell(f"{session}: episode {session.episode}: return {paid / teams:.2f}, {won} of {teams} won")
            session.episode, session.step = session.episode + 1, 0


class _Session:
    """Connection and progress of one session."""

    def __init__(self, websocket: WebSocketServerProtocol, number: int) -> None:
        self.websocket, self.number = websocket, number
        self.episode, self.step = 0, 0

    def __str__(self) -> str:
        return f"session {self.number}"

    @property
    def where(self) -> str:
        return f"in step {self.step} of episode {self.episode}" if self.step else f"after {self.episode} episodes"


def _finite(name: str, numbers: Array) -> Array:
    """Return the numbers ``[team, agent, ...]``. Raise an error if one is not finite: it would spoil the belief."""
    if not np.isfinite(numbers).all():
        team, agent = np.argwhere(~np.isfinite(numbers))[0][:2]
        raise WrongMessage(f"{name} must be finite, got a NaN or infinity for agent {agent} of team {team}")
    return numbers
