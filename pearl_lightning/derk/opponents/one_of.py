"""An opponent that is drawn from several opponents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.derk.interface import ACTION_SPACE
from pearl_lightning.derk.opponents.opponent import Opponent


class OneOfOpponent(Opponent):
    """Draws one of several opponents for each arena and episode.

    As a demonstrator, it shows several strategies.

    Args:
        players: Opponents to draw from, at least one.

    Raises:
        ValueError: ``players`` is empty.
    """

    def __init__(self, players: Sequence[Opponent]) -> None:
        if not players:
            raise ValueError("players must contain at least one opponent, got none")
        self.players = tuple(players)

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self._seats = torch.randint(len(self.players), (arenas,), generator=generator, device=generator.device)
        for number, player in enumerate(self.players):
            player.begin(int((self._seats == number).sum()), generator)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return play_seats(self.players, self._seats, observation, generator)


def play_seats(
    players: Sequence[Opponent], seats: Tensor, observation: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Actions ``[..., 3, 5]`` for ``observation [..., 3, 64]``; ``seats [...]`` is the index of each team's player."""
    action, seats = observation.new_empty(*observation.shape[:-1], ACTION_SPACE.width), seats.to(observation.device)
    for number in seats.unique().tolist():
        mine = seats == number
        action[mine] = players[number](observation[mine], generator)
    return action
