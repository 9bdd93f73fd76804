"""Fixtures of all tests: the tiny run's config, draws, and processes of ``pearl``."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from coverage import Coverage
from parsed_once import install
from pearl_processes import ForkServer, Pearl
from tiny import TINY

# before torch is imported: several tests share the cores, and threads that wait for each other would spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
# started in the background, the tests and what they interrupt would ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.needs",)
install()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop what else measures coverage in a worker of xdist: it would resume where ``no_cover`` pauses pytest-cov."""
    while hasattr(session.config, "workerinput") and (running := Coverage.current()) is not None:
        running.stop()


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections: they would take a sixth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first: short ones then fill the time in which the other workers end."""
    markers = ("game", "page", "slow", "no_cover")
    long = {item.path for item in items if any(item.get_closest_marker(marker) for marker in markers)}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a tiny run: updates 1 to 12, collections after 4 and 8, evaluations after 5 and 10, epochs of 6."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def drawn() -> random.Random:
    """Draws what a test leaves to chance. A failed test shows the seed; ``TEST_SEED`` sets it."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"to draw the same again: TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Forks what ``start_pearl`` starts."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def start_pearl(fork_server: ForkServer) -> Callable[..., Pearl]:
    """Starts ``pearl`` with some arguments, as a fork of a process that has imported everything."""
    return partial(Pearl, server=fork_server)


@pytest.fixture(scope="session")
def start_new_pearl() -> type[Pearl]:
    """Starts ``pearl`` as a user does, in a new Python."""
    return Pearl
