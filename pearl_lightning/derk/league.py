"""Round-robin matches between players of Derk's Gym, with a cross table and Elo ratings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.backends.backend import DerkBackend
from pearl_lightning.derk.interface import TEAM_STATS_KEYS
from pearl_lightning.derk.opponents import Opponent
from pearl_lightning.derk.opponents.one_of import play_seats
from pearl_lightning.derk.tasks import DerkTask
from pearl_lightning.envs.meta_env import EpisodeLost

ELO_MEAN = 1500.0
"""Mean rating of the players in a table."""
_REWARD, _OPPONENT_REWARD = TEAM_STATS_KEYS.index("Reward"), TEAM_STATS_KEYS.index("OpponentReward")


@dataclass(frozen=True)
class CrossTable:
    """Results of every player against every other player.

    Args:
        names: Names of the players.
        scores: Points per match ``[home player, away player]``: 1 for a win of the home player, 0.5 for a tie; NaN on
            the diagonal.
        matches: Number of matches per pair and side.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    matches: int

    def elo(self) -> np.ndarray:
        """Maximum-likelihood ratings ``[player]`` from all matches (Bradley and Terry 1952), on the Elo scale.

        A difference of 400 points corresponds to odds of ten to one. One tie against a player of mean strength is added
        for each player, because a player that wins or loses every match would have no finite rating.
        """
        points = self.matches * np.nan_to_num(self.scores)
        won = points + (self.matches * ~np.eye(len(self.names), dtype=bool) - points).T  # [player, other], both sides
        played = won + won.T
        log_odds = np.zeros(len(self.names))  # each player against a player of mean strength
        for _ in range(1000):  # Newton's method on a concave likelihood; steps of at most 1 keep it from diverging
            expected = 1 / (1 + np.exp(log_odds - log_odds[:, None]))
            even = 1 / (1 + np.exp(-log_odds))
            slope = (won - played * expected).sum(axis=1) + 0.5 - even
            information = played * expected * (1 - expected)
            curvature = np.diag(information.sum(axis=1) + even * (1 - even)) - information
            step = np.linalg.solve(curvature, slope)
            log_odds += step / max(1.0, np.abs(step).max())
            if np.abs(step).max() < 1e-9:
                break
        ratings = 400 / math.log(10) * log_odds
        return ratings - ratings.mean() + ELO_MEAN

    def to_json(self) -> dict[str, Any]:
        """Return the table as lists, strings and numbers. Pairs that did not play are null."""
        scores = [[None if np.isnan(score) else float(score) for score in row] for row in self.scores]
        return {"players": list(self.names), "matches": self.matches, "scores": scores, "elo": self.elo().tolist()}

    def __str__(self) -> str:
        """Format the table, strongest player first: rating, then points per home match against each other player."""
        elo = self.elo()
        order = np.argsort(-elo)
        width = max(map(len, self.names))
        lines = [f"{'':>{width}}   Elo  " + "  ".join(f"{number:>4}" for number in range(1, len(order) + 1))]
        for player in order:
            cells = ["   -" if player == other else f"{self.scores[player, other]:4.2f}" for other in order]
            lines.append(f"{self.names[player]:>{width}}  {elo[player]:4.0f}  " + "  ".join(cells))
        return "\n".join(lines)


def cross_table(
    backend: DerkBackend,
    tasks: list[DerkTask],
    players: Mapping[str, Opponent],
    *,
    matches: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CrossTable:
    """Play every player against every other player, on both sides.

    The team with the higher reward at the end wins the match, as in the game's own statistics.

    Args:
        backend: Backend that plays the matches; each arena plays one match at a time.
        tasks: Tasks that define the loadouts. Match m of each pair uses task m, modulo the number of tasks. The
            bounties of both teams must be equal.
        players: Players by name, at least two.
        matches: Number of matches per pair and side, at least 1.
        seed: Seed of the spawns and of the players' random numbers.
        progress: Called with the number of finished matches and their total, before each batch of matches and at the
            end.

    Raises:
        ValueError: A setting is outside its range.
    """
    if len(players) < 2:
        raise ValueError(f"players must be at least 2, got {len(players)}")
    if matches < 1 or not tasks:
        raise ValueError(f"matches and the number of tasks must be at least 1, got {matches} and {len(tasks)}")
    if any(task.home_bounties != task.away_bounties for task in tasks):
        raise ValueError("tasks must give both teams the same bounties: otherwise their rewards cannot be compared")
    names = list(players)
    plan = [(*pair, match) for pair in permutations(range(len(names)), 2) for match in range(matches)]
    generator = torch.Generator(backend.device).manual_seed(seed)
    scores = np.full((len(names), len(names)), np.nan)
    tell = progress or (lambda done, total: None)
    for first in range(0, len(plan), backend.arenas):
        tell(first, len(plan))
        chunk = plan[first : first + backend.arenas]
        filled = chunk + [plan[0]] * (backend.arenas - len(chunk))  # surplus arenas repeat a match that is not counted
        seats = torch.tensor([[home for home, _, _ in filled], [away for _, away, _ in filled]])
        held = [tasks[match % len(tasks)] for _, _, match in filled]
        points = _play(backend, held, seed + first, seats, list(players.values()), generator)
        for (home, away, _), point in zip(chunk, points.tolist(), strict=False):
            scores[home, away] = np.nan_to_num(scores[home, away]) + point / matches
    tell(len(plan), len(plan))
    return CrossTable(tuple(names), scores, matches)


def _play(
    backend: DerkBackend,
    tasks: list[DerkTask],
    seed: int,
    seats: Tensor,
    players: list[Opponent],
    generator: torch.Generator,
    attempts: int = 3,
) -> Tensor:
    """Play one match per arena; return the points of the home players ``[arena]``. Lost matches are replayed."""
    for attempt in range(attempts):
        try:
            observation, done = backend.reset(tasks, seed), False
            for number, player in enumerate(players):
                player.begin(int((seats == number).sum()), generator)
            while not done:
                observation, reward, done = backend.step(play_seats(players, seats, observation, generator))
                _tell(players, seats, observation, reward, backend.team_stats() if done else None)
            break
        except EpisodeLost:
            if attempt == attempts - 1:
                raise
    stats = backend.team_stats()[0].cpu()  # [arena, statistic]
    return (torch.sign(stats[:, _REWARD] - stats[:, _OPPONENT_REWARD]) + 1) / 2


def _tell(players: list[Opponent], seats: Tensor, observation: Tensor, reward: Tensor, stats: Tensor | None) -> None:
    """Pass the result of a step to the players that follow the match."""
    for number, player in enumerate(players):
        mine = (seats == number).to(observation.device)
        if player.follows and mine.any():
            player.follow(observation[mine], reward[mine], None if stats is None else stats[mine])
