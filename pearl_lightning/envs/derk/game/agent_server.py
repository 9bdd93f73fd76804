"""The agent's end of the wire: a WebSocket server that anybody's game connects to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import WebSocketServerProtocol, serve

from pearl_lightning.envs.derk.game.protocol import (
    WrongMessage,
    decode_observation,
    decode_result,
    decode_reward,
    decode_statistics,
    decode_teams,
    encode_action,
)
from pearl_lightning.envs.derk.game.wire import Array

LONGEST_EPISODE = 1200
"""Steps of an episode with one tick each."""
_MOST_TEAMS = 4096
_LONGEST_MESSAGE = 2**26  # bytes; a game that tells its state sends some megabytes
_CLOSING = 1.0  # seconds for which a client may take its time to say goodbye
_UNSUPPORTED, _BROKEN = 1003, 1011  # why a session ends, as WebSocket has it
_LONGEST_REASON = 120  # bytes


class Player(Protocol):
    """What plays the teams of one session."""

    def act(self, observation: Array) -> Array:
        """Actions ``[team, agent, 5]`` for observations ``[team, agent, 64]``."""

    def pay(self, reward: Array) -> None:
        """What the last action was paid, ``[team, agent]``."""

    def end(self, observation: Array) -> None:
        """The episode is over, with observations ``[team, agent, 64]`` as the last."""


class AgentServer:
    """An agent server for gym-derk's games: any number of sessions, one after another and at the same time.

    A session is a player of its own. It ends when its game leaves, or sends what the protocol does not have in its
    place; other sessions go on.

    Args:
        make_player: Makes the player of a session, given the session's number, from 1, and how many teams it plays.
        port: To listen on, in [0, 65535]; 0 picks a free one.
        longest_episode: Steps within which an episode must end.
        tell: Takes lines about what happens.

    Raises:
        ValueError: There is no such port.
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
        """Listen until cancelled.

        Args:
            ready: Is given the address once games can connect.

        Raises:
            OSError: The port is taken.
        """
        silent = logging.getLogger(f"{__name__}.websockets")
        silent.setLevel(logging.CRITICAL)  # or whoever is no WebSocket leaves a traceback
        async with serve(
            self._accept,
            "127.0.0.1",
            self.port,
            logger=silent,
            max_size=_LONGEST_MESSAGE,
            compression=None,
            ping_interval=None,  # a game may think for as long as it likes
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
            self.tell(f"{session}: the game left {session.where}")
        except WrongMessage as error:
            self.tell(f"{session}: ended {session.where}: {error}")
            await websocket.close(_UNSUPPORTED, str(error).encode()[:_LONGEST_REASON].decode(errors="ignore"))
        except Exception as error:  # a player's: the others play on
            self.tell(f"{session}: broke {session.where}: {type(error).__name__}: {error}")
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
                    raise WrongMessage(f"an episode must end within {self.longest_episode} steps, got more")
                await session.websocket.send(encode_action(player.act(observation)))
                observation = _finite("observation", decode_observation(await receive(), teams))
                reward = _finite("reward", decode_reward(await receive(), teams))
                done, _ = decode_result(await receive())
                player.pay(reward)
                paid += float(reward.sum())
                session.step += 1
            own, other, *_ = decode_statistics(await receive(), teams).T
            player.end(observation)
            won = int((own > other).sum())
            self.tell(f"{session}: episode {session.episode}: return {paid / teams:.2f}, {won} of {teams} won")
            session.episode, session.step = session.episode + 1, 0


class _Session:
    """Whom a session is with, and how far it got."""

    def __init__(self, websocket: WebSocketServerProtocol, number: int) -> None:
        self.websocket, self.number = websocket, number
        self.episode, self.step = 0, 0

    def __str__(self) -> str:
        return f"session {self.number}"

    @property
    def where(self) -> str:
        return f"in step {self.step} of episode {self.episode}" if self.step else f"after {self.episode} episodes"


def _finite(name: str, numbers: Array) -> Array:
    """The numbers ``[team, agent, ...]``, which a belief would never get over if one were none."""
    if not np.isfinite(numbers).all():
        team, agent = np.argwhere(~np.isfinite(numbers))[0][:2]
        raise WrongMessage(f"{name} must be finite, got another for agent {agent} of team {team}")
    return numbers
