"""Gymnasium environments as MetaEnvs, against Gymnasium's own environments in a plain Python loop."""

from __future__ import annotations

import math
import re
from typing import Any

import gym_environments
import gymnasium
import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces
from torchrl.envs.utils import check_env_specs

from pearl_lightning.agents.uniform import UniformAgent
from pearl_lightning.cli import main
from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.gymnasium_tasks import TaskBy
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.envs.spaces import to_action_space
from pearl_lightning.evaluation import evaluate_adaptation
from pearl_lightning.experience.player import FunctionPlayer, UniformPlayer
from pearl_lightning.experience.rollout import play_episode

WALK = "gym_environments.Walk"
LENGTHS = ParameterTasks(ranges={"length": [0.5, 3.0]}, train_tasks=5, validation_tasks=2)


def drawn_seeds(env: GymnasiumEnv, seed: int) -> list[int]:
    """The seeds of the first episode after ``set_seed``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2**31 - 1, (env.arenas,), generator=generator).tolist()


@pytest.mark.parametrize(
    ("id", "settings"),
    [
        ("Pendulum-v1", {"ranges": {"g": [5.0, 15.0], "m": [0.5, 2.0]}, "log": ["m"]}),
        ("CartPole-v1", {"ranges": {"length": [0.3, 1.0]}, "choices": {"force_mag": [5.0, 10.0, 15.0]}}),
        ("Acrobot-v1", {"ranges": {"LINK_LENGTH_1": [0.5, 1.5]}}),
        ("MountainCarContinuous-v0", {"ranges": {"power": [0.001, 0.003]}}),
    ],
)
def test_a_registered_environment_plays_as_it_does_by_itself(id: str, settings: dict[str, Any]) -> None:
    tasks = ParameterTasks(**settings, train_tasks=4, validation_tasks=0, test_tasks=0)
    env = GymnasiumEnv(id=id, arenas=4, tasks=tasks, horizon=60)
    env.set_seed(3)
    env.set_tasks([0, 1, 2, 3])
    rows = play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)))
    for arena, seed in enumerate(drawn_seeds(env, 3)):
        alone = gymnasium.make(id)
        for name, value in tasks[arena].items():
            setattr(alone.unwrapped, name, value)
        observation, _ = alone.reset(seed=seed)
        length = int(rows["played"][arena].sum())
        for step in range(length):
            np.testing.assert_allclose(rows["observation"][arena, step, 0], observation, rtol=1e-6)
            action = rows["action"][arena, step, 0].numpy()
            is_discrete = isinstance(alone.action_space, spaces.Discrete)
            observation, reward, terminated, truncated, _ = alone.step(int(action[0]) if is_discrete else action)
            assert float(rows["reward"][arena, step, 0]) == pytest.approx(float(reward), rel=1e-5, abs=1e-6)
            assert bool(rows["terminated"][arena, step]) == terminated
            assert (terminated or truncated or step == 59) == (step == length - 1)
        np.testing.assert_allclose(rows["observation"][arena, length, 0], observation, rtol=1e-6)
    env.close()


def test_it_passes_torchrls_checks() -> None:
    tasks = ParameterTasks(ranges={"length": [0.3, 1.0]})
    check_env_specs(GymnasiumEnv(id="CartPole-v1", arenas=3, tasks=tasks, horizon=20))


@pytest.mark.parametrize("task_by", ["attributes", "options", "set_task", "constructor"])
def test_a_task_reaches_the_environment_in_every_way(task_by: TaskBy) -> None:
    env = GymnasiumEnv(id=WALK, arenas=3, tasks=LENGTHS, horizon=20, task_by=task_by, kwargs={"offset": 0.01})
    move = torch.zeros(3, 1, env.action_space.width)
    move[..., 0] = 0.2
    for tasks in ([0, 1, 2], [3, 3, 0]):
        env.set_tasks(tasks)
        rows = play_episode(env, FunctionPlayer(lambda observation, step: move))
        for arena, task in enumerate(tasks):
            moved = float(rows["observation"][arena, 1, 0, _place()] - rows["observation"][arena, 0, 0, _place()])
            assert moved == pytest.approx(LENGTHS[task]["length"] * 0.2 * 0.1 + 0.01, abs=1e-6)


def _place() -> int:
    """The column of the first number of ``place`` among the flattened features."""
    space = gym_environments.Walk.observation_space
    sample = space.sample()
    sample["place"] = np.array([123.0, 0.0])
    return int((spaces.flatten(space, sample) == 123.0).argmax())


def test_spaces_of_every_kind_are_flattened_and_put_together_again() -> None:
    env = GymnasiumEnv(id=WALK, arenas=50, tasks=LENGTHS, horizon=20)
    assert env.action_space.choices in [(3, 2, 4, 2, 2)]
    assert (env.action_space.low, env.action_space.high) == ((-2.0, -2.0), (1.0, 1.0))
    assert env.features == spaces.flatdim(gym_environments.Walk.observation_space)
    play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)))
    taken = [
        action for each in env._arenas.vector.envs for action in each.unwrapped.taken
    ]  # legal, or Walk would complain
    assert {int(action["gear"]) for action in taken} == {-1, 0, 1}
    assert {tuple(action["switches"][0].tolist()) for action in taken} == {(i, j) for i in range(2) for j in range(4)}


def test_a_success_is_a_statistic_of_the_episode() -> None:
    env = GymnasiumEnv(id=WALK, arenas=2, tasks=LENGTHS, horizon=20)
    moves = torch.zeros(2, 1, env.action_space.width)
    moves[0, :, 0] = 1.0
    play_episode(env, FunctionPlayer(lambda observation, step: moves))
    assert env.episode_statistics()["success"].tolist() == [1.0, 0.0]


def test_a_success_that_is_reported_in_some_episodes_only_counts_in_those() -> None:
    env = GymnasiumEnv(id="gym_environments.Shy", arenas=1, tasks=LENGTHS, horizon=20)
    agent = UniformAgent(env.features, env.action_space)
    result = evaluate_adaptation(env, agent, [0, 1], episodes=3, deterministic=False)
    assert sorted(row.success_rate or 0.0 for row in result.table().episodes) == [0.0, 0.0, 1.0]


def test_the_oracle_observes_the_parameters() -> None:
    env = GymnasiumEnv(id=WALK, arenas=2, tasks=LENGTHS, horizon=20, observe_task=True)
    env.set_tasks([1, 4])
    observation = env.reset()["agents", "observation"]
    assert observation[:, 0, -1].tolist() == pytest.approx([LENGTHS[1]["length"], LENGTHS[4]["length"]])
    assert env.observes_task


def test_the_same_seed_gives_the_same_episode() -> None:
    episodes = []
    for _ in range(2):
        env = GymnasiumEnv(id=WALK, arenas=3, tasks=LENGTHS, horizon=20)
        env.set_seed(7)
        play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)))
        state = env.random_state()
        first = play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(1)))
        env.load_random_state(state)
        again = play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(1)))
        assert all(torch.equal(first[name], again[name]) for name in ("observation", "action", "reward"))
        episodes.append(first)
    assert all(torch.equal(episodes[0][name], episodes[1][name]) for name in ("observation", "action", "reward"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"id": "gym_environments.Boundless"}, r"action space\['far'\] must be bounded, got Box"),
        ({"id": "gym_environments.Worded"}, r"action space\[0\] must be a Box, Discrete, .* got Text"),
        ({"id": "gym_environments.Nothing"}, "id must be a registered environment or module.Class, got 'gym_env"),
        ({"id": "Pendulumm"}, "id must be a registered environment or module.Class, got 'Pendulumm'"),
        ({"id": "gym_environments.np"}, "must be a registered environment or the path of a gymnasium.Env"),
        ({"horizon": None}, "horizon must be given, because .* has no max_episode_steps of its own, got None"),
        ({"id": "CartPole-v1", "task_by": "set_task"}, "task_by must not be set_task for CartPole-v1"),
        ({"tasks": ParameterTasks(ranges={"size": [0, 1]})}, "has no attribute size"),
    ],
)
def test_what_does_not_fit_is_named(settings: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"id": WALK, "arenas": 2, "tasks": LENGTHS, "horizon": 20}
    with pytest.raises(ValueError, match=message):
        GymnasiumEnv(**(usual | settings))


def test_parameters_are_drawn_from_their_ranges_and_gaps_are_left_to_a_test_split() -> None:
    settings: dict[str, Any] = {
        "ranges": {"plain": [-1.0, 3.0], "log": [0.01, 100.0], "gapped": [0.0, 10.0]},
        "choices": {"listed": [1.0, 2.0, 5.0]},
        "log": ["log"],
        "gaps": {"gapped": [4.0, 6.0]},
        "train_tasks": 4000,
        "validation_tasks": 50,
        "test_tasks": 200,
    }
    tasks = ParameterTasks(**settings, seed=1)
    values = {name: torch.tensor([task[name] for task in tasks.train]) for name in tasks.parameters}
    assert values["plain"].aminmax().min >= -1
    assert float(values["plain"].mean()) == pytest.approx(1.0, abs=0.1)
    assert float(values["log"].log().mean()) == pytest.approx(0.0, abs=0.2)
    assert float(values["log"].log().std()) == pytest.approx(math.log(1e4) / 12**0.5, rel=0.05)
    in_gap = (values["gapped"] > 4) & (values["gapped"] < 6)
    assert not in_gap.any()
    assert float((values["gapped"] < 4).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert set(values["listed"].tolist()) == {1.0, 2.0, 5.0}
    assert [len(each) for each in tasks.splits.values()] == [4000, 50, 400, 200, 200]
    assert all(4 <= tasks[index]["gapped"] <= 6 for index in tasks.splits["gap"])
    assert not any(4 < tasks[index]["gapped"] < 6 for index in tasks.splits["within"])
    assert {tasks.kind(index) for index in tasks.test_indices} == {"within", "gap"}
    assert tasks.descriptors()[3].tolist() == pytest.approx(tasks.numbers(tasks[3]), rel=1e-6)
    again, other = (ParameterTasks(**settings, seed=seed) for seed in (1, 2))
    assert again.train == tasks.train != other.train


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "ranges or choices must contain at least one parameter, got none"),
        ({"ranges": {"g": [1.0]}}, "ranges.g must be two bounds, got [1.0]"),
        ({"ranges": {"g": [2.0, 1.0]}}, "ranges.g must be a lower and a higher bound, both finite, got [2.0, 1.0]"),
        ({"ranges": {"g": [0.0, 1.0]}, "log": ["g"]}, "ranges.g must be above 0 with log, got [0.0, 1.0]"),
        ({"ranges": {"g": [1.0, 2.0]}, "log": ["m"]}, "log must name parameters that have a range, got m"),
        ({"ranges": {"g": [0.0, 1.0]}, "gaps": {"g": [0.5, 2.0]}}, "gaps.g must be two bounds of a part of [0.0, 1.0]"),
        ({"ranges": {"g": [0.0, 1.0]}, "gaps": {"g": [0.0, 1.0]}}, "gaps.g must be two bounds of a part of [0.0, 1.0]"),
        ({"choices": {"g": []}}, "choices.g must contain at least one value, got none"),
        ({"ranges": {"g": [0.0, 1.0]}, "choices": {"g": [1.0]}}, "a parameter must be in ranges or in choices, got g"),
        ({"ranges": {"g": [0.0, 1.0]}, "train_tasks": 0}, "train_tasks must be at least 1, got 0"),
    ],
)
def test_a_wrong_parameter_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ParameterTasks(**settings)


def test_discrete_spaces_alone_have_no_continuous_part() -> None:
    space = to_action_space(spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]))
    assert (space.continuous, space.choices) == (0, (3, 2, 2))


CONFIG = """
name: gym
threads: 1
seed_everything: 1
trainer: {max_steps: 4, accelerator: cpu, val_check_interval: 4, check_val_every_n_epoch: null,
          enable_progress_bar: false}
collector: {tasks_per_iteration: 4}
evaluation: {episodes: 2, matches: 1, figures: false}
data:
  env:
    class_path: GymnasiumEnv
    init_args:
      id: ID
      arenas: 4
      horizon: 30
      tasks:
        class_path: ParameterTasks
        init_args:
          PARAMETERS
          train_tasks: 8
          validation_tasks: 3
          test_tasks: 3
  meta_batch: 4
  transitions: 16
model:
  encoder: {hidden: [8], latent_dim: 2}
  sac: {actor: {hidden: [8]}, critic: {hidden: [8]}}
"""


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("Pendulum-v1", "ranges: {g: [2.0, 20.0], m: [0.5, 2.0]}"),
        ("CartPole-v1", "choices: {length: [0.2, 2.0], force_mag: [5.0, 10.0]}"),
        ("gym_environments.Walk", "ranges: {length: [0.5, 3.0]}"),
    ],
)
def test_a_config_alone_trains_on_an_environment(id: str, parameters: str, tmp_path: Any, capfd: Any) -> None:
    config = tmp_path / "gym.yaml"
    config.write_text(CONFIG.replace("ID", id).replace("PARAMETERS", parameters))
    assert main(["fit", "--config", str(config), "--runs_dir", str(tmp_path)]) == 0, capfd.readouterr().err
    steps = yaml.safe_load((tmp_path / "gym" / "summary.json").read_text())["env_steps"]
    assert 4 * 3 <= steps <= 4 * 3 * 30
    assert main(["tasks", str(config)]) == 0
    assert main(["evaluate", str(tmp_path / "gym"), "--episodes", "2", "--matches", "1"]) == 0
    assert "environment steps" in capfd.readouterr().out
