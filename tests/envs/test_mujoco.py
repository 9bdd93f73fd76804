"""The MuJoCo families, against Gymnasium's own classes and against their rules as a scalar loop."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from pearl_lightning.envs.mujoco.ant import AntDir, AntGoal
from pearl_lightning.envs.mujoco.cheetah import CheetahDir, CheetahVel
from pearl_lightning.envs.mujoco.dynamics import FACTORS, HopperParams, WalkerParams, with_dynamics
from pearl_lightning.envs.mujoco.env import MujocoEnv
from pearl_lightning.envs.mujoco.humanoid import HumanoidDir
from pearl_lightning.envs.mujoco.tasks import Directions, ForwardBackward, GoalsInDisc, RandomDynamics
from pearl_lightning.envs.parameters import ParameterTasks
from pearl_lightning.experience.player import FunctionPlayer, UniformPlayer
from pearl_lightning.experience.rollout import play_episode

mujoco = pytest.importorskip("mujoco", reason="needs the extra mujoco")

ARENAS, STEPS = 4, 30
VELOCITIES = ParameterTasks(ranges={"velocity": [0.0, 3.0]}, train_tasks=ARENAS)
TASKS: dict[type[MujocoEnv], Any] = {
    CheetahDir: ForwardBackward(),
    CheetahVel: VELOCITIES,
    AntDir: Directions(train_tasks=ARENAS),
    AntGoal: GoalsInDisc(train_tasks=ARENAS),
    HumanoidDir: Directions(train_tasks=ARENAS),
    WalkerParams: RandomDynamics(train_tasks=ARENAS),
    HopperParams: RandomDynamics(train_tasks=ARENAS),
}
GYMNASIUM = {
    CheetahDir: ("HalfCheetah-v5", 1.0),
    AntDir: ("Ant-v5", 1.0),
    HumanoidDir: ("Humanoid-v5", 0.4),
    WalkerParams: ("Walker2d-v5", 1.0),
    HopperParams: ("Hopper-v5", 1.0),
}
"""Gymnasium's class with the same body, and the largest control of its actuators."""
SUBSTEPS = {WalkerParams: 4, HopperParams: 4}


def made(family: type[MujocoEnv], threads: int = 1, **settings: Any) -> MujocoEnv:
    env = family(arenas=ARENAS, tasks=TASKS[family], threads=threads, **settings)
    env.set_seed(0)
    env.set_tasks([arena % len(env.tasks.train) for arena in range(ARENAS)])
    return env


def actions(env: MujocoEnv, seed: int = 1) -> Tensor:
    """Uniform actions ``[step, arena, 1, actuator]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([env.action_space.sample((ARENAS, 1), generator) for _ in range(STEPS)])


def played(env: MujocoEnv) -> Any:
    given = actions(env)
    return play_episode(env, FunctionPlayer(lambda _, step: given[step]))


class Steps:
    """The states, actions, rewards (in float64) and observations of every step that a family plays."""

    def __init__(self, env: MujocoEnv) -> None:
        self.env, self.rewards, self.states, self.derived = env, [], [], []
        original = env.rewards
        env.rewards = lambda velocity, action: self._kept(original(velocity, action))  # type: ignore[method-assign]

    def _kept(self, rewards: Tensor) -> Tensor:
        self.rewards.append(rewards)
        self.states.append((self.env.physics.qpos, self.env.physics.qvel, self.env.observe()))
        self.derived.append(self.env.physics.derived)
        return rewards

    def play(self) -> Any:
        self.env.reset()
        self.states = [(self.env.physics.qpos, self.env.physics.qvel, self.env.observe())]
        given = actions(self.env)
        for action in given:
            self.env._steps, self.env.ended = 0, torch.zeros(ARENAS, dtype=torch.bool)  # play on after a fall
            self.env.advance(action)
        return given


@pytest.mark.parametrize("family", list(GYMNASIUM))
def test_transitions_are_those_of_gymnasiums_own_class(family: type[MujocoEnv]) -> None:
    id, largest = GYMNASIUM[family]
    env = made(family)
    if family in SUBSTEPS:
        env.set_tasks_of_arenas = lambda tasks: None  # type: ignore[method-assign]  # the unchanged body
    steps = Steps(env)
    given = steps.play()
    alone: Any = gymnasium.make(id, frame_skip=SUBSTEPS.get(family, 5)).unwrapped
    alone.reset(seed=0)
    for arena in range(ARENAS):
        for before, after, derived, action in zip(steps.states, steps.states[1:], steps.derived, given, strict=False):
            alone.set_state(before[0][arena].numpy(), before[1][arena].numpy())
            alone.data.qacc_warmstart[:] = 0
            alone.step(largest * action[arena, 0].double().numpy())
            np.testing.assert_allclose(after[0][arena], alone.data.qpos, rtol=0, atol=1e-9)
            np.testing.assert_allclose(after[1][arena], alone.data.qvel, rtol=1e-9, atol=1e-9)
            for name, values in derived.items():
                np.testing.assert_allclose(values[arena], getattr(alone.data, name).ravel(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
def test_rewards_of_the_cheetah_are_those_of_gymnasiums_class(threads: int) -> None:
    """Gymnasium's cheetah runs forward at a tenth of the squared action; the paper's families differ in no more."""
    env = made(CheetahVel, threads)
    steps = Steps(env)
    given = steps.play()
    alone: Any = gymnasium.make("HalfCheetah-v5", ctrl_cost_weight=0.05).unwrapped
    alone.reset(seed=0)
    for arena in range(ARENAS):
        for step in range(STEPS):
            alone.set_state(steps.states[step][0][arena].numpy(), steps.states[step][1][arena].numpy())
            alone.data.qacc_warmstart[:] = 0
            observation, _, _, _, info = alone.step(given[step, arena, 0].double().numpy())
            expected = info["reward_ctrl"] - abs(info["x_velocity"] - VELOCITIES[arena]["velocity"])
            assert float(steps.rewards[step][arena]) == pytest.approx(expected, abs=1e-9)
            ours = steps.states[step + 1][2][arena]
            np.testing.assert_allclose(ours[:17], observation, rtol=1e-9, atol=1e-9)
            assert float(ours[17]) == float(steps.states[step + 1][0][arena, 0])  # x
            assert float(ours[18]) == 0
            mujoco.mj_kinematics(alone.model, alone.data)
            np.testing.assert_allclose(ours[17:], alone.data.body("torso").xpos, atol=1e-9)


# The rules as a scalar loop, from ``Data`` of one arena before and after a step.
Data = Any
Rule = Callable[[Data, Data, list[float], Any], float]


def squares(numbers: Any) -> float:
    return math.fsum(float(number) ** 2 for number in numbers)


def cheetah_dir(before: Data, after: Data, action: list[float], task: Any) -> float:
    return math.cos(task.angle) * (after.qpos[0] - before.qpos[0]) / 0.05 - 0.05 * squares(action)


def cheetah_vel(before: Data, after: Data, action: list[float], task: Any) -> float:
    return -abs((after.qpos[0] - before.qpos[0]) / 0.05 - task["velocity"]) - 0.05 * squares(action)


def contact_cost(after: Data) -> float:
    return 0.5e-3 * squares(min(max(float(force), -1.0), 1.0) for force in after.cfrc_ext.flat)


def ant_dir(before: Data, after: Data, action: list[float], task: Any) -> float:
    x, y = ((after.qpos[axis] - before.qpos[axis]) / 0.05 for axis in (0, 1))
    forward = x * math.cos(task.angle) + y * math.sin(task.angle)
    return forward - 0.5 * squares(action) - contact_cost(after) + 1


def ant_goal(before: Data, after: Data, action: list[float], task: Any) -> float:
    distance = sum(abs(after.qpos[axis] - task.position[axis]) for axis in (0, 1))
    return -distance - 0.1 * squares(action) - contact_cost(after)


def center(data: Data, axis: int) -> float:
    masses = data.model.body_mass
    return sum(m * place[axis] for m, place in zip(masses, data.xipos, strict=True)) / sum(masses)


def humanoid_dir(before: Data, after: Data, action: list[float], task: Any) -> float:
    moved = [center(after, axis) - center(before, axis) for axis in (0, 1)]
    forward = 0.25 * (moved[0] * math.cos(task.angle) + moved[1] * math.sin(task.angle)) / 0.003
    impact = min(0.5e-6 * squares(after.cfrc_ext.flat), 10)
    return forward - 0.1 * squares(0.4 * number for number in action) - impact + 5


def planar(before: Data, after: Data, action: list[float], task: Any) -> float:
    return (after.qpos[0] - before.qpos[0]) / 0.008 + 1 - 1e-3 * squares(action)


RULES: dict[type[MujocoEnv], Rule] = {
    CheetahDir: cheetah_dir,
    CheetahVel: cheetah_vel,
    AntDir: ant_dir,
    AntGoal: ant_goal,
    HumanoidDir: humanoid_dir,
    WalkerParams: planar,
    HopperParams: planar,
}


def data_after(model: Any, qpos: Tensor, qvel: Tensor, control: Any, substeps: int) -> Data:
    """A single ``MjData`` after a step from a state; without substeps, in the state itself."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = qpos.numpy(), qvel.numpy(), control
    for _ in range(substeps):
        mujoco.mj_step(model, data)
    if substeps == 0:
        mujoco.mj_forward(model, data)
    mujoco.mj_rnePostConstraint(model, data)
    return data


def data_of_episode(env: MujocoEnv, states: Any, arena: int, given: Tensor, largest: float) -> list[Data]:
    """One ``MjData`` per state of an arena's episode."""
    model, start = env.physics.model, states[0]
    found = [data_after(model, start[0][arena], start[1][arena], 0.0, 0)]
    for (qpos, qvel, *_), action in zip(states[:-1], given, strict=True):
        control = largest * action[arena, 0].double().numpy()
        found.append(data_after(model, qpos[arena], qvel[arena], control, env.body.substeps))
    return found


@pytest.mark.parametrize("family", list(RULES))
def test_rewards_follow_the_rules(family: type[MujocoEnv]) -> None:
    env = made(family, threads=2)
    if family in SUBSTEPS:
        env.set_tasks_of_arenas = lambda tasks: None  # type: ignore[method-assign]  # the unchanged body
    steps = Steps(env)
    given = steps.play()
    for arena in range(ARENAS):
        task = env.tasks[int(env.next_tasks[arena])]
        data = data_of_episode(env, steps.states, arena, given, 0.4 if family is HumanoidDir else 1.0)
        for step in range(STEPS):
            expected = RULES[family](data[step], data[step + 1], given[step, arena, 0].double().tolist(), task)
            assert float(steps.rewards[step][arena]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_observations_of_ant_and_humanoid_are_those_of_one_simulation() -> None:
    for family, largest in ((AntDir, 1.0), (AntGoal, 1.0), (HumanoidDir, 0.4)):
        env = made(family)
        steps = Steps(env)
        given = steps.play()
        data_of_states = data_of_episode(env, steps.states, 2, given, largest)
        for (_, _, observation), data in zip(steps.states, data_of_states, strict=True):
            first = 0 if family is AntGoal else 2
            expected = [data.qpos[first:], data.qvel]
            if family is AntGoal:
                expected.append(data.cfrc_ext.ravel().clip(-1, 1))
            if family is HumanoidDir:
                expected += [data.cinert.ravel(), data.cvel.ravel(), data.qfrc_actuator, data.cfrc_ext.ravel()]
            np.testing.assert_allclose(observation[2], np.concatenate(expected), rtol=1e-9, atol=1e-9)
        assert env.features == len(np.concatenate(expected))


def has_fallen(family: type[MujocoEnv], qpos: Any, qvel: Any) -> bool:
    """The rules of the end of an episode, for one state."""
    if family is AntDir:
        return not 0.2 <= qpos[2] <= 1
    if family is HumanoidDir:
        return qpos[2] < 1 or qpos[2] > 2
    if family is WalkerParams:
        return not (0.8 < qpos[1] < 2 and -1 < qpos[2] < 1)
    if family is HopperParams:
        state = [*qpos[2:], *qvel]
        return not (qpos[1] > 0.7 and abs(qpos[2]) < 0.2 and all(abs(number) < 100 for number in state))
    return False


@pytest.mark.parametrize("family", list(TASKS))
def test_an_episode_ends_when_the_body_falls_and_the_arena_then_stands_still(family: type[MujocoEnv]) -> None:
    env = made(family, horizon=STEPS)
    states = []
    given = actions(env)

    def act(observation: Tensor, step: int) -> Tensor:
        states.append((env.physics.qpos.numpy(), env.physics.qvel.numpy()))
        return given[step]

    rows = play_episode(env, FunctionPlayer(act))
    states.append((env.physics.qpos.numpy(), env.physics.qvel.numpy()))
    for arena in range(ARENAS):
        falls = [has_fallen(family, qpos[arena].tolist(), qvel[arena].tolist()) for qpos, qvel in states]
        length = falls.index(True) if any(falls) else STEPS
        assert int(rows["played"][arena].sum()) == length
        assert bool(rows["terminated"][arena].any()) == any(falls)
        for qpos, _ in states[length:]:
            assert (qpos[arena] == states[length][0][arena]).all()
    assert family in (CheetahDir, CheetahVel, AntGoal, AntDir) or bool(rows["terminated"].any())


@pytest.mark.parametrize("family", list(TASKS))
def test_threads_and_neighbours_change_nothing(family: type[MujocoEnv]) -> None:
    alone, many = (played(made(family, threads, horizon=STEPS)) for threads in (1, 3))
    for name in ("observation", "reward", "played"):
        assert (alone[name] == many[name]).all()
    env = made(family)
    order = [3, 1, 0, 2]
    given = actions(env)
    env.reset()
    qpos, qvel = env.physics.qpos, env.physics.qvel
    env.set_tasks(env.next_tasks[order])
    env.reset()
    env.physics.start(qpos[order], qvel[order])
    for step in range(STEPS):
        env.physics.step(given[step, order, 0], torch.ones(ARENAS, dtype=torch.bool))
    moved = env.physics.qpos
    env.set_tasks(env.next_tasks[[order.index(arena) for arena in range(ARENAS)]])
    env.reset()
    env.physics.start(qpos, qvel)
    for step in range(STEPS):
        env.physics.step(given[step, :, 0], torch.ones(ARENAS, dtype=torch.bool))
    assert (moved == env.physics.qpos[order]).all()


def test_a_seed_repeats_an_episode_and_a_restored_state_continues_it() -> None:
    env = made(AntGoal, horizon=STEPS)
    first = played(env)
    state = env.random_state()
    second = played(env)
    env.load_random_state(state)
    assert (played(env)["observation"] == second["observation"]).all()
    assert (played(made(AntGoal, horizon=STEPS))["observation"] == first["observation"]).all()
    assert (first["observation"] != second["observation"]).any()


@pytest.mark.parametrize("family", [WalkerParams, HopperParams])
def test_every_number_of_the_dynamics_is_multiplied_by_its_own_factor(family: type[MujocoEnv]) -> None:
    env = made(family)
    base, tasks = env.physics.model, RandomDynamics(train_tasks=40).train
    before = {name: getattr(base, name).copy() for name in FACTORS}
    env.set_tasks_of_arenas(tasks[:ARENAS])
    exponents = []
    for task in tasks:
        changed = with_dynamics(base, task)
        for name, factor in {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}.items():
            is_there = before[name] > 0
            of_field = np.log(getattr(changed, name)[is_there] / before[name][is_there]) / math.log(factor)
            exponents += of_field.tolist()
            assert (getattr(base, name) == before[name]).all()
        assert (with_dynamics(base, task).body_mass == changed.body_mass).all()
    assert min(exponents) >= -3
    assert max(exponents) <= 3
    counts = np.histogram(exponents, bins=6, range=(-3, 3))[0]
    np.testing.assert_allclose(counts / len(exponents), 1 / 6, atol=0.02)
    assert len({task.seed for task in tasks}) == len(tasks)


def test_the_dynamics_of_a_task_are_those_that_are_simulated() -> None:
    env = made(WalkerParams)
    steps = Steps(env)
    given = steps.play()
    for arena in range(ARENAS):
        model = with_dynamics(env.physics.model, env.tasks[int(env.next_tasks[arena])])
        for step in range(STEPS):
            data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:] = (numbers[arena].numpy() for numbers in steps.states[step][:2])
            data.ctrl[:] = given[step, arena, 0].double().numpy()
            mujoco.mj_step(model, data, 4)
            np.testing.assert_allclose(steps.states[step + 1][0][arena], data.qpos, rtol=0, atol=1e-9)


def test_goals_fill_the_disc_evenly_and_directions_the_circle() -> None:
    goals = GoalsInDisc(train_tasks=4000, radius=3.0)
    squared = np.array([x * x + y * y for x, y in (task.position for task in goals.train)])
    np.testing.assert_allclose(np.histogram(squared, bins=5, range=(0, 9))[0] / 4000, 0.2, atol=0.03)
    angles = [task.angle for task in Directions(train_tasks=4000).train]
    np.testing.assert_allclose(np.histogram(angles, bins=5, range=(0, 2 * math.pi))[0] / 4000, 0.2, atol=0.03)
    for family in (goals, Directions(), RandomDynamics()):
        assert not set(family.train) & set(family.test)
    assert [*ForwardBackward().train] == [*ForwardBackward().test]


@pytest.mark.parametrize("family", list(TASKS))
def test_it_passes_torchrls_checks(family: type[MujocoEnv]) -> None:
    check_env_specs(made(family, horizon=5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CheetahVel(arenas=2, tasks=ForwardBackward()),
            "tasks must contain Mapping for CheetahVel, got Direction",
        ),
        (
            lambda: CheetahVel(arenas=2, tasks=ParameterTasks(ranges={"speed": [0, 3]})),
            "tasks must have the parameter velocity and no other, got speed",
        ),
        (lambda: AntGoal(arenas=2, tasks=Directions()), "tasks must contain Goal for AntGoal, got Direction"),
        (lambda: CheetahDir(arenas=0, tasks=ForwardBackward()), "arenas must be at least 1, got 0"),
        (lambda: CheetahDir(arenas=1, tasks=ForwardBackward(), threads=0), "threads must be at least 1, got 0"),
        (lambda: CheetahDir(arenas=1, tasks=ForwardBackward(), horizon=0), "horizon must be at least 1, got 0"),
        (lambda: GoalsInDisc(radius=-1.0), "radius must be above 0 and finite, got -1.0"),
        (lambda: RandomDynamics(train_tasks=0), "train_tasks must be at least 1, got 0"),
        (lambda: Directions(seed=-1), "seed must be at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("value", [1.1, -1.1, math.nan])
def test_actions_outside_their_range_are_refused(value: float) -> None:
    env = made(CheetahDir)
    env.reset()
    action = torch.zeros(ARENAS, 1, 6)
    action[2, 0, 4] = value
    with pytest.raises(ValueError, match=r"action 4 of arena 2 must be in \[-1, 1\], got "):
        env.advance(action)


def test_a_uniform_policy_moves_all_bodies() -> None:
    for family in TASKS:
        env = made(family, horizon=STEPS)
        rows = play_episode(env, UniformPlayer(env.action_space, 1, torch.Generator().manual_seed(0)))
        moved = (rows["observation"][:, 1:] - rows["observation"][:, :-1]).abs().sum(dim=-1).squeeze(-1)
        assert (moved[rows["played"][:, :-1]] > 0).all()


@pytest.mark.parametrize("family", [CheetahVel, AntDir])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_environment_plays_again(family: type[MujocoEnv], threads: int) -> None:
    """As a second fit with the same data needs it: the end of the first closes the environment."""
    first, second = made(family, threads), made(family, threads)
    expected = [
        play_episode(first, UniformPlayer(first.action_space, 5, torch.Generator().manual_seed(s))) for s in (0, 1)
    ]
    for seed, episode in enumerate(expected):
        played = play_episode(second, UniformPlayer(second.action_space, 5, torch.Generator().manual_seed(seed)))
        assert torch.equal(played["observation"], episode["observation"])
        second.close(raise_if_closed=False)
    first.close()
