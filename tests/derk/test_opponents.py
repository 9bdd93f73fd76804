import re

import pytest
import torch
from fake_backend import random_observations
from torch import Tensor

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import ACTION_KEYS, CHANGE_FOCUS, OBSERVATION_FEATURES, TARGETS
from pearl_lightning.derk.interface import observation_index as column
from pearl_lightning.derk.opponents import OPPONENTS, OneOfOpponent, Opponent, make_opponent
from pearl_lightning.derk.opponents.attacker import AttackerOpponent
from pearl_lightning.derk.opponents.warden import WardenOpponent
from pearl_lightning.derk.scripted import ScriptedAgent
from pearl_lightning.derk.tasks import OpponentTasks
from pearl_lightning.evaluation import evaluate_adaptation


def seen(**values: float) -> Tensor:
    """One arena whose agents see every target dead, apart from ``values``."""
    observation = torch.zeros(1, 3, OBSERVATION_FEATURES)
    observation[..., [column(f"{target}Distance") for target in TARGETS]] = 2.0
    for name, value in values.items():
        observation[..., column(name)] = value
    return observation


def act(observation: Tensor, seed: int = 0) -> dict[str, float]:
    """Actions of the attacker's first agent, by name."""
    action = AttackerOpponent()(observation, torch.Generator().manual_seed(seed))[0, 0]
    return dict(zip(ACTION_KEYS, action.tolist(), strict=True))


@pytest.mark.parametrize("name", OPPONENTS)
def test_actions_are_legal(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    action = make_opponent(name)(random_observations(500, 3, generator=generator), generator)
    assert action.shape == (500, 3, 5)
    assert action.dtype == torch.float32
    assert bool(action.isfinite().all())
    low, high = torch.tensor([-1.0, -1, 0, 0, 0]), torch.tensor([1.0, 1, 1, 3, 7])
    assert bool(((low <= action) & (action <= high)).all())
    torch.testing.assert_close(action[..., 3:], action[..., 3:].round(), rtol=0, atol=0)


@pytest.mark.parametrize("name", OPPONENTS)
def test_the_generator_fixes_the_actions(name: str) -> None:
    observation = random_observations(20, 3, generator=torch.Generator().manual_seed(2))
    first, again = (make_opponent(name)(observation, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


@pytest.mark.parametrize("name", OPPONENTS)
def test_the_observation_is_left_alone(name: str) -> None:
    observation = random_observations(20, 3)
    before = observation.clone()
    make_opponent(name)(observation, torch.Generator())
    torch.testing.assert_close(observation, before, rtol=0, atol=0)


def test_a_warden_refuses_a_radius_out_of_range() -> None:
    with pytest.raises(ValueError, match=re.escape("guarded must be in (0, 30) m, got 30")):
        WardenOpponent(guarded=30)


def test_a_style_takes_the_learners_place_and_ignores_what_is_added_to_the_observation() -> None:
    tasks = OpponentTasks(styles=["idle"], new_styles=[], train_tasks=1, validation_tasks=0, test_tasks=2)
    env = DerkEnv(arenas=2, tasks=tasks, observe_time=True)
    agent = ScriptedAgent(env.features, env.action_space, "attacker")
    observation = random_observations(20, 3)
    seen_too = torch.cat([observation, torch.rand(20, 3, 1)], dim=-1)
    plays = agent.act(seen_too, agent.prior(20).condition(), generator=torch.Generator().manual_seed(0))
    expected = AttackerOpponent()(observation, torch.Generator().manual_seed(0))
    torch.testing.assert_close(plays, expected, rtol=0, atol=0)
    played = evaluate_adaptation(env, agent, tasks.test_indices, episodes=1, matches=4)
    assert played.table().episodes[0].win_rate == 1.0


def test_one_of_several_is_drawn_for_each_arena_and_plays_the_whole_episode() -> None:
    class Walks(Opponent):
        """MoveX 1 if it ever began for as many arenas as it plays."""

        begun = 0

        def begin(self, arenas: int, generator: torch.Generator) -> None:
            self.begun = arenas

        def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
            assert len(observation) == self.begun
            action = make_opponent("idle")(observation)
            action[..., 0] = 1
            return action

    opponent, observation = OneOfOpponent([make_opponent("idle"), Walks()]), random_observations(400, 3)

    def walks(seed: int, steps: int) -> Tensor:
        opponent.begin(400, torch.Generator().manual_seed(seed))
        return torch.stack([opponent(observation)[..., 0] for _ in range(steps)])

    first, again, other = walks(0, 3), walks(0, 1), walks(1, 1)
    assert (first == first[0, :, :1]).all()  # all steps and agents of an arena alike
    torch.testing.assert_close(again[0], first[0], rtol=0, atol=0)
    assert (other != again).any()
    assert abs(first[0, :, 0].mean().item() - 0.5) < 0.1  # four standard errors of 400 draws
    with pytest.raises(ValueError, match="players must contain at least one opponent, got none"):
        OneOfOpponent([])


def test_an_own_opponent_goes_by_its_class_path() -> None:
    assert type(make_opponent(f"{AttackerOpponent.__module__}.AttackerOpponent")) is AttackerOpponent


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.Dancer", "opponent 'nowhere.Dancer' cannot be imported: No module named 'nowhere'"),
        ("torch.Dancer", "opponent 'torch.Dancer' cannot be imported: module 'torch' has no attribute 'Dancer'"),
        ("torch.nn.Linear", "opponent 'torch.nn.Linear' must be a subclass of .*Opponent, got .*Linear"),
    ],
)
def test_a_class_path_that_leads_to_no_opponent_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_opponent(name)


def test_idle_does_nothing() -> None:
    assert not make_opponent("idle")(random_observations(20, 3), None).any()


def test_random_uses_every_choice() -> None:
    action = make_opponent("random")(random_observations(500, 3), torch.Generator().manual_seed(0))
    assert set(action[..., 3].flatten().tolist()) == set(range(4))
    assert set(action[..., 4].flatten().tolist()) == set(range(8))


def test_an_unknown_opponent_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown opponent 'nobody'; known ones: random, idle, attacker"):
        make_opponent("nobody")


@pytest.mark.parametrize("nearest", ["Enemy1", "Enemy2", "Enemy3"])
def test_attacker_focuses_and_chases_the_nearest_living_enemy(nearest: str) -> None:
    others = {f"{enemy}Distance": 0.6 for enemy in ("Enemy1", "Enemy2", "Enemy3", "EnemyStatue")}
    action = act(seen(**{**others, f"{nearest}Distance": 0.4}))
    assert CHANGE_FOCUS[int(action["ChangeFocus"])] == nearest
    assert action["ChaseFocus"] == 1


def test_attacker_leaves_the_dead_alone() -> None:
    action = act(seen(Enemy1Distance=2.0, Enemy2Distance=0.9, Enemy3Distance=2.0))
    assert CHANGE_FOCUS[int(action["ChangeFocus"])] == "Enemy2"


@pytest.mark.parametrize(
    ("enemy", "statue", "target"), [(0.8, 0.5, "Enemy1"), (0.8, 0.1, "EnemyStatue"), (2.0, 0.9, "EnemyStatue")]
)
def test_attacker_takes_the_statue_when_it_is_near_or_alone(enemy: float, statue: float, target: str) -> None:
    action = act(seen(Enemy1Distance=enemy, EnemyStatueDistance=statue))
    assert CHANGE_FOCUS[int(action["ChangeFocus"])] == target


@pytest.mark.parametrize("angle", [0.7, 1.0, -0.6, -1.0])
def test_attacker_turns_toward_a_target_behind_and_keeps_its_focus_meanwhile(angle: float) -> None:
    action = act(seen(Enemy1Distance=0.3, Enemy1Angle=angle, HasTalons=1, Ability0Ready=1))
    assert action["Rotate"] == (1 if angle > 0 else -1)
    assert action["MoveX"] == action["ChaseFocus"] == action["ChangeFocus"] == action["CastingSlot"] == 0


def test_attacker_walks_toward_a_target_out_of_focus_range() -> None:
    action = act(seen(Enemy1Distance=1.0, Enemy1Angle=0.1))
    assert action["MoveX"] == 1
    assert 0 < action["Rotate"] < 1
    assert action["ChaseFocus"] == action["ChangeFocus"] == 0


def test_attacker_rests_when_nobody_is_left() -> None:
    assert not any(act(seen(HasTalons=1, Ability0Ready=1)).values())


def test_attacker_casts_every_ready_slot_that_harms_and_no_other() -> None:
    equipped = {"HasTalons": 1, "HasParalyzingDart": 1, "HasShell": 1}
    ready = {"Ability0Ready": 1, "Ability1Ready": 1, "Ability2Ready": 1}
    observation = seen(Enemy1Distance=0.05, **equipped, **ready)
    assert {act(observation, seed)["CastingSlot"] for seed in range(20)} == {1, 2}
    observation[..., column("Ability1Ready")] = 0
    assert {act(observation, seed)["CastingSlot"] for seed in range(20)} == {1}


def speed(action: dict[str, float]) -> float:
    return (1 - action["ChaseFocus"]) * action["MoveX"] + action["ChaseFocus"]


@pytest.mark.parametrize(("metres", "sign"), [(20.0, 1), (8.0, 0), (2.0, -1)])
def test_attacker_with_a_gun_keeps_its_distance(metres: float, sign: int) -> None:
    action = act(seen(Enemy1Distance=metres / 30, HasPistol=1))
    assert action["ChaseFocus"] > 0
    assert torch.tensor(speed(action)).sign() == sign


@pytest.mark.parametrize("settings", [{"near_statue": 30.0}, {"gun_range": 2.0}, {"gun_clearance": -1.0}])
def test_attacker_refuses_wrong_distances(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        AttackerOpponent(**settings)
