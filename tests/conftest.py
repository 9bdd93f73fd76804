"""A run small enough for a test: the point robot, networks of eight units, a dozen updates."""

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
from pearl_processes import ForkServer, Pearl

# before torch is imported: several tests share the cores, and threads that wait for each other would spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
# started in the background, the tests and what they interrupt would ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.needs",)

TINY = """
seed_everything: 3
name: tiny
threads: 1
trainer:
  max_steps: 12
  accelerator: cpu
  val_check_interval: 5
  check_val_every_n_epoch: null
  log_every_n_steps: 1
  enable_progress_bar: false
collector: {every_n_updates: 4, tasks_per_iteration: 2, initial_iterations: 2}
evaluation: {episodes: 2, matches: 2, figures: false}
checkpoint: {every_n_updates: 1}
summary: null
model:
  encoder: {class_path: GaussianProductEncoder, init_args: {latent_dim: 2, hidden: [8]}}
  sac: {actor: {hidden: [8]}, critic: {hidden: [8]}, discount: 0.9}
  optimizers: {default: {lr: 0.01, fused: true}}
data:
  env:
    class_path: PointRobot
    init_args:
      arenas: 4
      tasks: {class_path: GoalTasks, init_args: {train_tasks: 4, validation_tasks: 2, test_tasks: 2}}
  meta_batch: 2
  transitions: 8
  updates_per_epoch: 6
  episodes_per_task: 8
"""


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
