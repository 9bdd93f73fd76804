"""An external agent server as an opponent. A task names it ``server:ws://127.0.0.1:8789``, for example."""

from __future__ import annotations

from urllib.parse import urlsplit

import torch
from torch import Tensor

from pearl_lightning.derk.actions import checked_team_actions
from pearl_lightning.derk.backends.game.agent_client import AgentClient
from pearl_lightning.derk.opponents.opponent import Opponent


class ServerOpponent(Opponent):
    """Plays against an agent server of gym-derk; this class takes the role of the game.

    Every episode is a new session, so the agent cannot use what it learned in earlier episodes. Its actions are checked
    like all others, although the game itself would accept them.

    Args:
        address: Address of the server, ``ws://HOST:PORT``.
        timeout: Longest time in seconds to wait for an answer; must be positive.

    Raises:
        ValueError: The address or the timeout is invalid.
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
        """Return legal actions for a batch of teams.

        Raises:
            EpisodeLost: The server is not running, did not answer in time, or ended the session.
            ValueError: The server sent an illegal action.
        """
        if self._session is None:  # connect only after the game has started: a server might time out while it starts
            self._session = AgentClient(self.address, len(observation), self.timeout)
            self._session.reset(observation.numpy(force=True))
        try:
            action = checked_team_actions(torch.from_numpy(self._session.action()))
        except ValueError as error:
            raise ValueError(f"the agent server {self.address} sent a wrong action: {error}") from error
        return action.to(observation.device)

    def follow(self, observation: Tensor, reward: Tensor, statistics: Tensor | None) -> None:
        """Send the result of a step to the server.

        Raises:
            EpisodeLost: The server ended the session.
        """
        if self._session is not None:
            numbers = None if statistics is None else statistics.numpy(force=True)
            self._session.step(observation.numpy(force=True), reward.numpy(force=True), numbers)
            if numbers is not None:
                self.close()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
