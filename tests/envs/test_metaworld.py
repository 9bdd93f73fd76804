"""Meta-World's benchmarks through ``GymnasiumEnv``, against Meta-World's own environments in a plain loop."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.metaworld import GOAL, MetaWorldEnv, MetaWorldTask, MetaWorldTasks
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.missing import missing_package

metaworld = pytest.importorskip("metaworld", reason="needs the extra metaworld")

STEPS = 60


@pytest.fixture(scope="module")
def reach() -> MetaWorldTasks:
    return MetaWorldTasks(env="reach-v3", validation_goals=10, seed=3)


@pytest.fixture(scope="module")
def ml10() -> MetaWorldTasks:
    return MetaWorldTasks(benchmark="ML10", env=None, validation_goals=5)


def played_by_metaworld(task: MetaWorldTask, actions: np.ndarray) -> dict[str, np.ndarray]:
    """Play a task in Meta-World's own environment, newly made."""
    env = metaworld.ALL_V3_ENVIRONMENTS[task.env]()
    env.set_task(task.official)
    observations, rewards, successes = [env.reset()[0]], [], []
    for action in actions:
        observation, reward, _, _, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        successes.append(info["success"])
    env.close()
    return {"observation": np.array(observations), "reward": np.array(rewards), "success": np.array(successes)}


def made_env(tasks: MetaWorldTasks, arenas: int, horizon: int = STEPS) -> GymnasiumEnv:
    return GymnasiumEnv(
        id="pearl_lightning.envs.metaworld.MetaWorldEnv",
        arenas=arenas,
        tasks=tasks,
        task_by="set_task",
        horizon=horizon,
    )


def played(env: GymnasiumEnv, actions: np.ndarray) -> Any:
    """Play an episode with actions ``[arena, step, 4]``."""
    return play_episode(env, FunctionPlayer(lambda _, step: torch.from_numpy(actions[:, step]).unsqueeze(1)))


def test_transitions_and_rewards_are_those_of_metaworld(ml10: MetaWorldTasks) -> None:
    env = made_env(ml10, 2)
    actions = np.random.default_rng(0).uniform(-1, 1, (2, STEPS, 4)).astype(np.float32)
    for chosen in ([0, 130], [131, 0]):  # the second time in environments that were used, or of another kind
        env.set_tasks(chosen)
        rows = played(env, actions)
        for arena, index in enumerate(chosen):
            expected = played_by_metaworld(ml10[index], actions[arena])
            seen, reward = rows["observation"][arena, :, 0].numpy(), rows["reward"][arena, :STEPS, 0].numpy()
            np.testing.assert_array_equal(seen, expected["observation"].astype(np.float32))  # with the last one
            np.testing.assert_array_equal(reward, expected["reward"].astype(np.float32))
    env.close()


def test_the_success_of_an_episode_is_that_of_any_of_its_steps(reach: MetaWorldTasks) -> None:
    env = made_env(reach, 2, horizon=120)
    env.set_tasks([0, 1])
    goal = torch.tensor(reach[0].vector[3:])

    def act(observation: torch.Tensor, step: int) -> torch.Tensor:
        """The first arm goes to the goal and leaves it again; the second does not move."""
        action = torch.zeros(2, 1, 4)
        action[0, 0, :3] = 10 * (goal - observation[0, 0, :3]) if step < 90 else -1.0
        return action.clamp(-1, 1)

    rows = play_episode(env, FunctionPlayer(act))
    expected = [played_by_metaworld(reach[arena], rows["action"][arena, :120, 0].numpy()) for arena in range(2)]
    assert [each["success"][-1] for each in expected] == [0, 0]
    assert [each["success"].max() for each in expected] == [1, 0]
    assert env.episode_statistics()["success"].tolist() == [1.0, 0.0]
    env.close()


def test_the_goal_is_hidden(ml10: MetaWorldTasks) -> None:
    env = MetaWorldEnv()
    with pytest.raises(RuntimeError, match="MetaWorldEnv needs a task before reset: call set_task first"):
        env.reset()
    for index in (0, 60):
        env.set_task(ml10[index])
        assert not env.reset()[0][GOAL].any()
        assert not env.step(env.action_space.sample())[0][GOAL].any()
    env.close()


def test_the_splits_of_ml10_are_the_official_ones(ml10: MetaWorldTasks) -> None:
    counts = {}
    for split in ("train", "validation", "test"):
        names = [task.env for task in getattr(ml10, split)]
        counts[split] = {name: names.count(name) for name in dict.fromkeys(names)}
    official = metaworld.env_dict.ML10_V3
    assert counts["train"] == dict.fromkeys(official["train"], 45)
    assert counts["validation"] == dict.fromkeys(official["train"], 5)
    assert counts["test"] == dict.fromkeys(official["test"], 50)
    assert len({(task.env, task.vector) for index in range(len(ml10)) for task in [ml10[index]]}) == 750
    assert ml10.kind(0) == "reach-v3"
    assert ml10.descriptors() is None


def test_tasks_are_those_of_the_seed(reach: MetaWorldTasks) -> None:
    official = metaworld.ML1("reach-v3", seed=3)
    assert [task.official for task in (*reach.train, *reach.validation)] == official.train_tasks
    assert [task.official for task in reach.test] == official.test_tasks
    assert (len(reach.train), len(reach.validation), len(reach.test)) == (40, 10, 50)
    other = MetaWorldTasks(env="reach-v3", seed=4)
    assert {task.vector for task in other.train}.isdisjoint(task.vector for task in reach.train)
    assert reach.descriptors().shape == (40, 6)


def test_a_task_is_recorded_as_numbers(reach: MetaWorldTasks) -> None:
    record = json.loads(json.dumps(reach.record(0)))
    assert record == {"env": "reach-v3", "vector": list(reach[0].vector)}
    assert reach.describe(0).startswith("reach-v3 ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env": "rech-v3"}, "env must be an environment of Meta-World such as reach-v3, got 'rech-v3'"),
        ({"benchmark": "ML10"}, "env must be null for ML10, which has several environments, got 'reach-v3'"),
        ({"benchmark": "ML2"}, "benchmark must be one of ML1, ML10, ML25, ML45, got 'ML2'"),
        ({"validation_goals": 50}, r"validation_goals must be in \[0, 49\], got 50"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaWorldTasks(**settings)


def test_the_package_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pearl_lightning.missing.find_spec", lambda name: None)
    told = missing_package(
        "Problem with given class_path 'pearl_lightning.envs.metaworld.MetaWorldTasks': No module named 'metaworld'"
    )
    assert told == "MetaWorldTasks needs metaworld: pip install 'pearl-lightning[metaworld]'"


def test_the_module_is_imported_without_metaworld() -> None:
    command = "import sys, pearl_lightning.envs.metaworld; assert not {'metaworld', 'mujoco'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)
