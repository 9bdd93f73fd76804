"""Past versions of the learner as an opponent; a ``SelfPlayPool`` adds snapshots during training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pearl_lightning.derk.opponents.one_of import play_seats
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.uniform import RandomOpponent

PRIORITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": torch.ones_like,
    "hard": lambda won: (1 - won).square(),
    "even": lambda won: won * (1 - won),
}
"""Unnormalized probability of a past self, given the learner's win rate against it. ``uniform`` ignores the win rate,
``hard`` prefers past selves that beat the learner, and ``even`` prefers past selves of the learner's strength. See
Vinyals et al. 2019, *prioritized fictitious self-play*."""
_MEMORY = 0.9
"""Factor on the old results whenever new results are added, because the learner has changed since."""


class PastSelves(Opponent):
    """A pool of players; one of them is drawn for each arena and episode. A task names it ``selves:hard``, for example.

    While the pool is empty, it plays random legal actions.

    Args:
        priority: A key of ``PRIORITIES``.

    Raises:
        ValueError: The priority is unknown.
    """

    def __init__(self, priority: str) -> None:
        if priority not in PRIORITIES:
            raise ValueError(f"the priority of selves must be one of {', '.join(PRIORITIES)}, got {priority!r}")
        self.priority = PRIORITIES[priority]
        self._nobody = RandomOpponent()
        self.clear()

    def clear(self) -> None:
        """Remove all players and the results against them."""
        self.players: list[Opponent] = []
        self.won, self.played = torch.zeros(0), torch.zeros(0)  # matches of the learner against each player
        self._seats = torch.zeros(0, dtype=torch.long)  # index of the player in each arena
        self._results: list[tuple[Tensor, Tensor]] = []  # seats and outcomes of uncounted episodes

    def add(self, player: Opponent, kept: int) -> None:
        """Add a player; remove the oldest player if there are more than ``kept``."""
        self.players = [*self.players, player][-kept:]
        self.won = torch.cat([self.won, torch.zeros(1)])[-kept:]
        self.played = torch.cat([self.played, torch.zeros(1)])[-kept:]

    def win_rates(self) -> Tensor:
        """The learner's win rate against each ``[player]``, with one tie added; 0.5 before the first match."""
        return (self.won + 0.5) / (self.played + 1)

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        if self.players:
            weights = self.priority(self.win_rates()).clamp_min(1e-3).to(generator.device)
            self._seats = torch.multinomial(weights, arenas, replacement=True, generator=generator)
        for number, player in enumerate(self.players):
            player.begin(int((self._seats == number).sum()), generator)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        if not self.players:
            return self._nobody(observation, generator)
        return play_seats(self.players, self._seats, observation, generator)

    def end(self, outcome: Tensor) -> None:
        if self.players:
            self._results.append((self._seats.cpu(), outcome.cpu()))

    def count(self) -> float | None:
        """Add the results since the last call to the win rates; return the learner's mean points, None if no result."""
        results, self._results = self._results, []
        if not results:
            return None
        seats = torch.cat([each for each, _ in results])
        points = (torch.cat([outcome for _, outcome in results]) + 1) / 2
        self.won = _MEMORY * self.won + torch.bincount(seats, points, minlength=len(self.players)).float()
        self.played = _MEMORY * self.played + torch.bincount(seats, minlength=len(self.players))
        return float(points.mean())

    def forget(self) -> None:
        """Discard the results since the last ``count``, for example those of an evaluation."""
        self._results = []

    def state(self) -> dict[str, Tensor]:
        """The learner's results against each player, for a checkpoint."""
        return {"won": self.won, "played": self.played}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the results from ``state``; if there are fewer players now, keep the results of the latest ones."""
        first = len(state["won"]) - len(self.players)
        self.won, self.played = state["won"][first:], state["played"][first:]
