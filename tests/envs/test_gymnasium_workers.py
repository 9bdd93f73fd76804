"""Gymnasium environments in worker processes: the same results, and every failure is named in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gym_environments
import gymnasium
import psutil
import pytest
import torch
from pearl_processes import without_coverage
from tensordict import TensorDictBase

from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.gymnasium_tasks import ArenaError
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.experience.player import UniformPlayer
from pearl_lightning.experience.rollout import play_episode

HANGING = 1.5
"""Time limit in seconds of tests in which a worker hangs; a loaded machine needs a larger one elsewhere."""


class Lengths(ParameterTasks):
    """Five tasks with a step length of their own each, by which tests address an arena."""

    def __init__(self) -> None:
        super().__init__(choices={"length": [0.5, 1.0, 1.5, 2.0, 2.5]}, validation_tasks=0, test_tasks=0)
        self.train = tuple({"length": length} for length in self.parameters["length"].values or ())


def make(orders: Path, **settings: Any) -> GymnasiumEnv:
    """An environment of five arenas with one task each, in two workers unless the settings say otherwise."""
    usual: dict[str, Any] = {"id": "gym_environments.Breaking", "kwargs": {"orders": str(orders)}, "horizon": 15}
    if settings.get("vectorization") != "sync":
        usual |= {"vectorization": "async", "workers": 2, "timeout": 30.0}
    env = GymnasiumEnv(**({"arenas": 5, "tasks": Lengths()} | usual | settings))
    env.set_tasks(range(env.arenas))
    return env


@pytest.fixture(scope="module")
def shared_orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gymnasium") / "orders"


@pytest.fixture
def orders(shared_orders: Path) -> Iterator[Path]:
    """The file that environments obey; it is gone after the test."""
    yield shared_orders
    shared_orders.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def spread(shared_orders: Path) -> Iterator[GymnasiumEnv]:
    """An environment in two workers that tests share, because workers take a second to start."""
    env = make(shared_orders)
    yield env
    env.close(raise_if_closed=False)


def play(env: GymnasiumEnv, attempts: int = 1) -> TensorDictBase:
    """An episode with random actions."""
    return play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)), attempts)


def processes(env: GymnasiumEnv) -> list[int]:
    """Ids of the workers of an environment."""
    return [worker.process.pid for worker in env._arenas._workers]


def assert_ended(ids: list[int], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while any(psutil.pid_exists(each) for each in ids):
        assert time.monotonic() < deadline, f"processes {ids} are still there"
        time.sleep(0.05)


def test_workers_play_the_same_episodes_as_one_process(spread: GymnasiumEnv, orders: Path) -> None:
    episodes = []
    for env in (make(orders, vectorization="sync"), spread):
        env.set_seed(5)
        episodes.append([(play(env), env.episode_statistics()) for _ in range(2)])
    for (rows, statistics), (other, other_statistics) in zip(*episodes, strict=True):
        assert len(set(rows["played"].sum(dim=1).tolist())) > 1  # arenas end one by one
        assert all(torch.equal(rows[name], other[name]) for name in rows.keys())  # noqa: SIM118
        assert torch.equal(statistics["success"], other_statistics["success"])


def test_arenas_are_shared_out_over_the_workers(spread: GymnasiumEnv, orders: Path) -> None:
    spread.reset()
    assert [list(share) for share in spread._arenas.shares] == [[0, 1, 2], [3, 4]]
    assert len(set(processes(spread))) == 2
    assert spread.report()["workers"] == 2
    assert make(orders, vectorization="sync").report() == {}


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("kill 2.0", r"worker 1 \(arenas 3 to 4\) was ended by SIGKILL"),
        ("exit 0.5", r"worker 0 \(arenas 0 to 2\) ended with exit status 3"),
        ("hang 2.5", r"worker 1 \(arenas 3 to 4\) did not answer within 1\.5 s"),
    ],
)
def test_a_worker_that_dies_or_hangs_loses_its_episode_and_is_replaced(
    order: str, message: str, spread: GymnasiumEnv, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread.reset()
    before, restarts = processes(spread), spread.report()["restarts"]
    orders.write_text(order)
    started = time.monotonic()
    with monkeypatch.context() as patch:
        if "hang" in order:
            patch.setattr(spread._arenas, "timeout", HANGING)
        with pytest.raises(EpisodeLost, match=rf"^the episode is lost: {message}$"):
            play(spread)
    assert time.monotonic() - started < 10
    with pytest.raises(RuntimeError, match="no episode is running"):
        spread.advance(torch.zeros(5, 1, spread.action_space.width))
    assert play(spread)["played"].any()
    assert spread.report()["restarts"] == restarts + 1
    lost = set(before) - set(processes(spread))
    assert len(lost) == 1
    assert_ended(list(lost))


def test_a_stopped_worker_is_replaced_and_the_episode_played_again(
    spread: GymnasiumEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread.reset()
    monkeypatch.setattr(spread._arenas, "timeout", HANGING)
    stopped = processes(spread)[0]
    os.kill(stopped, signal.SIGSTOP)
    assert play(spread, attempts=2)["played"].any()
    assert_ended([stopped])


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_an_error_of_the_environment_names_arena_and_task(
    vectorization: str, spread: GymnasiumEnv, orders: Path
) -> None:
    env = spread if vectorization == "async" else make(orders, vectorization="sync")
    env.reset()
    orders.write_text("err 2.0")
    with pytest.raises(
        ArenaError, match=r"^arena 3 raised ZeroDivisionError: the walk divided by zero \(gym_"
    ) as error:
        play(env, attempts=3)
    assert "in step 1, with the task {'length': 2.0}" in str(error.value)
    cause = error.value.__cause__
    assert isinstance(cause, ZeroDivisionError) or 'raise ZeroDivisionError("the walk' in str(cause)
    assert play(env)["played"].any()  # the environment is as good as before


def test_no_answer_is_left_over_after_an_interruption(spread: GymnasiumEnv, orders: Path) -> None:
    spread.reset()
    orders.write_text("hang 0.5")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    with pytest.raises(KeyboardInterrupt):
        play(spread)
    orders.unlink(missing_ok=True)
    spread.set_seed(1)
    first = play(spread)
    spread.set_seed(1)
    assert torch.equal(first["observation"], play(spread)["observation"])


def test_a_worker_that_breaks_at_every_start_ends_the_run(spread: GymnasiumEnv, orders: Path) -> None:
    spread.reset()
    orders.write_text("always-exit 1.0")
    with pytest.raises(RuntimeError, match=r"does not start: worker [01] \(.*\) ended with exit status 3"):
        play(spread, attempts=10)


def test_workers_end_with_the_environment_and_start_again(spread: GymnasiumEnv) -> None:
    spread.reset()
    ids = processes(spread)
    spread.close()
    assert not any(psutil.pid_exists(each) for each in ids)
    spread.reset()
    assert not set(ids) & set(processes(spread))


def test_a_worker_ends_with_a_killed_process_even_if_it_hangs(orders: Path) -> None:
    reader, writer = os.pipe()
    if (parent := os.fork()) == 0:  # a new Python would import torch first
        env = make(orders, arenas=1, workers=1, timeout=60.0)
        env.reset()
        orders.write_text("hang")
        os.write(writer, b"%d\n" % processes(env)[0])
        env.advance(torch.zeros(1, 1, env.action_space.width))
        os._exit(1)
    os.close(writer)
    with open(reader) as pipe:
        worker = int(pipe.readline())
    deadline = time.monotonic() + 10
    while orders.exists():  # until the worker hangs
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert_ended([worker])


def test_a_registered_class_that_no_module_contains_reaches_the_workers(orders: Path) -> None:
    class Local(gym_environments.Breaking):
        """A class as in a notebook or in a script."""

    gymnasium.register("Local-v0", Local, max_episode_steps=15)
    try:
        env = make(orders, id="Local-v0", arenas=1, workers=1, horizon=None)
        assert play(env)["played"].any()
        env.close()
    finally:
        del gymnasium.registry["Local-v0"]


def test_a_worker_does_not_import_torch() -> None:
    code = "import sys, pearl_lightning.envs.gymnasium_process; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=without_coverage(), check=True)


def test_pictures_are_those_of_the_first_arena(orders: Path) -> None:
    pictures = []
    for settings in ({"vectorization": "sync"}, {"workers": 1}):
        env = make(orders, id="gym_environments.Pictured", kwargs={"render_mode": "rgb_array"}, **settings)
        env.set_seed(1)
        assert env.pictures_per_second == 12
        env.reset()
        pictures.append(env.picture())
        env.close()
    assert pictures[0].shape == (4, 6, 3)
    assert (pictures[0] == pictures[1]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 6}, r"workers must be in \[1, 5\], the number of arenas, got 6"),
        ({"workers": 0}, r"workers must be in \[1, 5\], the number of arenas, got 0"),
        ({"vectorization": "sync", "workers": 2}, "workers needs vectorization async, got 2 with sync"),
        ({"vectorization": "asink"}, "vectorization must be sync or async, got 'asink'"),
        ({"timeout": 0.0}, "timeout must be above 0 s and finite, got 0"),
        ({"timeout": float("inf")}, "timeout must be above 0 s and finite, got inf"),
        ({"kwargs": {"orders": (each for each in ())}}, "vectorization must be sync for an environment that cannot"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str, orders: Path) -> None:
    with pytest.raises(ValueError, match=message):
        make(orders, **settings)
