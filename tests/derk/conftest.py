"""The real game, for the tests marked ``game``."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pearl_lightning.derk.backends.game import GameBackend

StartGame = Callable[..., GameBackend]


@pytest.fixture(scope="module")
def start_game() -> Iterator[StartGame]:
    """Makes backends and closes them after a file's last test: a browser keeps a core busy while it is open."""
    started: list[GameBackend] = []

    def start(**settings: Any) -> GameBackend:
        started.append(GameBackend(**settings))
        return started[-1]

    yield start
    for backend in started:
        backend.close()


@pytest.fixture(scope="module")
def game(start_game: StartGame) -> GameBackend:
    """A game of two arenas for every test that leaves it whole; patient, for these tests state no times."""
    return start_game(arenas=2, start_timeout=240.0, step_timeout=120.0)
