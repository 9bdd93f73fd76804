"""Every way in which the real game is known to break (or not to start): provoked, noticed in time, and cleaned up."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from conftest import StartGame
from pearl_processes import without_coverage
from torch import Tensor

from pearl_lightning.derk.backends.game import GameBackend, GameUnavailable
from pearl_lightning.derk.backends.game.install import APT_INSTALL
from pearl_lightning.derk.backends.game.processes import browser_processes, session_processes
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import EPISODE_TICKS
from pearl_lightning.derk.tasks import DerkTask, LoadoutTasks
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode

SUBSTEPS = 40  # long steps, for the game plays an episode of few steps in a third of the time
STEPS = EPISODE_TICKS // SUBSTEPS
STEP_TIMEOUT = 5.0
KILL_NOTICED = 5.0  # seconds within which a killed process is reported; measured 0.7 to 1.7
HANG_NOTICED = STEP_TIMEOUT + 6.0  # the game's process, when it hangs itself, gets 3 s more than the step
RECOVERED = 60.0  # seconds within which the next episode has started; measured 5 to 9
CLEANED_UP = 10.0  # seconds after which nothing is left of a game whose owner is gone

TASKS = LoadoutTasks(train_tasks=2, test_tasks=0)


@pytest.fixture(scope="module")
def fragile(start_game: StartGame) -> GameBackend:
    return start_game(arenas=1, substeps=SUBSTEPS, start_timeout=120.0, step_timeout=STEP_TIMEOUT)


def session_of(backend: GameBackend) -> int:
    assert backend._child is not None
    return backend._child.pid


def processes_of(backend: GameBackend, kind: str) -> list[psutil.Process]:
    session = session_of(backend)
    if kind == "worker":
        return [psutil.Process(session)]
    if kind == "browser":
        return [process for process in session_processes(session) if process.ppid() == session]
    return browser_processes(session, kind)


def send(backend: GameBackend, kind: str, number: int) -> None:
    processes = processes_of(backend, kind)
    assert processes
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # another one took it along
            process.send_signal(number)


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def empty_replay() -> TaskReplay:
    generator = torch.Generator().manual_seed(0)
    return TaskReplay(tasks=len(TASKS), episodes_per_task=4, horizon=STEPS, recent_context=1, generator=generator)


class Saboteur:
    """Acts at random and calls ``fault`` before the third action."""

    def __init__(self, env: DerkEnv, fault: Callable[[], None]) -> None:
        self.env, self.fault = env, fault
        self.actions = 0
        self.time_of_fault = 0.0

    def __call__(self, observation: Tensor, step: int) -> Tensor:
        self.actions += 1
        if self.actions == 3:
            self.fault()
            self.time_of_fault = time.monotonic()
        action: Tensor = self.env.rand_action()["agents", "action"]
        return action


@pytest.mark.game
@pytest.mark.parametrize(
    ("kind", "number", "noticed_within", "message"),
    [
        pytest.param("browser", signal.SIGKILL, KILL_NOTICED, r"the browser died \(signal 9\)", id="browser-killed"),
        pytest.param("renderer", signal.SIGKILL, KILL_NOTICED, "renderer process died", id="renderer-killed"),
        pytest.param("gpu-process", signal.SIGKILL, KILL_NOTICED, "GPU process died", id="gpu-process-killed"),
        pytest.param("worker", signal.SIGKILL, KILL_NOTICED, r"its process died \(signal 9\)", id="worker-killed"),
        pytest.param(
            "renderer",
            signal.SIGSTOP,
            HANG_NOTICED,
            r"no answer within 5 s \(its renderer process stopped\)",
            id="renderer-stopped",
        ),
        pytest.param("worker", signal.SIGSTOP, HANG_NOTICED, "did not answer within 8 s", id="worker-stopped"),
    ],
)
def test_a_fault_loses_the_episode_in_time_leaves_nothing_and_the_next_one_plays(
    fragile: GameBackend, kind: str, number: int, noticed_within: float, message: str
) -> None:
    env = DerkEnv(arenas=1, tasks=TASKS, backend=fragile)
    replay = empty_replay()
    sessions: list[int] = []

    def fault() -> None:
        sessions.append(session_of(fragile))
        send(fragile, kind, number)

    saboteur = Saboteur(env, fault)
    restarts = fragile.restarts
    with pytest.raises(EpisodeLost, match=message):
        replay.extend(play_episode(env, FunctionPlayer(saboteur), attempts=1), is_context=True)
    assert time.monotonic() - saboteur.time_of_fault < noticed_within
    assert len(replay) == 0
    assert session_processes(sessions[0]) == []

    lost = time.monotonic()
    observation = env.reset()["agents", "observation"]
    assert time.monotonic() - lost < RECOVERED
    assert bool(observation.isfinite().all())
    assert fragile.restarts == restarts + 1
    assert session_of(fragile) != sessions[0]


@pytest.mark.game
def test_an_episode_lost_in_mid_play_is_played_again_and_only_the_whole_one_is_stored(fragile: GameBackend) -> None:
    def kill() -> None:
        renderers = processes_of(fragile, "renderer")
        send(fragile, "renderer", signal.SIGKILL)
        assert wait_until(lambda: all(map(is_dead, renderers)), 10.0)  # until then it may answer once more

    env = DerkEnv(arenas=1, tasks=TASKS, backend=fragile)
    replay = empty_replay()
    saboteur = Saboteur(env, kill)
    restarts = fragile.restarts
    episode = play_episode(env, FunctionPlayer(saboteur))
    replay.extend(episode, is_context=True)
    assert saboteur.actions == 3 + STEPS
    assert fragile.restarts == env.report()["restarts"] == restarts + 1
    assert len(replay) == STEPS
    stored = replay.buffer.storage.get(slice(0, STEPS + 1))
    assert torch.equal(stored["observation"], episode["observation"][0])
    own, other = fragile.team_stats()[0, 0, :2]
    assert float(episode["outcome"][0, -1]) == float(torch.sign(own - other))


@pytest.mark.game
def test_a_killed_worker_takes_the_browser_along_unasked(fragile: GameBackend) -> None:
    fragile.reset([TASKS[0]], 0)
    session = session_of(fragile)
    send(fragile, "worker", signal.SIGKILL)
    assert wait_until(lambda: session_processes(session) == [], CLEANED_UP)


@pytest.mark.game
def test_games_play_side_by_side_while_gym_derks_ports_are_taken(game: GameBackend, start_game: StartGame) -> None:
    """The second game is another process; with the same seed it plays the same match."""
    with ExitStack() as taken:
        for port in (8788, 8789):
            listener = taken.enter_context(socket.socket())
            with suppress(OSError):  # taken already
                listener.bind(("127.0.0.1", port))
                listener.listen()
        second = start_game(arenas=2)
        tasks = [TASKS[0], TASKS[1]]
        observations = [backend.reset(tasks, 5) for backend in (game, second)]
        assert torch.equal(*observations)
        action = torch.full((2, 2, 3, 5), 1.0)
        for _ in range(2):
            results = [backend.step(action) for backend in (game, second)]
            assert torch.equal(results[0][0], results[1][0])
        second.close()


def owner_of_a_game(ending: str, temporary: Path) -> subprocess.Popen[str]:
    """A Python process that plays a step, prints the game's session and folder, and then runs ``ending``."""
    program = f"""
import sys, torch
from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.tasks import LoadoutTasks
backend = GameBackend(arenas=1)
backend.reset([LoadoutTasks(train_tasks=1, test_tasks=0)[0]], 0)
backend.step(torch.zeros(2, 1, 3, 5))
print(backend._child.pid, backend._child.folder, flush=True)
{ending}
"""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=without_coverage() | {"TMPDIR": str(temporary)},
    )


@pytest.mark.game
def test_nothing_is_left_of_a_game_whose_owner_was_killed() -> None:
    with owner_of_a_game("sys.stdin.read()", Path("/tmp")) as owner:
        assert owner.stdout is not None
        session, folder = owner.stdout.readline().split()
        assert len(session_processes(int(session))) > 1
        assert Path(folder).exists()
        owner.kill()
        assert wait_until(lambda: session_processes(int(session)) == [], CLEANED_UP)
        assert wait_until(lambda: not Path(folder).exists(), CLEANED_UP)


@pytest.mark.game
def test_an_owner_that_ends_without_closing_leaves_nothing_and_no_notice_on_the_screen(tmp_path: Path) -> None:
    """The path of the folder for temporary files is longer than the browser's sockets allow."""
    long = tmp_path / ("long" * 20)
    long.mkdir()
    with owner_of_a_game("", long) as owner:
        printed, complained = owner.communicate(timeout=90)
    assert complained == ""  # gym would say that it is unmaintained
    assert owner.returncode == 0
    session, folder = printed.split()
    assert session_processes(int(session)) == []
    assert not Path(folder).exists()


@pytest.mark.game
def test_missing_gl_libraries_are_named_soon_with_their_install_line(
    start_game: StartGame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("LIBGL_DRIVERS_PATH", "GBM_BACKENDS_PATH", "__EGL_VENDOR_LIBRARY_FILENAMES"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    backend = start_game(arenas=1)
    start = time.monotonic()
    with pytest.raises(GameUnavailable, match="GL libraries may be missing") as caught:
        backend.reset([TASKS[0]], 0)
    assert APT_INSTALL in str(caught.value)
    assert time.monotonic() - start < 30.0


def fake_browser(folder: Path, commands: str) -> str:
    script = folder / "browser"
    script.write_text(f"#!/bin/sh\n{commands}\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("commands", "message"),
    [("exit 3", r"did not start: the browser died \(exit status 3\)"), ("sleep 98765", "no answer within 2 s")],
)
def test_a_browser_that_does_not_start_is_given_up_in_time(tmp_path: Path, commands: str, message: str) -> None:
    backend = GameBackend(arenas=1, browser=fake_browser(tmp_path, commands), start_timeout=2.0)
    start = time.monotonic()
    with pytest.raises(GameUnavailable, match=message):
        backend.reset([TASKS[0]], 0)
    assert time.monotonic() - start < 10.0
    assert [process for process in psutil.process_iter(["cmdline"]) if "98765" in (process.info["cmdline"] or ())] == []


def test_a_missing_browser_is_refused_with_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DERK_CHROME_EXECUTABLE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GameUnavailable, match="no browser found") as caught:
        GameBackend(arenas=1)
    assert APT_INSTALL in str(caught.value)


@pytest.mark.parametrize("setting", ["argument", "environment"])
def test_a_wrong_path_of_the_browser_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere")
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", path)
    name = "browser" if setting == "argument" else "DERK_CHROME_EXECUTABLE"
    with pytest.raises(GameUnavailable, match=rf"^{name} must be the path of an executable, got '{path}'"):
        GameBackend(arenas=1, browser=path if setting == "argument" else None)


def test_an_unknown_item_is_refused_when_the_task_is_made() -> None:
    with pytest.raises(ValueError, match="unknown item 'Bazooka'"):
        DerkTask(home_loadouts=[("Bazooka", None, None)] * 3, away_loadouts=[(None,) * 3] * 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arenas": 0}, "arenas must be at least 1, got 0"),
        ({"substeps": 0}, "substeps must be at least 1, got 0"),
        ({"step_timeout": 0.0}, r"step_timeout must be above 0 s, got 0\.0"),
        ({"start_timeout": -1.0}, r"start_timeout must be above 0 s, got -1\.0"),
        ({"renderer": "matrox"}, "renderer must be one of llvmpipe, swiftshader, got 'matrox'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GameBackend(**{"arenas": 1, **settings})


def test_a_game_is_used_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = GameBackend(arenas=2, browser=fake_browser(tmp_path, "exit 0"))
    with pytest.raises(RuntimeError, match="reset the game first"):
        backend.step(torch.zeros(2, 2, 3, 5))
    with pytest.raises(RuntimeError, match="between the end of an episode"):
        backend.team_stats()
    with pytest.raises(ValueError, match=r"tasks must contain one task per arena \(2\), got 1"):
        backend.reset([TASKS[0]], 0)
    backend.close()
    backend.close()
    with pytest.raises(RuntimeError, match="the game is closed"):
        backend.reset([TASKS[0]] * 2, 0)
