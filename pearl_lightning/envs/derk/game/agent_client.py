"""The game's end of the wire to somebody else's agent server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import cache
from threading import Thread
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.legacy.client import WebSocketClientProtocol, connect

from pearl_lightning.envs.derk.game.protocol import (
    decode_action,
    encode_observation,
    encode_result,
    encode_reward,
    encode_statistics,
    encode_teams,
)
from pearl_lightning.envs.derk.game.wire import Array
from pearl_lightning.envs.meta_env import EpisodeLost

Result = TypeVar("Result")


class AgentClient:
    """A session with an agent server, which is spoken to as the game does.

    Nothing waits longer than ``timeout``: a server that is not there, does not answer or ends the session raises
    ``EpisodeLost``.

    Args:
        address: ``ws://HOST:PORT`` of the server.
        teams: How many teams it is to play.
        timeout: Seconds that each answer may take.

    Raises:
        EpisodeLost: There is no server.
    """

    def __init__(self, address: str, teams: int, timeout: float) -> None:
        self.address, self.teams, self.timeout = address, teams, timeout
        self._websocket = self._wait(self._connected())
        self._send(encode_teams(teams))

    def reset(self, observation: Array) -> None:
        """An episode begins with observations ``[team, agent, 64]``."""
        self._send(encode_observation(observation))

    def action(self) -> Array:
        """What the server plays next, ``[team, agent, 5]``; whether it is legal is for the caller to see.

        Raises:
            EpisodeLost: It does not answer, or left.
            WrongMessage: What it sends has another length.
        """
        return decode_action(self._wait(self._websocket.recv()), self.teams)

    def step(self, observation: Array, reward: Array, statistics: Array | None) -> None:
        """A step was played.

        Args:
            observation: What the teams see now, ``[team, agent, 64]``.
            reward: What they were paid, ``[team, agent]``.
            statistics: ``[team, 5]`` if that was the last step.

        Raises:
            EpisodeLost: The server left.
        """
        done = statistics is not None
        self._send(encode_observation(observation), encode_reward(reward), encode_result(done))
        if statistics is not None:
            self._send(encode_statistics(statistics))

    def close(self) -> None:
        """Say goodbye, without waiting for whether it is heard."""
        asyncio.run_coroutine_threadsafe(self._websocket.close(), _network())

    async def _connected(self) -> WebSocketClientProtocol:
        return await connect(
            self.address, max_size=None, compression=None, open_timeout=self.timeout, close_timeout=self.timeout
        )

    def _send(self, *messages: bytes | str) -> None:
        async def send() -> None:
            for message in messages:
                await self._websocket.send(message)

        self._wait(send())

    def _wait(self, exchange: Coroutine[Any, Any, Result]) -> Result:
        waiting = asyncio.run_coroutine_threadsafe(asyncio.wait_for(exchange, self.timeout), _network())
        try:
            return waiting.result()
        except ConnectionClosed as error:
            raise EpisodeLost(f"the agent server {self.address} ended the session: {error}") from error
        except TimeoutError as error:
            raise EpisodeLost(f"the agent server {self.address} did not answer within {self.timeout:g} s") from error
        except (OSError, WebSocketException) as error:
            raise EpisodeLost(f"there is no agent server at {self.address}: {error}") from error
        except BaseException:  # an interrupt
            waiting.cancel()
            raise


@cache
def _network() -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own: it answers pings while nobody waits, and leaves a notebook's loop alone."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="agent servers", daemon=True).start()
    return loop
