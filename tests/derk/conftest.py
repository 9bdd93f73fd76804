"""The real game, for the tests marked ``game``: without a browser they fail, and say what to install."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pearl_lightning.envs.derk.game import GameBackend, GameUnavailable

StartGame = Callable[..., GameBackend]


@pytest.fixture(scope="module")
def start_game() -> Iterator[StartGame]:
    """Makes backends and closes them after a file's last test: a browser keeps a core busy while it is open."""
    started: list[GameBackend] = []

    def start(**settings: Any) -> GameBackend:
        try:
            started.append(GameBackend(**settings))
        except GameUnavailable as error:
            pytest.fail(f"this test plays the real game: {error}", pytrace=False)
        return started[-1]

    yield start
    for backend in started:
        backend.close()


@pytest.fixture(scope="module")
def game(start_game: StartGame) -> GameBackend:
    """A game of two arenas for every test that leaves it whole; patient, for these tests state no times."""
    return start_game(arenas=2, start_timeout=240.0, step_timeout=120.0)
