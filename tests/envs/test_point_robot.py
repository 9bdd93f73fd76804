from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from pearl_lightning.envs.point_robot import GoalTasks, PointRobot

Policy = Callable[[Tensor, Tensor], Tensor]
"""Position and goal ``[arena, agent, 2]`` to action ``[arena, agent, 2]``."""

ARENAS = 4_000
GENERATOR = torch.Generator().manual_seed(7)


def to_goal(position: Tensor, goal: Tensor) -> Tensor:
    return ((goal - position) / 0.1).clamp(-1, 1)


def to_origin(position: Tensor, goal: Tensor) -> Tensor:
    return (-position / 0.1).clamp(-1, 1)


def uniform(position: Tensor, goal: Tensor) -> Tensor:
    return torch.rand(position.shape, generator=GENERATOR) * 2 - 1


def goals_of(env: PointRobot, step: TensorDict) -> Tensor:
    return torch.tensor([env.tasks[i].goal for i in step["task"].tolist()]).unsqueeze(1)


def play(env: PointRobot, policy: Policy) -> TensorDict:
    """One episode; ``next`` rows ``[arena, step]``."""
    step = env.reset()
    goal = goals_of(env, step)
    rows = []
    for _ in range(env.horizon):
        step["agents", "action"] = policy(step["agents", "observation"], goal)
        after = env.step(step)["next"]
        rows.append(after)
        step = after.exclude(("agents", "reward"))
    return torch.stack(rows, dim=1)


def spread_env(sparse: bool) -> PointRobot:
    """One arena per task, so that scores are averages over goals as well as starts."""
    tasks = GoalTasks(train_tasks=ARENAS, test_tasks=1, goals="half_circle" if sparse else "square")
    return PointRobot(arenas=ARENAS, tasks=tasks, sparse=sparse)


@pytest.fixture
def env() -> PointRobot:
    return PointRobot(arenas=3, tasks=GoalTasks())


@pytest.mark.parametrize("sparse", [False, True])
def test_specs_hold(sparse: bool) -> None:
    goals = "half_circle" if sparse else "square"
    check_env_specs(PointRobot(arenas=3, tasks=GoalTasks(goals=goals), sparse=sparse))


# Tolerances: the standard error of a mean over 4,000 arenas is below 0.17 in every dense row (the returns' standard
# deviation is below 10.5) and below 0.03 for the sparse goal-knowing policy; three of them are allowed, plus the
# rounding of the reference to one digit.
@pytest.mark.parametrize(
    ("sparse", "policy", "score", "tolerance"),
    [
        (False, to_goal, -5.2, 0.25),
        (False, to_origin, -15.8, 0.45),
        (False, uniform, -21.4, 0.55),
        (True, to_goal, 13.4, 0.15),
        (True, uniform, 0.0, 0.02),
    ],
)
def test_reference_policies_score_as_the_rules_say(
    sparse: bool, policy: Policy, score: float, tolerance: float
) -> None:
    returns = play(spread_env(sparse), policy)["agents", "reward"].sum(dim=(1, 2, 3))
    assert returns.mean().item() == pytest.approx(score, abs=tolerance)


def test_goals_are_what_tells_the_tasks() -> None:
    tasks = GoalTasks(train_tasks=5, test_tasks=2)
    torch.testing.assert_close(tasks.descriptors(), torch.tensor([task.goal for task in tasks.train]))


def test_the_same_seed_gives_the_same_episode_and_the_next_one_differs(env: PointRobot) -> None:
    env.set_seed(5)
    first, second = play(env, to_goal), play(env, to_goal)
    env.set_seed(5)
    again = play(env, to_goal)
    assert torch.equal(first["agents", "observation"], again["agents", "observation"])
    assert torch.equal(first["agents", "reward"], again["agents", "reward"])
    assert not torch.equal(first["agents", "observation"], second["agents", "observation"])


def test_each_arena_is_paid_for_its_own_goal(env: PointRobot) -> None:
    env.set_tasks([0, 7, 119])
    rows = play(env, to_origin)
    goals = torch.tensor([env.tasks[i].goal for i in (0, 7, 119)])
    for arena in range(3):
        distance = (rows["agents", "observation"][arena, :, 0] - goals[arena]).norm(dim=-1)
        torch.testing.assert_close(rows["agents", "reward"][arena, :, 0, 0], -distance)


def test_sparse_reward_is_paid_only_near_the_goal_and_the_training_reward_is_dense() -> None:
    env = PointRobot(arenas=3, tasks=GoalTasks(goals="half_circle"), sparse=True)
    rows = play(env, to_goal)
    goal = goals_of(env, rows[:, 0]).unsqueeze(1)
    distance = (rows["agents", "observation"] - goal).norm(dim=-1, keepdim=True)
    expected = torch.where(distance <= 0.2, 1 - distance, torch.zeros(()))
    torch.testing.assert_close(rows["agents", "reward"], expected)
    torch.testing.assert_close(rows["agents", "training_reward"], -distance)
    assert (rows["agents", "reward"] == 0).any()
    assert (rows["agents", "reward"] > 0.99).any()


def test_sparse_robot_starts_at_the_origin_and_the_dense_one_anywhere_in_the_square() -> None:
    sparse = PointRobot(arenas=50, tasks=GoalTasks(goals="half_circle"), sparse=True)
    assert not sparse.reset()["agents", "observation"].any()
    start = spread_env(sparse=False).reset()["agents", "observation"]
    assert start.abs().max() <= 1
    assert start.flatten(0, 1).amin(dim=0).max() < -0.99
    assert start.flatten(0, 1).amax(dim=0).min() > 0.99


def test_the_twentieth_step_truncates_and_does_not_terminate(env: PointRobot) -> None:
    rows = play(env, uniform)
    assert not rows["terminated"].any()
    expected = [False] * 19 + [True]
    for key in ("truncated", "done"):
        assert rows[key][:, :, 0].tolist() == [expected] * 3


def test_a_step_after_the_end_is_refused(env: PointRobot) -> None:
    play(env, uniform)
    with pytest.raises(RuntimeError, match="no episode is running"):
        env.advance(torch.zeros(3, 1, 2))


def test_a_move_is_a_tenth_of_the_action_along_each_axis(env: PointRobot) -> None:
    start = env.reset()["agents", "observation"]
    action = torch.tensor([[[1.0, -1.0]], [[0.5, 0.0]], [[-0.25, 1.0]]])
    torch.testing.assert_close(env.advance(action)["observation"], start + 0.1 * action)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -1.001])
def test_an_action_that_is_not_legal_is_refused_by_name(env: PointRobot, value: float) -> None:
    start = env.reset()["agents", "observation"]
    action = torch.zeros(3, 1, 2)
    action[1, 0, 1] = value
    action[2, 0, 0] = value
    with pytest.raises(ValueError, match=r"action \[1, 0, 1\] .* must be in \[-1, 1\], got"):
        env.advance(action)
    torch.testing.assert_close(env.advance(torch.zeros(3, 1, 2))["observation"], start)


def test_actions_of_another_shape_are_refused(env: PointRobot) -> None:
    env.reset()
    with pytest.raises(ValueError, match=r"shape \[3, 1, 2\].*got \[3, 2\]"):
        env.advance(torch.zeros(3, 2))


def test_a_rounding_error_outside_the_range_is_forgiven_and_moves_no_further(env: PointRobot) -> None:
    start = env.reset()["agents", "observation"]
    result = env.advance(torch.full((3, 1, 2), 1.0 + 5e-6))
    torch.testing.assert_close(result["observation"], start + 0.1, rtol=0, atol=2e-7)


def test_the_observation_does_not_depend_on_the_task(env: PointRobot) -> None:
    episodes = []
    for tasks in ([0, 1, 2], [50, 60, 119]):
        env.set_seed(1)
        env.set_tasks(tasks)
        episodes.append(play(env, to_origin))
    assert torch.equal(episodes[0]["agents", "observation"], episodes[1]["agents", "observation"])
    assert not torch.equal(episodes[0]["agents", "reward"], episodes[1]["agents", "reward"])


def test_tasks_take_effect_at_the_next_reset(env: PointRobot) -> None:
    env.set_tasks([4, 5, 6])
    step = env.reset()
    env.set_tasks([7, 8, 9])
    step["agents", "action"] = torch.zeros(3, 1, 2)
    after = env.step(step)["next"]
    assert after["task"].tolist() == [4, 5, 6]
    distance = (after["agents", "observation"] - goals_of(env, step)).norm(dim=-1, keepdim=True)
    torch.testing.assert_close(after["agents", "reward"], -distance)
    assert env.reset()["task"].tolist() == [7, 8, 9]


@pytest.mark.parametrize("tasks", [[0, 1, 140], [-1, 0, 1], [0, 1]])
def test_tasks_that_do_not_exist_or_do_not_fit_are_refused(env: PointRobot, tasks: list[int]) -> None:
    with pytest.raises(ValueError, match="ind"):
        env.set_tasks(tasks)


@pytest.mark.parametrize("goals", ["square", "half_circle"])
def test_splits_are_disjoint_and_fixed_by_the_seed(goals: str) -> None:
    tasks = GoalTasks(goals=goals)
    assert (len(tasks.train), len(tasks.validation), len(tasks.test)) == (100, 20, 20)
    assert len({*tasks.train, *tasks.validation, *tasks.test}) == 140
    torch.rand(3)  # other draws of the program do not matter
    assert GoalTasks(goals=goals).train == tasks.train
    assert GoalTasks(goals=goals, test_tasks=5).test == tasks.test[:5]
    assert GoalTasks(goals=goals, validation_tasks=5).validation == tasks.validation[:5]
    assert GoalTasks(goals=goals, validation_tasks=5).train == tasks.train
    assert GoalTasks(goals=goals, seed=1).train != tasks.train


def test_goals_lie_in_their_region() -> None:
    square = torch.tensor([task.goal for task in GoalTasks(train_tasks=2_000).train])
    assert square.abs().max() <= 1
    torch.testing.assert_close(square.mean(dim=0), torch.zeros(2), rtol=0, atol=0.06)
    circle = torch.tensor([task.goal for task in GoalTasks(train_tasks=2_000, goals="half_circle").train])
    torch.testing.assert_close(circle.norm(dim=-1), torch.ones(2_000))
    assert circle[:, 1].min() >= 0
    assert circle[:, 0].mean().abs() < 0.06


def test_a_task_is_described_by_its_goal() -> None:
    tasks = GoalTasks(train_tasks=1, validation_tasks=1, test_tasks=1)
    x, y = tasks.test[0].goal
    assert tasks.describe(2) == f"go to ({x:+.2f}, {y:+.2f})"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_tasks": 0}, "train_tasks must be at least 1, got 0"),
        ({"validation_tasks": 0}, "validation_tasks must be at least 1, got 0"),
        ({"test_tasks": 0}, "test_tasks must be at least 1, got 0"),
        ({"goals": "circle"}, "goals must be one of .* got 'circle'"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GoalTasks(**settings)
