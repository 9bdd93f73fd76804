"""When casts start, stop and hit: sections 5.4, 6.1, 6.4 and 6.5 of the rules."""

from __future__ import annotations

import math
from typing import Any

import pytest
from simulator_matches import AWAY_STATUE, Match, Unit, falls

INACTIVE, CASTING, PERFORMING, WIND_DOWN = range(4)
CAST_AT_ENEMY = {"CastingSlot": 1, "ChangeFocus": 5}


def starts(match: Match) -> bool:
    match.play(1, {1: CAST_AT_ENEMY})
    return bool(match["cast_state", 1] == CASTING)


@pytest.mark.parametrize(
    ("item", "distance", "reached"),
    [("Talons", 1.0, True), ("Talons", 1.99, True), ("Talons", 2.01, False)]
    + [("Pistol", 1.49, False), ("Pistol", 1.51, True), ("Pistol", 14.99, True), ("Pistol", 15.01, False)],
)
def test_a_cast_needs_a_target_in_range(item: str, distance: float, reached: bool) -> None:
    assert starts(Match({1: Unit(60, items=(item,)), 5: Unit(60 + distance)})) == reached


@pytest.mark.parametrize(("degrees", "reached"), [(0, True), (44, True), (-44, True), (46, False), (-46, False)])
def test_a_cast_needs_a_target_within_45_degrees(degrees: float, reached: bool) -> None:
    heading = math.radians(degrees)
    assert starts(Match({1: Unit(60, heading=heading, items=("Pistol",)), 5: Unit(65)})) == reached


@pytest.mark.parametrize("item", ["FrogLegs", "Shell", "Trombone"])
def test_an_item_without_a_range_needs_no_target(item: str) -> None:
    match = Match({1: Unit(60, items=(item,))})
    match.play(1, {1: {"CastingSlot": 1}})
    assert match["cast_state", 1] == CASTING
    assert match["focus", 1] == -1


def test_other_items_need_one() -> None:
    match = Match({1: Unit(60, items=("Pistol",)), 5: Unit(65)})
    match.play(1, {1: {"CastingSlot": 1}})
    assert match["cast_state", 1] == INACTIVE


def test_an_empty_slot_casts_nothing() -> None:
    match = Match({1: Unit(60), 5: Unit(65)})
    history = match.play(3, {1: CAST_AT_ENEMY})
    assert history["cast_state", 1] == [INACTIVE] * 3
    assert history.observed("Ability0Ready", 1) == [1.0] * 3


@pytest.mark.parametrize(("choice", "target"), [(1, 0), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7)])
def test_items_know_neither_friend_nor_foe(choice: int, target: int) -> None:
    """Whoever is the target stands before the attacker; the others stand behind it."""
    match = Match({1: Unit(60, items=("Talons",))})
    match["position", target] = [61.5, 60, 2.35]
    match.play(21, {1: {"CastingSlot": 1, "ChangeFocus": choice}})
    assert match["hitpoints", target] == pytest.approx(70, abs=0.1)


def test_ready_flags_follow_the_cooldowns() -> None:
    match = Match({1: Unit(60, items=("Pistol", "Talons", "Shell")), 5: Unit(65)})
    history = match.play(47, {1: CAST_AT_ENEMY})
    assert history.observed("Ability0Ready", 1) == [0.0] * 45 + [1.0, 0.0]
    assert history.observed("Ability1Ready", 1) == [1.0] * 47
    assert history.observed("Ability2Ready", 1) == [1.0] * 47


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [
        ("dazed", 1, 1),
        ("hitpoints", 1, 0.0),
        ("hitpoints", 5, 0.0),
        ("position", 5, [76.0, 60.0, 2.35]),
        ("position", 5, [60.0, 65.0, 2.35]),
    ],
    ids=["dazed", "dead", "target dead", "target too far", "target beside"],
)
def test_a_cast_is_aborted_yet_rests_and_cools_down_in_full(name: str, member: int, value: Any) -> None:
    match = Match({1: Unit(60, items=("Pistol",)), 5: Unit(65)})
    match.play(6, {1: CAST_AT_ENEMY})
    match[name, member] = value
    history = match.play(25, {1: {"CastingSlot": 1}})
    assert history["cast_state", 1] == [WIND_DOWN] * 17 + [INACTIVE] * 8
    assert history["cooldown", 1][24][0] == 45 - 30
    assert falls(history["hitpoints", 5]) == []


def test_a_drain_is_aborted_while_it_performs() -> None:
    match = Match({1: Unit(60, items=("VampireGland",)), 5: Unit(65)})
    match.play(20, {1: CAST_AT_ENEMY})
    match["dazed", 1] = 1
    history = match.play(3)
    assert history["cast_state", 1] == [WIND_DOWN] * 3
    assert falls(history["hitpoints", 5]) == []


def test_a_cast_keeps_its_target_when_the_focus_moves_on() -> None:
    match = Match({1: Unit(60, items=("Talons",)), 5: Unit(61.5), 6: Unit(61, 61.2)})
    match.play(5, {1: CAST_AT_ENEMY})
    match.play(30, {1: {"ChangeFocus": 6}})
    assert match["hitpoints", 5] == pytest.approx(70.5, abs=0.5)
    assert match["hitpoints", 6] == 100


def test_whoever_casts_and_performs_stands_still() -> None:
    match = Match({1: Unit(60, items=("Pistol",)), 5: Unit(65)})
    history = match.play(20, {1: {"CastingSlot": 1, "ChangeFocus": 5, "MoveX": -1.0, "Rotate": 0.1}})
    x = [position[0] for position in history["position", 1]]
    assert x[:14] == [60.0] * 14
    assert history["heading", 1][:14] == [0.0] * 14
    assert x[15] == pytest.approx(60 - 0.4, abs=1e-3)  # winds down and walks away
    assert history["heading", 1][15] == pytest.approx(0.03, abs=1e-5)


def test_whoever_rests_from_a_shell_walks_a_fifth_as_fast() -> None:
    match = Match({1: Unit(60, items=("Shell",))})
    history = match.play(31, {1: {"CastingSlot": 1, "MoveX": 1.0}})
    assert history["walk_speed", 1] == pytest.approx([0] * 25 + [2.4] * 5 + [12])


def test_a_shot_follows_its_target_and_hits_the_dead() -> None:
    bounties = {"killEnemyUnit": 0.0, "timeScaling": 1.0, "damageEnemyUnit": 1.0}
    match = Match({1: Unit(60, items=("Pistol",), bounties=bounties), 5: Unit(70)})
    match.play(15, {1: CAST_AT_ENEMY})
    match["hitpoints", 5] = 0.0
    match["position", 5] = [60.0, 68.0, 2.35]
    history = match.play(30)
    assert sum(history.rewarded(1)) == pytest.approx(20)
    assert match["hitpoints", 5] == 0


def test_a_shot_outlives_its_shooter_and_still_pays_it() -> None:
    bounties = {"killEnemyUnit": 0.0, "timeScaling": 1.0, "damageEnemyUnit": 1.0}
    match = Match({1: Unit(60, items=("Pistol",), bounties=bounties), 5: Unit(70)})
    match.play(15, {1: CAST_AT_ENEMY})
    match["hitpoints", 1] = 0.0
    assert sum(match.play(30).rewarded(1)) == pytest.approx(20)
    assert match["hitpoints", 5] == pytest.approx(80, abs=1)


@pytest.mark.parametrize(("turbo", "hit"), [(False, 51), (True, 53)])
def test_a_shot_starts_where_the_gunner_was_last_drawn(turbo: bool, hit: int) -> None:
    """It walks 1 m before the target is in range, all within a step; in turbo mode that is not drawn."""
    for ticks, expected in ((hit - 1, 100.0), (hit, 80.0)):
        match = Match({1: Unit(60, items=("Pistol",)), 5: Unit(75.9)}, substeps=ticks, turbo=turbo)
        match.play(1, {1: {"MoveX": 1.0, "CastingSlot": 1, "ChangeFocus": 5}})
        assert match["hitpoints", 5] == pytest.approx(expected, abs=0.1)


def test_a_trombone_draws_the_enemies_eyes_for_a_second() -> None:
    facing = math.pi
    units = {1: Unit(60, items=("Trombone",)), 2: Unit(60, 63), 5: Unit(65, heading=facing), 6: Unit(65, 62)}
    match = Match(units | {7: Unit(65, 64, heading=facing)})
    match.play(1, {5: {"ChangeFocus": 6}, 7: {"ChangeFocus": 6}})
    assert match["focus", 5] == match["focus", 7] == 2
    history = match.play(100, {1: {"CastingSlot": 1}, 7: {"ChangeFocus": 6}})
    assert history["focus", 5] == [2] * 20 + [1] * 80  # kept while it can be
    assert history["focus", 6] == [-1] * 20 + [1] * 60 + [-1] * 20  # it faces away
    assert history["focus", 7] == [2] * 20 + [1] * 60 + [2] * 20  # it asks for another one in every tick
    assert history["focus", 3] == [-1] * 100  # teammates do not care


def test_who_asks_for_a_target_hits_it_in_spite_of_a_trombone() -> None:
    match = Match(
        {1: Unit(60, items=("Trombone",)), 2: Unit(60, 62), 5: Unit(65, 62, heading=math.pi, items=("Pistol",))}
    )
    match.play(21, {1: {"CastingSlot": 1}})
    assert match["focus", 5] == 1
    match.play(40, {5: {"CastingSlot": 1, "ChangeFocus": 6}})
    assert match["hitpoints", 1] == 100
    assert match["hitpoints", 2] < 81


def test_the_first_of_two_musicians_draws_the_eyes() -> None:
    trombone = ("Trombone",)
    match = Match({1: Unit(60), 2: Unit(60, 62, items=trombone), 3: Unit(60, 64, items=trombone), 5: Unit(65)})
    match.play(21, {2: {"CastingSlot": 1}, 3: {"CastingSlot": 1}})
    assert match["focus", 5] == 2


@pytest.mark.parametrize(
    ("change", "degrees", "distance", "kept"),
    [(5, 89, 5, True), (5, 91, 5, False), (0, 89, 5, True), (0, 91, 5, False)]
    + [(5, 0, 29.9, True), (5, 0, 30.1, False), (0, 0, 29.9, True), (0, 0, 30.1, False)],
)
def test_a_focus_must_be_in_front_and_within_30_metres(
    change: int, degrees: float, distance: float, kept: bool
) -> None:
    """Whether it is asked for (5) or kept (0): else it is dropped."""
    match = Match({1: Unit(50, heading=math.radians(degrees)), 5: Unit(50 + distance)})
    match["focus", 1] = 5
    match.play(1, {1: {"ChangeFocus": change}})
    assert match["focus", 1] == (5 if kept else -1)


@pytest.mark.parametrize("dead", [1, 5])
def test_the_dead_neither_focus_nor_are_focused(dead: int) -> None:
    match = Match({1: Unit(60), 5: Unit(65)})
    match.play(1, {1: {"ChangeFocus": 5}})
    match["hitpoints", dead] = 0.0
    assert match.play(2)["focus", 1] == [-1, -1]


@pytest.mark.parametrize(
    ("me", "members"), [(1, [0, 2, 3, 4, 5, 6, 7]), (2, [0, 1, 3, 4, 5, 6, 7]), (6, [4, 5, 7, 0, 1, 2, 3])]
)
def test_focus_choices_are_relative_to_the_agent(me: int, members: list[int]) -> None:
    match = Match({member: Unit(70, 60 + member) for member in (1, 2, 3, 5, 6, 7)} | {me: Unit(55)})
    match["position", 0], match["position", AWAY_STATUE] = [70.0, 60.0, 2.35], [70.0, 64.0, 2.35]
    for choice, member in enumerate(members, start=1):
        match.play(1, {me: {"ChangeFocus": choice}})
        assert match["focus", me] == member
    match.play(1)
    assert match["focus", me] == members[-1]
