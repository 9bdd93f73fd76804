"""Observations of agents: section 9 of the rules."""

from __future__ import annotations

import math

import pytest
import torch
from simulator_matches import AWAY_STATUE, HOME_STATUE, IDLE, Match, Unit, gather, made_up_terrain, play_on

from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.interface import ITEMS, OBSERVATION_FEATURES, OBSERVATION_KEYS, TARGETS


def test_targets_are_observed_by_their_distance_and_angle() -> None:
    match = Match({1: Unit(60, 60, heading=math.pi / 2), 5: Unit(66, 60), 6: Unit(60, 69), 7: Unit(57, 60)})
    assert match.observed("Enemy1Distance", 1) == pytest.approx(6 / 30)
    assert match.observed("Enemy1Angle", 1) == pytest.approx(-0.5)  # to the right of who looks north
    assert match.observed("Enemy2Distance", 1) == pytest.approx(9 / 30)
    assert match.observed("Enemy2Angle", 1) == pytest.approx(0, abs=1e-6)
    assert match.observed("Enemy3Angle", 1) == pytest.approx(0.5)
    dx, dy, dz = 51 - 60, 51 - 60, 3.31552 - 2.35
    assert match.observed("FriendStatueDistance", 1) == pytest.approx(math.hypot(dx, dy, dz) / 30)
    assert match.observed("FriendStatueAngle", 1) == pytest.approx(0.75)


def test_every_agent_sees_teammates_and_enemies_in_its_own_order() -> None:
    """Targets stand 1 m, 2 m, ... from the agent, in the order that it should see them in."""
    for me, order in ((2, [0, 1, 3, 4, 5, 6, 7]), (7, [4, 5, 6, 0, 1, 2, 3])):
        match = Match({me: Unit(60)})
        for metres, member in enumerate(order, start=1):
            match["position", member] = [60.0 + metres, 60.0, 2.35]
        seen = [match.observed(f"{target}Distance", me) for target in TARGETS]
        assert seen == pytest.approx([metres / 30 for metres in range(1, 8)], abs=1e-6)


def test_distances_end_at_30_metres() -> None:
    match = Match({1: Unit(45, 45), 5: Unit(80, 80)})
    assert match.observed("Enemy1Distance", 1) == 1


@pytest.mark.parametrize(("target", "member"), [("Enemy1", 5), ("Friend1", 2), ("EnemyStatue", AWAY_STATUE)])
def test_the_dead_are_at_distance_two_and_angle_zero(target: str, member: int) -> None:
    match = Match({1: Unit(60)})
    match["hitpoints", member] = 0.0
    assert match.observed(f"{target}Distance", 1) == 2
    assert match.observed(f"{target}Angle", 1) == 0


def test_the_focus_is_observed_in_detail() -> None:
    focus = Unit(66, 60, heading=math.pi - 0.4, items=("Shell", "Magnum"), hitpoints=30)
    match = Match({1: Unit(60, 60, heading=0.2), 5: focus})
    match["focus", 1] = 5
    for name, expected in {
        "HasFocus": 1,
        "FocusRelativeRotation": (math.pi - 0.6) / math.pi,
        "FocusFacingUs": math.cos(0.4),
        "FocusFocusingBack": 0,
        "FocusHitpoints": 0.3,
        "FocusDazed": 0,
        "FocusCrippled": 0,
    }.items():
        assert match.observed(name, 1) == pytest.approx(expected, abs=1e-6), name
    held = [item for item in ITEMS if match.observed(f"FocusHas{item}", 1)]
    assert held == ["Magnum", "Shell"]
    match["focus", 5] = 1
    match["dazed", 5] = 1
    match["crippled", 5] = 1
    assert [match.observed(name, 1) for name in ("FocusFocusingBack", "FocusDazed", "FocusCrippled")] == [1, 1, 1]


def test_nothing_is_seen_of_a_focus_that_is_not_there() -> None:
    match = Match({1: Unit(60), 5: Unit(65, items=("Shell",))})
    names = ["HasFocus", "FocusRelativeRotation", "FocusFacingUs", "FocusFocusingBack", "FocusHitpoints", "FocusDazed"]
    names += ["FocusCrippled", *(f"FocusHas{item}" for item in ITEMS)]
    assert [match.observed(name, 1) for name in names] == [0] * len(names)


def test_a_focused_statue_faces_along_the_lane_and_holds_nothing() -> None:
    match = Match({1: Unit(70, 77)})
    match["focus", 1] = AWAY_STATUE
    assert match.observed("FocusRelativeRotation", 1) == pytest.approx(-0.75, abs=1e-6)
    assert match.observed("FocusFacingUs", 1) == pytest.approx(math.sqrt(0.5), abs=1e-6)
    assert match.observed("FocusFocusingBack", 1) == 0
    assert not any(match.observed(f"FocusHas{item}", 1) for item in ITEMS)


@pytest.mark.parametrize("item", ITEMS)
def test_own_items_are_flagged(item: str) -> None:
    match = Match({1: Unit(60, items=(None, item))})
    assert [name for name in ITEMS if match.observed(f"Has{name}", 1)] == [item]


def test_the_height_of_the_ground_is_felt_before_and_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    heights = {60: 1.0, 61: 1.5, 65: -30.0, 58: 0.25}  # of the metre that begins there
    play_on(monkeypatch, made_up_terrain(lambda x: heights.get(int(x), 9.0)))
    match = Match({1: Unit(60.5, z=1.0), 2: Unit(60.5, 70, heading=math.pi / 2, z=1.0)})
    seen = [match.observed(name, 1) for name in ("HeightFront1", "HeightFront5", "HeightBack2")]
    assert seen == pytest.approx([math.tanh(0.5), -1, math.tanh(-0.75)], abs=1e-6)
    assert match.observed("HeightFront5", 2) == pytest.approx(0, abs=1e-6)  # looks along the slope


def test_positions_are_mirrored_for_the_away_team() -> None:
    match = Match({1: Unit(60, 55), 5: Unit(60, 55), 6: Unit(70, 66)})
    right, up = (60 - 55) / 128, (60 + 55 - 128) / 128
    assert match.observed("PositionLeftRight", 1) == pytest.approx(right)
    assert match.observed("PositionUpDown", 1) == pytest.approx(up)
    assert match.observed("PositionLeftRight", 5) == pytest.approx(-right)
    assert match.observed("PositionUpDown", 5) == pytest.approx(-up)
    left_right, up_down = match.observed("PositionLeftRight", 6), match.observed("PositionUpDown", 6)
    assert 64 - 64 * (up_down + left_right) == pytest.approx(70)
    assert 64 - 64 * (up_down - left_right) == pytest.approx(66)


@pytest.mark.parametrize(("hitpoints", "seen"), [(100.0, 1.0), (37.5, 0.375), (0.0, 0.0)])
def test_own_hitpoints_are_a_share_of_100(hitpoints: float, seen: float) -> None:
    assert Match({1: Unit(60, hitpoints=hitpoints)}).observed("Hitpoints", 1) == seen


def test_the_dead_look_east_and_still_see_the_living() -> None:
    match = Match({1: Unit(60, heading=1.0, hitpoints=0), 5: Unit(65)})
    match.play(1, {1: {"ChangeFocus": 5}})
    assert match.observed("Enemy1Distance", 1) == pytest.approx(5 / 30)
    assert match.observed("Enemy1Angle", 1) == 0
    assert match.observed("HasFocus", 1) == 0


def test_unused_numbers_are_zero_and_all_are_finite() -> None:
    match = Match({1: Unit(60), 2: Unit(60)})  # two in one place
    match["focus", 1] = 2
    assert match.observation.shape == (2, 1, 3, OBSERVATION_FEATURES)
    assert bool(torch.isfinite(match.observation).all())
    for name in ("UnusedSense31", "UnusedExtraSense30", "UnusedExtraSense31"):
        assert match.observed(name, 1) == 0
    assert match.observed("Friend1Angle", 1) == 0
    assert match["position", HOME_STATUE] == pytest.approx([51, 51, 3.31552])


def test_the_recordings_arithmetic_differs_in_the_last_digits_of_angles_only() -> None:
    """By 1.6e-4, and by 3e-7 elsewhere: section 15.2."""
    seen = {}
    for arithmetic in ("plain", "recorded"):
        backend = SimulatorBackend(arenas=50, terrain="flat", threads=1, arithmetic=arithmetic)
        backend.reset([IDLE] * 50, 0)
        gather(backend, torch.Generator().manual_seed(0))
        focus = backend.state()["focus"]
        focus[:] = torch.tensor([-1, 5, 6, 7, -1, 1, 2, 3])
        seen[arithmetic] = backend.load_state({"focus": focus})
    difference = (seen["plain"] - seen["recorded"]).abs()
    angles = torch.tensor([name.endswith(("Angle", "Rotation")) for name in OBSERVATION_KEYS])
    assert 0 < difference[..., angles].max() < 1.6e-4
    assert difference[..., ~angles].max() < 3e-7
