"""DerkEnv on the simulator."""

import warnings
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks

FLAT = {"terrain": "flat", "threads": 1}


def make_env(arenas: int = 3, options: dict[str, Any] | None = None, **settings: Any) -> DerkEnv:
    tasks = LoadoutTasks(train_tasks=4, test_tasks=2, opponent="attacker", bounties="shaped")
    return DerkEnv(arenas=arenas, tasks=tasks, backend="simulator", backend_options=FLAT | (options or {}), **settings)


def play(env: DerkEnv, steps: int = 1_000) -> TensorDict:
    """An episode in which the home team walks towards its enemies, and around."""

    def walk(step: TensorDict) -> TensorDict:
        action = torch.zeros(env.arenas, 3, 5)
        action[..., 0], action[..., 1] = 1.0, 0.02
        step["agents", "action"] = action
        return step

    return env.rollout(steps, policy=walk)


@pytest.mark.parametrize("observe_time", [False, True])
def test_specs_match_what_the_environment_writes(observe_time: bool) -> None:
    env = make_env(observe_time=observe_time)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_specs(env)
    assert env.reset()["agents", "observation"].shape == (3, 3, 64 + observe_time)
    env.close()


def test_an_episode_is_150_steps_and_its_outcome_compares_the_rewards() -> None:
    env = make_env()
    episode = play(env)
    assert episode.batch_size == (3, 150)
    terminated = episode["next", "terminated"][..., 0]
    assert terminated.sum(dim=1).tolist() == [1] * 3
    assert bool(terminated[:, -1].all())
    outcome = episode["next", "outcome"][..., 0]
    assert not outcome[:, :-1].any()
    assert set(outcome[:, -1].tolist()) <= {-1.0, 0.0, 1.0}
    env.close()


def test_the_same_seed_plays_the_same_episodes() -> None:
    runs = []
    for seed in (7, 7, 8):
        env = make_env()
        env.set_seed(seed)
        runs.append(torch.stack([play(env, steps=30)["next", "agents", "observation"] for _ in range(2)]))
        env.close()
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0][0], runs[0][1])  # every episode draws its own spawns


@pytest.mark.parametrize("options", [{}, {"episode_ticks": 100, "substeps": 10}])
def test_the_time_left_is_observed_on_request(options: dict[str, int]) -> None:
    env = make_env(options=options, observe_time=True)
    episode = play(env)
    steps = 10 if options else 150
    left = episode["agents", "observation"][0, :, 0, -1]
    torch.testing.assert_close(left, 1 - torch.arange(steps) / steps)
    assert episode["next", "agents", "observation"][0, -1, 0, -1] == 0
    env.close()


def test_a_closed_environment_starts_a_new_simulator() -> None:
    env = make_env()
    env.set_seed(1)
    first = play(env, steps=5)["next", "agents", "observation"]
    env.close()
    env.set_seed(1)
    assert torch.equal(play(env, steps=5)["next", "agents", "observation"], first)
    env.close()


def test_the_simulator_is_named_in_the_report() -> None:
    env = make_env()
    env.reset()
    assert env.report() == {"simulator": "cpu, gym-derk 1.1.1's rules"}
    env.close()
