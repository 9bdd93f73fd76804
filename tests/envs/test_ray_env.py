"""An environment spread over two workers of a Ray of this machine."""

from __future__ import annotations

import csv
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from ray_environments import BreakingRobot
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from pearl_lightning.cli import main
from pearl_lightning.commands.environments import make_env
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks
from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
from pearl_lightning.envs.ray import env as ray_env
from pearl_lightning.envs.ray.env import RayEnv, _concatenated
from pearl_lightning.envs.ray.workers import RayWorkers
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="Ray is optional")

ROOT = Path(__file__).parent.parent.parent
ROBOT = partial(PointRobot, arenas=2, tasks=GoalTasks(train_tasks=6, test_tasks=2))


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEnv]:
    """Two workers of two arenas that break on command, on a Ray that the tests share: starting it takes seconds."""
    orders = tmp_path_factory.mktemp("ray") / "orders"
    robot = partial(BreakingRobot, orders=str(orders))
    env = RayEnv(env=robot, workers=2, start_timeout=120, step_timeout=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        env.reset()
    yield env
    env.close(raise_if_closed=False)


@pytest.fixture
def orders(spread: RayEnv) -> Path:
    """The folder in which workers look for instructions to break."""
    return Path(spread.workers.make_env.keywords["orders"])  # type: ignore[attr-defined]


def moves(arenas: int, agents: int, width: int) -> Callable[[Tensor, int], Tensor]:
    """Actions that depend on the arena, the step and the observation."""

    def act(observation: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        noise = torch.rand(arenas, agents, width, generator=generator)
        return (noise - observation[..., :width].abs() / 2).clamp(0, 1)

    return act


def fight(observation: Tensor, step: int) -> Tensor:
    """Legal actions of Derk's Gym that depend on the same."""
    action = torch.zeros(*observation.shape[:2], 5)
    action[..., :3] = moves(*observation.shape[:2], 3)(observation, step)
    action[..., 3] = step % 4
    action[..., 4] = (torch.arange(len(action)).unsqueeze(1) + step // 10) % 8
    return action


def local_episode(make_env: Callable[[], MetaEnv], seeds: list[int], tasks: list[int], act: Any) -> TensorDict:
    """Episodes of environments in this process, each with its seed and its share of the tasks and actions."""
    parts = []
    for number, seed in enumerate(seeds):
        env = make_env()
        first = number * env.arenas
        share = slice(first, first + env.arenas)
        env.set_tasks(tasks[share])
        env.set_seed(seed)
        whole = len(seeds) * env.arenas

        def own(observation: Tensor, step: int, share: slice = share, whole: int = whole) -> Tensor:
            everyone = observation.new_zeros(whole, *observation.shape[1:])
            everyone[share] = observation
            return act(everyone, step)[share]

        parts.append(play_episode(env, FunctionPlayer(own)))
        env.close(raise_if_closed=False)
    return TensorDict.cat(parts)


def drawn_seeds(seed: int, episodes: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2**31 - 1, (2,), generator=generator).tolist() for _ in range(episodes)]


def assert_equal(first: TensorDict, second: TensorDict) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_specs_hold(spread: RayEnv) -> None:
    check_env_specs(spread)


def test_every_arena_plays_as_in_an_environment_of_this_process_with_the_seed_that_was_drawn(spread: RayEnv) -> None:
    tasks, act = [5, 0, 3, 7], moves(4, 1, 2)
    spread.set_tasks(tasks)
    spread.set_seed(11)
    first, second = play_episode(spread, FunctionPlayer(act)), play_episode(spread, FunctionPlayer(act))
    for played, seeds in zip((first, second), drawn_seeds(11, 2), strict=True):
        assert_equal(played, local_episode(ROBOT, seeds, tasks, act))
    assert not torch.equal(first["observation"], second["observation"])
    goals = torch.tensor([spread.tasks[task].goal for task in tasks])
    torch.testing.assert_close(spread.episode_statistics()["distance"], goals.norm(dim=-1))


def test_derk_plays_as_in_this_process_with_its_events_statistics_and_outcomes(spread: RayEnv) -> None:
    make_derk = partial(
        DerkEnv,
        arenas=2,
        tasks=LoadoutTasks(train_tasks=4, test_tasks=1, opponent="attacker"),
        count_events=True,
        backend_options={"threads": 1},
    )
    env = RayEnv(env=make_derk, workers=2, cpus=0)
    assert (env.features, env.events, env.has_outcome) == (64, make_derk().events, True)
    tasks, act = [3, 1, 4, 0], fight
    env.set_tasks(tasks)
    env.set_seed(2)
    played = play_episode(env, FunctionPlayer(act))
    assert_equal(played, local_episode(make_derk, drawn_seeds(2, 1)[0], tasks, act))
    assert played["events"].any()
    assert played["outcome"].any()
    assert env.episode_statistics()["kills"].shape == (4,)
    assert env.report()["simulator"] == "cpu, gym-derk 1.1.1's rules"
    env.close()


def test_what_a_worker_lacks_is_filled_in_whichever_worker_it_is() -> None:
    with_it, without = {"outcome": np.ones(2, np.float32), "is_over": False}, {"is_over": True}
    for parts, expected in (((with_it, without), [1, 1, 0, 0]), ((without, with_it), [0, 0, 1, 1])):
        joined = _concatenated(parts, 2, 0.0)
        assert joined["outcome"].tolist() == expected
        assert joined["is_over"] is parts[0]["is_over"]
    assert _concatenated((without, {"success": np.ones(2)}), 2, np.nan)["success"].isnan().tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_a_run_goes_on_from_the_random_state_alone(spread: RayEnv) -> None:
    act = moves(4, 1, 2)
    spread.set_seed(4)
    play_episode(spread, FunctionPlayer(act))
    state = spread.random_state()
    expected = play_episode(spread, FunctionPlayer(act))
    spread.load_random_state(state)
    assert_equal(play_episode(spread, FunctionPlayer(act)), expected)


@pytest.mark.parametrize(
    ("order", "message"), [("die", r"worker [01] on \S+ died"), ("lose", r"worker [01] on \S+: the robot fell over")]
)
def test_a_worker_that_breaks_loses_the_episode_and_the_next_one_plays(
    spread: RayEnv, orders: Path, order: str, message: str
) -> None:
    act = moves(4, 1, 2)
    spread.set_seed(1)
    play_episode(spread, FunctionPlayer(act))
    before = spread.report()
    orders.write_text(order)
    with pytest.raises(EpisodeLost, match=f"^the episode is lost: {message}$"):
        play_episode(spread, FunctionPlayer(act), attempts=1)
    with pytest.raises(RuntimeError, match="reset the environment first"):
        spread.advance(torch.zeros(4, 1, 2))
    assert_equal(
        play_episode(spread, FunctionPlayer(act)),
        local_episode(ROBOT, drawn_seeds(1, 3)[-1], spread.next_tasks.tolist(), act),
    )
    after = spread.report()
    assert int(after["restarts"]) == int(before["restarts"]) + 1
    assert (after["workers"], after["robot"]) == ("2 on 1 machine", "round")
    assert len(str(after["process"]).split(", ")) == 2
    assert (after["process"] == before["process"]) == (order == "lose")


def test_a_worker_that_hangs_is_given_up_after_the_time_out(spread: RayEnv, orders: Path) -> None:
    act = moves(4, 1, 2)
    play_episode(spread, FunctionPlayer(act))
    spread.step_timeout = 0.5
    orders.write_text("hang")
    start = time.monotonic()
    with pytest.raises(EpisodeLost, match=r"worker [01] on \S+ did not answer within 0\.5 s"):
        play_episode(spread, FunctionPlayer(act), attempts=1)
    assert time.monotonic() - start < 60
    spread.step_timeout = 60
    play_episode(spread, FunctionPlayer(act))


def test_what_else_a_worker_raises_is_told_with_its_place(spread: RayEnv, orders: Path) -> None:
    spread.reset()
    orders.write_text("err")
    with pytest.raises(RuntimeError, match=r"^worker [01] on \S+: ZeroDivisionError: the robot divided by zero$"):
        spread.advance(torch.zeros(4, 1, 2))
    spread.reset()
    with pytest.raises(RuntimeError, match=r"ValueError: action \[0, 0, 0\] .* must be in \[-1, 1\], got nan"):
        spread.advance(torch.full((4, 1, 2), torch.nan))


def test_a_cluster_that_is_not_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # whatever the other tests started
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConnectionError, match=f"address must be the address of a running Ray cluster, got {address}: "):
        RayWorkers(ROBOT, count=1, address=address, cpus=0, gpus=0, start_timeout=1).start()


def test_losing_again_and_again_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: Any) -> None:
        raise EpisodeLost("worker 0 died")

    env = RayEnv(env=ROBOT, workers=2)
    monkeypatch.setattr(env.workers, "start", lambda: [0])
    monkeypatch.setattr(env.workers, "ask", lose)
    for _ in range(10):
        with pytest.raises(EpisodeLost, match="^the episode is lost: worker 0 died$"):
            env.reset()
    with pytest.raises(RuntimeError, match="10 episodes in a row were lost on the workers"):
        env.reset()


def test_workers_that_do_not_fit_the_cluster_are_not_waited_for_longer_than_told(spread: RayEnv) -> None:
    env = RayEnv(env=ROBOT, workers=1, cpus=1000, start_timeout=1)
    with pytest.raises(RuntimeError, match="each needs 1000 CPUs and 0 GPUs of the cluster: worker 0 did not answer"):
        env.reset()
    env.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"cpus": -1}, "cpus must be at least 0, got -1"),
        ({"gpus": -1}, "gpus must be at least 0, got -1"),
        ({"step_timeout": 0}, "step_timeout must be above 0 s, got 0"),
        ({"env": dict}, "env must be a function that returns a MetaEnv, got dict"),
        ({"env": PointRobot(arenas=1, tasks=GoalTasks())}, "env must be a function .* got PointRobot"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RayEnv(**{"env": ROBOT, "workers": 2, **settings})


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_env, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"^RayEnv needs Ray: pip install 'pearl-lightning\[ray\]'$"):
        RayEnv(env=ROBOT, workers=2)


def test_a_run_trains_and_is_evaluated_with_it_as_a_config_says(
    spread: RayEnv, tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(tiny_config.read_text())
    data = content["data"]
    data["env"]["init_args"]["arenas"] = 2
    data["env"] = {
        "class_path": f"{RayEnv.__module__}.RayEnv",
        "init_args": {"workers": 2, "cpus": 0, "env": data["env"]},
    }
    config = tmp_path / "spread.yaml"
    config.write_text(yaml.safe_dump(content))
    assert main(["fit", "--config", str(config), "--runs_dir", str(tmp_path)]) == 0
    with (tmp_path / "tiny" / "metrics.csv").open() as file:
        collected = [row["collect/env_steps"] for row in csv.DictReader(file) if row["collect/env_steps"]]
    assert collected == ["240.0", "480.0", "720.0", "960.0"]
    checkpoint = str(tmp_path / "tiny" / "checkpoints" / "last.ckpt")
    assert main(["evaluate", checkpoint, "--episodes", "2", "--matches", "2"]) == 0
    assert main(["tasks", str(config)]) == 0
    output = capfd.readouterr()
    assert "2 tasks x 2 matches" in output.out
    assert "train: 4 tasks" in output.out
    assert output.err == ""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("env.init_args.workers=0", "workers must be at least 1, got 0"),
        ("env.init_args.env.init_args.arenas=x", "arenas: Expected int. Got value: x"),
        ("env.init_args.env.init_args.arena=2", "arena"),
    ],
)
def test_a_wrong_config_is_said_on_one_line(
    setting: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    configs = [f"--config={ROOT}/configs/{name}.yaml" for name in ("derk", "derk_game", "ray")]
    assert main(["fit", *configs, "--runs_dir", str(tmp_path), f"--data.init_args.{setting}"]) == 1
    errors = capfd.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_options_of_commands_reach_one_workers_environment() -> None:
    configs = [ROOT / "configs" / f"{name}.yaml" for name in ("derk", "derk_game", "ray")]
    env = make_env(configs, "simulator", "away", statistics=True)
    assert isinstance(env, RayEnv)
    assert (env.arenas, env.events > 0, env.has_outcome) == (64, True, True)
    assert {name: env.workers.make_env.keywords[name] for name in ("backend", "side")} == {  # type: ignore[attr-defined]
        "backend": "simulator",
        "side": "away",
    }
    alone = make_env(configs, arenas=1)  # to watch
    assert isinstance(alone, DerkEnv)
    assert alone.arenas == 1


def test_a_ray_of_this_machine_is_closed_to_others_and_leaves_the_signals_alone(spread: RayEnv) -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) > 3
    assert all(ip_address(ip.removeprefix("::ffff:")).is_loopback for ip in listening)


def test_workers_do_not_give_way_to_other_processes(spread: RayEnv) -> None:
    spread.reset()
    workers = [p for p in psutil.Process().children(recursive=True) if "ArenaWorker" in "".join(p.cmdline())]
    assert len(workers) == 2
    assert {worker.nice() for worker in workers} == {psutil.Process().nice()}


def test_closing_leaves_no_process_and_a_reset_starts_anew(spread: RayEnv) -> None:
    others = ("resource_tracker", "pearl_fork")  # which other tests of this process may have started
    children = psutil.Process().children(recursive=True)
    processes = [p for p in children if not any(name in str(p.cmdline()) for name in others)]
    assert len(processes) > 3
    spread.close()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []
    spread.close()
