"""Somebody else's agent as an opponent: ``server:ws://127.0.0.1:8789`` wherever a task names one."""

from __future__ import annotations

from urllib.parse import urlsplit

import torch
from torch import Tensor

from pearl_lightning.envs.derk.actions import checked_team_actions
from pearl_lightning.envs.derk.game.agent_client import AgentClient
from pearl_lightning.envs.derk.opponents.opponent import Opponent


class ServerOpponent(Opponent):
    """An agent server of gym-derk's, which is played against as if we were the game.

    Every episode is a session of its own, so that what the agent learned in one is no part of the next. What it sends
    is checked like any action, though the game itself would take it.

    Args:
        address: ``ws://HOST:PORT`` of the server.
        timeout: Seconds that each answer may take.

    Raises:
        ValueError: That is no such address, or no time.
    """

    follows = True

    def __init__(self, address: str, *, timeout: float = 30.0) -> None:
        url = urlsplit(address)
        if url.scheme not in ("ws", "wss") or not url.hostname:
            raise ValueError(f"server must be an address like ws://127.0.0.1:8789, got {address!r}")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 s, got {timeout}")
        self.address, self.timeout = address, timeout
        self._session: AgentClient | None = None

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self.close()

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Legal actions for a batch of teams.

        Raises:
            EpisodeLost: The server is not there, does not answer in time or ended the session.
            ValueError: It sends what is no legal action.
        """
        if self._session is None:  # not before the game has started, which a server may not have the patience for
            self._session = AgentClient(self.address, len(observation), self.timeout)
            self._session.reset(observation.numpy(force=True))
        try:
            action = checked_team_actions(torch.from_numpy(self._session.action()))
        except ValueError as error:
            raise ValueError(f"the agent server {self.address} sent a wrong action: {error}") from error
        return action.to(observation.device)

    def follow(self, observation: Tensor, reward: Tensor, statistics: Tensor | None) -> None:
        """Tell the server what the step gave.

        Raises:
            EpisodeLost: It ended the session.
        """
        if self._session is not None:
            told = None if statistics is None else statistics.numpy(force=True)
            self._session.step(observation.numpy(force=True), reward.numpy(force=True), told)
            if told is not None:
                self.close()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
