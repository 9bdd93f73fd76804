"""The learner as it was: an opponent that a ``SelfPlayPool`` feeds with snapshots while it trains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pearl_lightning.envs.derk.opponents.one_of import play_seats
from pearl_lightning.envs.derk.opponents.opponent import Opponent
from pearl_lightning.envs.derk.opponents.uniform import RandomOpponent

PRIORITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": torch.ones_like,
    "hard": lambda won: (1 - won).square(),
    "even": lambda won: won * (1 - won),
}
"""How often a past self is met, up to a factor, given how often the learner beats it: all alike, those that it loses to
(``hard``) or those of its own strength (``even``); see Vinyals et al. 2019, *prioritized fictitious self-play*."""
_MEMORY = 0.9
"""Weight that earlier results keep when new ones come: the learner that made them is not the one of today."""


class PastSelves(Opponent):
    """A pool of players, one of whom takes each arena for an episode; ``selves:hard`` where a task names its opponent.

    While it is empty, random legal actions are played.

    Args:
        priority: A name in ``PRIORITIES``.

    Raises:
        ValueError: An unknown priority.
    """

    def __init__(self, priority: str) -> None:
        if priority not in PRIORITIES:
            raise ValueError(f"selves must be sampled by one of {', '.join(PRIORITIES)}, got {priority!r}")
        self.priority = PRIORITIES[priority]
        self.players: list[Opponent] = []
        self.won, self.played = torch.zeros(0), torch.zeros(0)  # by the learner, against each
        self._nobody = RandomOpponent()
        self._seats = torch.zeros(0, dtype=torch.long)  # who plays each arena
        self._results: list[tuple[Tensor, Tensor]] = []  # seats and outcomes of episodes not yet counted

    def add(self, player: Opponent, kept: int) -> None:
        """Take in a player, and let the oldest go when there are more than ``kept``."""
        self.players = [*self.players, player][-kept:]
        self.won = torch.cat([self.won, torch.zeros(1)])[-kept:]
        self.played = torch.cat([self.played, torch.zeros(1)])[-kept:]

    def win_rates(self) -> Tensor:
        """How often the learner beats each ``[player]``; a half before any match, one tie being added to all."""
        return (self.won + 0.5) / (self.played + 1)

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        if self.players:
            weights = self.priority(self.win_rates()).clamp_min(1e-3).to(generator.device)
            self._seats = torch.multinomial(weights, arenas, replacement=True, generator=generator)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if not self.players:
            return self._nobody(observation, generator)
        return play_seats(self.players, self._seats, observation, generator)

    def end(self, outcome: Tensor) -> None:
        if self.players:
            self._results.append((self._seats.cpu(), outcome.cpu()))

    def count(self) -> float | None:
        """Take the results since the last call into the win rates; returns the learner's share of these, if any."""
        results, self._results = self._results, []
        if not results:
            return None
        seats = torch.cat([each for each, _ in results])
        points = (torch.cat([outcome for _, outcome in results]) + 1) / 2
        self.won = _MEMORY * self.won + torch.bincount(seats, points, minlength=len(self.players)).float()
        self.played = _MEMORY * self.played + torch.bincount(seats, minlength=len(self.players))
        return float(points.mean())

    def forget(self) -> None:
        """Drop the results since the last ``count``: those of an evaluation."""
        self._results = []

    def state(self) -> dict[str, Tensor]:
        """The learner's results against each player, for a checkpoint."""
        return {"won": self.won, "played": self.played}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take up what ``state`` gave; of fewer players than it knew, the results of the latest."""
        first = len(state["won"]) - len(self.players)
        self.won, self.played = state["won"][first:], state["played"][first:]
