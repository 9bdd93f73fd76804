"""Cross tables, Elo ratings and past selves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fake_backend import FakeBackend
from torch import Tensor

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.league import ELO_MEAN, CrossTable, cross_table
from pearl_lightning.derk.opponents import Opponent, make_opponent
from pearl_lightning.derk.opponents.past_selves import PRIORITIES, PastSelves
from pearl_lightning.derk.tasks import BountyTasks, LoadoutTasks, OpponentTasks

TASKS = list(LoadoutTasks(train_tasks=3, test_tasks=0).train)


class Mover(Opponent):
    """Always moves at one speed, which the fake environment pays for; random numbers make no difference."""

    def __init__(self, speed: float) -> None:
        self.speed, self.calls = speed, 0

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.calls += 1
        action = observation.new_zeros(*observation.shape[:2], 5)
        action[..., 0] = self.speed
        return action


@pytest.mark.parametrize("arenas", [3, 24, 50])
def test_every_pair_plays_on_both_sides_and_the_faster_wins(arenas: int) -> None:
    players = {"slow": Mover(0.1), "fast": Mover(0.9), "middling": Mover(0.5)}
    table = cross_table(FakeBackend(arenas=arenas), TASKS, players, matches=4)
    assert table.names == ("slow", "fast", "middling")
    expected = np.array([[np.nan, 0, 0], [1, np.nan, 1], [1, 0, np.nan]])
    np.testing.assert_array_equal(table.scores, expected)
    slow, fast, middling = table.elo()
    assert slow < middling < fast


def test_a_lost_match_is_played_again() -> None:
    table = cross_table(FakeBackend(arenas=4, lose_at_step=7), TASKS, {"a": Mover(0.2), "b": Mover(0.2)}, matches=2)
    np.testing.assert_array_equal(table.scores, [[np.nan, 0.5], [0.5, np.nan]])


def test_elo_of_two_players_is_the_log_odds_of_their_points() -> None:
    """With a tie each against a player of mean strength; the closed form is the root of the likelihood's slope."""
    scores = np.array([[np.nan, 0.75], [0.5, np.nan]])
    table = CrossTable(("a", "b"), scores, matches=10_000)
    won = 0.75 + (1 - 0.5)
    difference = 400 * math.log10(won / (2 - won))
    first, second = table.elo()
    assert first - second == pytest.approx(difference, abs=0.1)
    assert first + second == pytest.approx(2 * ELO_MEAN)


def test_elo_recovers_the_strengths_that_made_the_points() -> None:
    true = np.array([1800.0, 1500.0, 1450.0, 1250.0])
    expected = 1 / (1 + 10 ** ((true[None] - true[:, None]) / 400))
    np.fill_diagonal(expected, np.nan)
    table = CrossTable(tuple("abcd"), expected, matches=1_000_000)
    np.testing.assert_allclose(table.elo(), true - true.mean() + ELO_MEAN, atol=0.1)


@pytest.mark.parametrize(("players", "matches"), [(2, 1000), (20, 1000), (10, 8)])
def test_elo_is_the_most_likely_even_where_the_stronger_always_wins(players: int, matches: int) -> None:
    """The likelihood's slope vanishes: what a player won is what its rating foretells."""
    scores = np.triu(np.ones((players, players)), 1)
    np.fill_diagonal(scores, np.nan)
    elo = CrossTable(tuple(map(str, range(players))), scores, matches).elo()
    assert (np.diff(elo) < 0).all()
    won = 2 * matches * np.arange(players - 1, -1, -1) + 0.5
    shift = 0.0
    for _ in range(200):  # the player of mean strength lies where all slopes sum to 0
        foretold = 1 / (1 + 10 ** ((shift - elo) / 400))
        shift += 400 * (foretold.sum() - players / 2) / players
    between = 2 * matches / (1 + 10 ** ((elo - elo[:, None]) / 400))
    np.testing.assert_allclose(between.sum(axis=1) - matches + foretold, won, rtol=1e-4)


def test_the_players_are_told_when_a_match_starts_and_how_many_they_play() -> None:
    begun: list[int] = []

    class Told(Mover):
        def begin(self, arenas: int, generator: torch.Generator) -> None:
            begun.append(arenas)

    cross_table(FakeBackend(arenas=4), TASKS, {"told": Told(0.1), "other": Mover(0.2)}, matches=3)
    assert begun == [4, 4]  # six matches, and two that fill the second round


def test_elo_is_finite_for_whoever_always_wins() -> None:
    table = CrossTable(("a", "b"), np.array([[np.nan, 1.0], [0.0, np.nan]]), matches=5)
    assert np.isfinite(table.elo()).all()


def test_what_makes_no_table_is_refused() -> None:
    backend, pair = FakeBackend(arenas=2), {"a": Mover(0.1), "b": Mover(0.2)}
    with pytest.raises(ValueError, match="players must be at least 2, got 1"):
        cross_table(backend, TASKS, {"a": Mover(0.1)})
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 3"):
        cross_table(backend, TASKS, pair, matches=0)
    with pytest.raises(ValueError, match="must give both teams the same bounties"):
        cross_table(backend, list(BountyTasks(train_tasks=1, test_tasks=0).train), pair)


@pytest.mark.parametrize(
    ("priority", "expected"),
    [("uniform", [1, 1, 1]), ("hard", [0.81, 0.25, 0.01]), ("even", [0.09, 0.25, 0.09])],
)
def test_past_selves_are_met_by_how_often_they_are_beaten(priority: str, expected: list[float]) -> None:
    pool = make_opponent(f"selves:{priority}")
    assert isinstance(pool, PastSelves)
    for speed in (0.1, 0.2, 0.3):
        pool.add(Mover(speed), kept=3)
    pool.won, pool.played = torch.tensor([100.0, 500, 900]), torch.full((3,), 1000.0)
    torch.testing.assert_close(pool.win_rates(), torch.tensor([0.1, 0.5, 0.9]), atol=1e-3, rtol=0)
    pool.begin(60_000, torch.Generator().manual_seed(0))
    action = pool(torch.zeros(60_000, 3, 64), torch.Generator())
    met = torch.stack([(action[:, 0, 0] == torch.tensor(speed)).float().mean() for speed in (0.1, 0.2, 0.3)])
    weights = torch.tensor(expected)
    torch.testing.assert_close(met, weights / weights.sum(), atol=0.01, rtol=0)


def test_each_arena_keeps_its_player_for_an_episode() -> None:
    pool = PastSelves("uniform")
    for speed in (0.1, 0.2):
        pool.add(Mover(speed), kept=2)
    generator = torch.Generator().manual_seed(0)
    pool.begin(50, generator)
    first, second = (pool(torch.zeros(50, 3, 64), generator) for _ in range(2))
    assert torch.equal(first, second)
    pool.begin(50, generator)
    assert not torch.equal(first, pool(torch.zeros(50, 3, 64), generator))


def test_results_are_the_learners_and_fade_with_age() -> None:
    pool = PastSelves("uniform")
    assert pool.count() is None
    for speed in (0.1, 0.2):
        pool.add(Mover(speed), kept=2)
    for outcome in (1.0, -1.0):
        pool.begin(200, torch.Generator().manual_seed(0))
        pool.end(torch.full((200,), outcome))
        assert pool.count() == (outcome + 1) / 2
    torch.testing.assert_close(pool.won, 0.9 * pool.played / 1.9)
    pool.end(torch.ones(200))
    pool.forget()
    assert pool.count() is None


def test_the_oldest_player_goes_first() -> None:
    pool = PastSelves("uniform")
    players = [Mover(speed) for speed in (0.1, 0.2, 0.3)]
    for player in players:
        pool.add(player, kept=2)
    assert pool.players == players[1:]
    assert len(pool.win_rates()) == 2


def test_the_environment_tells_the_pool_who_won() -> None:
    tasks = OpponentTasks(styles=["idle", "selves:hard"], new_styles=[], train_tasks=4, test_tasks=0)
    backend = FakeBackend(arenas=4, team_rewards=[[1.0, 1, 2, 0], [0.0, 0, 2, 5]])
    env = DerkEnv(arenas=4, tasks=tasks, backend=backend)
    pool = env.opponents["selves:hard"]
    assert isinstance(pool, PastSelves)
    pool.add(Mover(0.3), kept=1)
    env.set_tasks([0, 1, 2, 3])  # every other one against the pool
    env.rollout(200)
    assert (backend.actions[0][1, 1::2, :, 0] == torch.tensor(0.3)).all()
    assert (backend.actions[0][1, ::2, :, 0] == 0).all()
    assert pool.count() == 0.5  # won one, lost one
    assert float(pool.won.sum()) == 1.0


def test_an_unknown_priority_is_refused() -> None:
    assert set(PRIORITIES) == {"uniform", "hard", "even"}
    with pytest.raises(ValueError, match="one of uniform, hard, even, got 'best'"):
        make_opponent("selves:best")
