"""Tasks of Gymnasium environments: types of parameters, paths of attributes, and errors that name what does not fit."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gym_environments
import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces

from pearl_lightning.commands.config_files import FOLDER
from pearl_lightning.commands.environments import make_env
from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.gymnasium_tasks import ArenaError, set_attribute
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.envs.spaces import have_same_layout
from pearl_lightning.experience.player import UniformPlayer
from pearl_lightning.experience.rollout import play_episode

JOINTED = "gym_environments.Jointed"
CHOICES: dict[str, Any] = {"length": [1, 2.5], "mode": ["slow", "10"], "quick": [True, False]}


def env_of(id: str, tasks: dict[str, Any], **settings: Any) -> GymnasiumEnv:
    return GymnasiumEnv(**({"id": id, "arenas": 2, "tasks": ParameterTasks(**tasks), "horizon": 12} | settings))


def random_episode(env: GymnasiumEnv) -> Any:
    return play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)))


def test_choices_reach_the_environment_with_the_types_of_the_config(tmp_path: Path) -> None:
    tasks = {"class_path": "ParameterTasks", "init_args": {"choices": CHOICES}}
    settings = {"id": JOINTED, "arenas": 8, "horizon": 12, "tasks": tasks}
    config = tmp_path / "jointed.yaml"
    config.write_text(yaml.safe_dump({"data": {"env": {"class_path": "GymnasiumEnv", "init_args": settings}}}))
    env: Any = make_env([FOLDER / "point_robot.yaml", config])
    seen = {(type(value), value) for task in env.tasks.train for value in task.values()}
    assert seen == {(int, 1), (float, 2.5), (str, "slow"), (str, "10"), (bool, True), (bool, False)}
    env.reset()
    held = env._arenas.vector.envs[3].unwrapped
    assert {"length": held.length, "mode": held.mode, "quick": held.quick} == env.tasks[3]


def test_numbers_stay_numbers_and_other_choices_are_one_hot() -> None:
    tasks = ParameterTasks(choices=CHOICES, ranges={"offset": [1.0, 2.0]}, log=["offset"])
    given = {"offset": 1.0, "length": 1, "mode": "10", "quick": True}
    assert tasks.numbers(given) == [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    assert tasks.descriptors().shape == (100, 6)
    mixed = ParameterTasks(choices={"seed": [1, True, None]})  # equal in Python, but not the same
    assert [mixed.numbers({"seed": value}) for value in (1, True, None)] == np.eye(3).tolist()
    assert "mode" in tasks.describe(0)
    env = env_of(JOINTED, {"choices": CHOICES}, observe_task=True)
    observed = env.reset()["agents", "observation"][:, 0, -5:]
    assert observed.tolist() == [env.tasks.numbers(env.tasks[index]) for index in range(2)]


def test_an_attribute_may_be_in_a_part_of_the_environment_and_in_an_array() -> None:
    ranges = {"dynamics.mass": [2.0, 3.0], "dynamics.forces.1": [4.0, 5.0]}
    env = env_of(JOINTED, {"ranges": ranges, "choices": {"dynamics.counts.0": [7]}})
    env.reset()
    for each, task in zip(env._arenas.vector.envs, env.tasks.train, strict=False):
        part = each.unwrapped.dynamics
        assert task == {
            "dynamics.mass": part.mass,
            "dynamics.forces.1": part.forces[1],
            "dynamics.counts.0": part.counts[0],
        }
    weights = np.zeros((2, 2))
    set_attribute({0: weights}, "0.1.0", 3.0)
    assert weights.tolist() == [[0, 0], [3, 0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dynamics.mas", "gym_environments.Jointed has no attribute dynamics.mas: check the parameters"),
        ("dynamic.mass", "has no attribute dynamic (in dynamic.mass)"),
        ("dynamics.mass.0", "has no attribute dynamics.mass.0"),
        ("dynamics.forces.3", "has no attribute dynamics.forces.3"),
        ("dynamics.forces", "has an array in dynamics.forces: name one of its numbers, such as dynamics.forces.0"),
        ("dynamics.counts.1", "has whole numbers in dynamics.counts.1: give it choices"),
    ],
)
def test_a_wrong_attribute_is_refused_when_the_environment_is_made(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        env_of(JOINTED, {"ranges": {name: [0.5, 0.9]}})


def test_episodes_of_one_step_with_rewards_of_numpy() -> None:
    env = env_of("gym_environments.Lottery", {"choices": {"prize": [0, 2]}}, arenas=20)
    env.set_tasks(torch.arange(20))
    rows = random_episode(env)
    assert rows["played"].sum(dim=1).tolist() == [1] * 20
    drawn = rows["action"][:, 0, 0, 1]
    won = torch.tensor([float(drawn[arena] == env.tasks[arena]["prize"]) for arena in range(20)])
    assert torch.equal(rows["reward"][:, 0, 0], won)
    assert torch.equal(env.episode_statistics()["success"], won)
    assert rows["terminated"][:, 0].all()


def test_tasks_that_change_the_spaces_are_refused() -> None:
    env = env_of("gym_environments.Lottery", {"choices": {"size": [2, 3]}}, arenas=8, task_by="constructor")
    with pytest.raises(ArenaError, match=r"arena \d raised ValueError: all tasks must have the same observations, got"):
        env.reset()
    first, narrow = spaces.Box(-1, 1, (2,)), spaces.Box(-9, 9, (2,))
    assert have_same_layout(spaces.Tuple([first]), spaces.Tuple([narrow]))
    assert not have_same_layout(spaces.Dict(a=first), spaces.Dict(b=first))
    assert not have_same_layout(spaces.Discrete(2), spaces.Discrete(2, start=1))


@pytest.mark.parametrize(
    ("id", "settings", "message"),
    [
        (
            "gym_environments.Worded",
            {},
            "action space[0] must be a Box, Discrete, MultiDiscrete, MultiBinary, Tuple or",
        ),
        (
            "gym_environments.Read",
            {},
            "observation space['page'] must be a Box, Discrete, MultiDiscrete, MultiBinary, T",
        ),
        ("gym_environments.Walk", {"horizon": 0}, "horizon must be at least 1, got 0"),
        (
            "gym_environments.Walk",
            {"kwargs": {"size": 1}},
            "gym_environments.Walk cannot be made with the given argume",
        ),
        (
            "gym_environments.Walk",
            {"kwargs": {"render_mode": "rgb_array"}},
            "gym_environments.Walk draws no pictures: ",
        ),
        (
            "Pendulum-v0",
            {},
            "id must be a registered environment or module.Class, got 'Pendulum-v0': is it Pendulum-v1",
        ),
        (
            "no_module:Name-v0",
            {},
            "id must be a registered environment or module.Class, got 'no_module:Name-v0': No mod",
        ),
    ],
)
def test_an_environment_that_does_not_fit_is_named(id: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        env_of(id, {"ranges": {"length": [0.5, 1.0]}}, **settings)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"place": np.zeros(3)}, "observations must fit Dict("),
        ({"mode": 9}, "observations must fit Dict("),
        ({"reward": np.zeros(2)}, "rewards must be single numbers, got array([0., 0.])"),
    ],
)
def test_what_an_environment_must_not_return_is_named(
    returned: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = gym_environments.Walk.step

    def wrong(self: Any, action: Any) -> Any:
        observation, reward, *ends = step(self, action)
        return observation | returned, returned.get("reward", reward), *ends

    monkeypatch.setattr(gym_environments.Walk, "step", wrong)
    env = env_of("gym_environments.Walk", {"ranges": {"length": [0.5, 1.0]}})
    with pytest.raises(ArenaError, match=r"^arena 0 raised ValueError: .* \(in step 1, with the task ") as error:
        random_episode(env)
    assert message in str(error.value)


def test_pictures_need_a_render_mode() -> None:
    env = env_of("gym_environments.Pictured", {"ranges": {"length": [0.5, 1.0]}})
    env.reset()
    with pytest.raises(ValueError, match="need kwargs.render_mode rgb_array, got None; .* has the modes"):
        env.picture()


def test_a_package_that_pictures_need_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    monkeypatch.setattr("pearl_lightning.missing.find_spec", lambda name: None)
    env = env_of("Pendulum-v1", {"ranges": {"g": [5.0, 9.0]}}, kwargs={"render_mode": "rgb_array"})
    env.reset()
    with pytest.raises(RuntimeError, match=r"^Pendulum-v1 needs pygame: pip install 'gymnasium\[classic-control\]'$"):
        env.picture()
