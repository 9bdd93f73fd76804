"""Client for an external agent server; it takes the role of the game."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import cache
from threading import Thread
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.legacy.client import WebSocketClientProtocol, connect

from pearl_lightning.derk.backends.game.protocol import (
    decode_action,
    encode_observation,
    encode_result,
    encode_reward,
    encode_statistics,
    encode_teams,
)
from pearl_lightning.derk.backends.game.wire import Array
from pearl_lightning.envs.meta_env import EpisodeLost

Result = TypeVar("Result")


class AgentClient:
    """A session with an agent server, using the game's protocol.

    No call waits longer than ``timeout``. If the server is not running, does not answer or ends the session,
    ``EpisodeLost`` is raised.

    Args:
        address: Address of the server, ``ws://HOST:PORT``.
        teams: Number of teams that the server plays.
        timeout: Longest time in seconds to wait for an answer.

    Raises:
        EpisodeLost: No server is running at the address.
    """

    def __init__(self, address: str, teams: int, timeout: float) -> None:
        self.address, self.teams, self.timeout = address, teams, timeout
        self._websocket = self._wait(self._connected())
        self._send(encode_teams(teams))

    def reset(self, observation: Array) -> None:
        """Start an episode with observations ``[team, agent, 64]``."""
        self._send(encode_observation(observation))

    def action(self) -> Array:
        """Receive the server's next actions ``[team, agent, 5]``. The caller must check whether they are legal.

        Raises:
            EpisodeLost: The server did not answer or ended the session.
            WrongMessage: The message has a wrong length.
        """
        return decode_action(self._wait(self._websocket.recv()), self.teams)

    def step(self, observation: Array, reward: Array, statistics: Array | None) -> None:
        """Send the result of a step.

        Args:
            observation: New observations ``[team, agent, 64]``.
            reward: Rewards ``[team, agent]``.
            statistics: Statistics ``[team, 5]`` after the last step of the episode, else None.

        Raises:
            EpisodeLost: The server ended the session.
        """
        done = statistics is not None
        self._send(encode_observation(observation), encode_reward(reward), encode_result(done))
        if statistics is not None:
            self._send(encode_statistics(statistics))

    def close(self) -> None:
        """Close the connection without waiting for the server's confirmation."""
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
    """Event loop in a separate thread: it answers pings at any time and does not interfere with a notebook's loop."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="agent servers", daemon=True).start()
    return loop
