"""How units walk, turn, chase, collide and fall: sections 5, 7 and 8 of the rules, on ground made for each test."""

from __future__ import annotations

import math

import pytest
from simulator_matches import DERKLINGS, HOME_STATUE, UNSCALED, History, Match, Unit, made_up_terrain, play_on

ABYSS = -100.0
PLAIN = 2.35


def column(history: History, axis: int, member: int = 1) -> list[float]:
    """One coordinate of a member's position after each tick."""
    return [position[axis] for position in history["position", member]]


def test_a_unit_walks_12_metres_a_second_from_the_first_tick_on() -> None:
    heading = 0.3
    history = Match({1: Unit(60, heading=heading)}).play(60, {1: {"MoveX": 1.0}})
    travelled = [math.hypot(x - 60, y - 60) for x, y, _ in history["position", 1]]
    assert travelled == pytest.approx([0.2 * tick for tick in range(1, 61)], abs=1e-3)  # row 3
    assert history["position", 1][-1] == pytest.approx(
        [60 + 12 * math.cos(heading), 60 + 12 * math.sin(heading), PLAIN], abs=1e-3
    )


def test_a_unit_walks_backwards_as_fast_and_is_never_stuck() -> None:
    match = Match({1: Unit(46)})
    history = match.play(60, {1: {"MoveX": -1.0}})
    assert column(history, 0)[4] == pytest.approx(45, abs=1e-3)  # row 4
    assert column(history, 0)[-1] == 44  # the edge of the world
    assert set(history["stuck", 1]) == {0}


@pytest.mark.parametrize(("rotate", "ticks"), [(1.0, 42), (-1.0, 42), (0.5, 10)])
def test_a_unit_turns_up_to_0_15_radians_a_tick(rotate: float, ticks: int) -> None:
    headings = Match({1: Unit(60)}).play(ticks, {1: {"Rotate": rotate}})["heading", 1]
    assert headings == pytest.approx([0.15 * rotate * (1 + tick) for tick in range(ticks)], abs=1e-4)  # row 5
    assert (abs(headings[-1]) > 2 * math.pi) == (ticks == 42)  # a full turn takes 41.9 ticks; nothing is wrapped


def test_chasing_turns_to_the_focus_and_walks() -> None:
    match = Match({1: Unit(60, heading=0.0), 5: Unit(60 + 10 * math.cos(0.5), 60 + 10 * math.sin(0.5))})
    history = match.play(6, {1: {"ChaseFocus": 1.0, "ChangeFocus": 5}})
    headings = [0.0, *history["heading", 1]]
    turns = [after - before for before, after in zip(headings, headings[1:], strict=False)]
    assert turns == pytest.approx([0.15, 0.15, 0.15, 0.0626, 0, 0], abs=2e-4)  # row 6
    assert history["walk_speed", 1] == [12.0] * 6


def test_chasing_without_a_focus_is_walking_by_hand() -> None:
    match = Match({1: Unit(60)})
    match.play(10, {1: {"ChaseFocus": 1.0, "MoveX": 0.5, "Rotate": -0.2}})
    assert match["walk_speed", 1] == 6
    assert match["heading", 1] == pytest.approx(-0.3, abs=1e-5)


def test_half_a_chase_is_half_by_hand() -> None:
    match = Match({1: Unit(60), 5: Unit(70, 70)})  # 45 degrees to the left
    match.play(1, {1: {"ChaseFocus": 0.5, "MoveX": -1.0, "Rotate": -1.0, "ChangeFocus": 5}})
    assert match["walk_speed", 1] == pytest.approx(0, abs=1e-5)
    assert match["heading", 1] == pytest.approx(0, abs=1e-6)  # right by 0.15 and half of 0.3 back


@pytest.mark.parametrize(
    ("actions", "name", "expected"),
    [
        ({"MoveX": 5.0}, "walk_speed", 12.0),
        ({"MoveX": -5.0}, "walk_speed", -12.0),
        ({"Rotate": 7.0}, "heading", 0.15),
        ({"ChaseFocus": 2.0, "ChangeFocus": 5}, "heading", 0.3),
        ({"ChaseFocus": 2.0, "ChangeFocus": 5}, "walk_speed", 12.0),
        ({"ChangeFocus": 5.9}, "focus", 5),
        ({"ChangeFocus": 8.0}, "focus", 7),
        ({"ChangeFocus": -1.0}, "focus", -1),
        ({"CastingSlot": 1.9, "ChangeFocus": 5}, "cast_ability", 8),
        ({"CastingSlot": 4.0, "ChangeFocus": 5}, "cast_ability", 0),
        ({"CastingSlot": -1.0, "ChangeFocus": 5}, "cast_ability", 0),
    ],
)
def test_actions_beyond_the_action_space_do_what_the_game_does(
    actions: dict[str, float], name: str, expected: float
) -> None:
    match = Match({1: Unit(60, items=("Pistol",) * 3), 5: Unit(65, 64), 7: Unit(70, 60)})  # 39 degrees to the left
    match.play(1, {1: actions}, check=False)  # row 29
    assert match[name, 1] == pytest.approx(expected, abs=1e-6)


def test_a_negative_choice_keeps_the_focus() -> None:
    match = Match({1: Unit(60), 5: Unit(65)})
    match.play(1, {1: {"ChangeFocus": 5}})
    match.play(1, {1: {"ChangeFocus": -1.0}}, check=False)
    assert match["focus", 1] == 5


@pytest.mark.parametrize(
    ("name", "value", "tick"), [("dazed", 5, 1), ("hitpoints", 0.0, 1), ("on_ground", 0, 1), ("helium", 5, 2)]
)
def test_who_cannot_walk_faces_east(name: str, value: float, tick: int) -> None:
    """Dazed, dead, airborne or in a bubble, which lifts at the end of its first tick."""
    match = Match({1: Unit(60, heading=2.0)})
    match[name, 1] = value
    match.play(tick, {1: {"MoveX": 1.0, "Rotate": 1.0}})
    assert match["heading", 1] == 0
    assert match["walk_speed", 1] == 0


@pytest.mark.parametrize("obstacle", [HOME_STATUE, 2, 5])
def test_nobody_walks_closer_than_a_metre(obstacle: int) -> None:
    match = Match({1: Unit(60)})
    match["position", obstacle] = [65.0, 60.0, PLAIN]
    history = match.play(40, {1: {"MoveX": 1.0}})
    assert column(history, 0)[-1] == pytest.approx(64, abs=1e-3)
    assert history["stuck", 1][-1] == 1
    assert match["position", obstacle] == pytest.approx([65, 60, PLAIN], abs=1e-3)


def test_the_dead_are_in_nobodys_way() -> None:
    match = Match({1: Unit(60), 5: Unit(65, hitpoints=0)})
    history = match.play(50, {1: {"MoveX": 1.0}})
    assert column(history, 0)[-1] == pytest.approx(70, abs=1e-3)
    assert column(history, 0, 5)[-1] == 65


def test_two_that_overlap_both_move_out_in_full() -> None:
    match = Match({1: Unit(60), 5: Unit(60.5)})
    match.play(1)
    assert match["position", 1][0] == pytest.approx(59.5, abs=1e-5)
    assert match["position", 5][0] == pytest.approx(61, abs=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("edge", "heading"), [(84, 0.0), (44, math.pi)])
def test_the_world_ends_20_metres_from_its_centre(axis: int, edge: float, heading: float) -> None:
    match = Match({1: Unit(64, 64, heading=heading + axis * math.pi / 2)})
    assert column(match.play(110, {1: {"MoveX": 1.0}}), axis)[-1] == pytest.approx(edge)


def test_a_gentle_slope_is_walked_up_and_down_at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: 0.3 * (x - 60)))
    up = Match({1: Unit(60, z=0.0)}).play(60, {1: {"MoveX": 1.0}})
    down = Match({1: Unit(72, z=3.6)}).play(60, {1: {"MoveX": -1.0}})
    assert column(up, 0)[-1] == pytest.approx(72, abs=1e-3)
    assert column(up, 2)[-1] == pytest.approx(3.6, abs=0.05)
    assert column(down, 0)[-1] == pytest.approx(60, abs=1e-3)
    assert set(up["on_ground", 1]) == set(down["on_ground", 1]) == {1}


def test_a_steeper_way_down_launches_into_the_air_except_slow_walkers(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 0.1 m lower within a tick."""
    play_on(monkeypatch, made_up_terrain(lambda x: -0.08 * int(8 * (x - 60)) if x > 60 else 0.0))
    fast = Match({1: Unit(60, z=0.0)}).play(20, {1: {"MoveX": 1.0}})
    slow = Match({1: Unit(60, z=0.0)}).play(40, {1: {"MoveX": 0.6}})
    assert 0 in fast["on_ground", 1]
    assert set(slow["on_ground", 1]) == {1}


@pytest.mark.parametrize("steep", [False, True])
def test_only_a_steep_face_blocks_the_way_up(monkeypatch: pytest.MonkeyPatch, steep: bool) -> None:
    terrain = made_up_terrain(lambda x: 10.0 if x >= 62 else PLAIN, lambda x: steep and 62 <= x < 62.5)
    play_on(monkeypatch, terrain)
    history = Match({1: Unit(60.1)}).play(20, {1: {"MoveX": 1.0}})
    if steep:
        assert history["position", 1][-1] == pytest.approx([61.9, 60, PLAIN], abs=1e-3)
        assert history["stuck", 1][-1] == 1
    else:
        assert history["position", 1][-1] == pytest.approx([64.1, 60, 10], abs=1e-3)
        assert history["stuck", 1] == [0] * 20


@pytest.mark.parametrize(("width", "crossed"), [(1.5, True), (3.0, False)])
def test_a_gap_of_less_than_2_metres_can_be_run_across(
    monkeypatch: pytest.MonkeyPatch, width: float, crossed: bool
) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: ABYSS if 62 <= x < 62 + width else PLAIN))
    match = Match({1: Unit(60)})
    match.play(130, {1: {"MoveX": 1.0}})
    assert (match["hitpoints", 1] > 0) == crossed
    assert (match["position", 1][0] > 65) == crossed


@pytest.mark.parametrize(("drop", "fatal"), [(13.3, False), (14.3, True), (64.0, True)])
def test_a_fall_of_more_than_14_metres_kills(monkeypatch: pytest.MonkeyPatch, drop: float, fatal: bool) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: PLAIN - drop if x >= 61 else PLAIN))
    bounties = UNSCALED | {"fallDamageTaken": -1.0, "killEnemyUnit": 1.0}
    match = Match({member: Unit(60 if member == 1 else 45, 50 + 4 * member, bounties=bounties) for member in DERKLINGS})
    history = match.play(150, {1: {"MoveX": 1.0}})
    assert (match["hitpoints", 1] == 0) == fatal
    assert sum(history.rewarded(1)) == (-1 if fatal else 0)
    assert all(sum(history.rewarded(other)) == 0 for other in DERKLINGS[1:])


@pytest.mark.parametrize("depth", [59.0, 61.0, 64.0, 67.0])
def test_walking_into_the_abyss_kills_within_85_to_95_ticks(monkeypatch: pytest.MonkeyPatch, depth: float) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: PLAIN - depth if x >= 61 else PLAIN))
    history = Match({1: Unit(60)}).play(110, {1: {"MoveX": 1.0}})
    edge = history["on_ground", 1].index(0)
    ticks = history["hitpoints", 1].index(0.0) - edge
    assert 85 <= ticks <= 95
    assert ticks == math.ceil(math.sqrt(2 * depth * 3600 / 58.92 + 0.25) - 0.5)  # the n-th tick falls n * 16.4 mm


def test_running_off_a_ledge_ends_in_24_ticks_of_sliding(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: PLAIN - 1 if x >= 61 else PLAIN))
    history = Match({1: Unit(60, heading=0.0)}).play(60, {1: {"MoveX": 1.0}})
    x, z, on_ground = column(history, 0), column(history, 2), history["on_ground", 1]
    edge = on_ground.index(0)
    landing = next(tick for tick in range(edge, 60) if z[tick] == pytest.approx(PLAIN - 1))
    control = on_ground.index(1, edge)
    assert control - landing + 1 == 24
    assert x[control] - x[landing] == pytest.approx(1.64, abs=0.02)
    assert x[control + 1] - x[control] == pytest.approx(0.2, abs=1e-3)
    assert history["hitpoints", 1][-1] == 100


def test_who_slides_is_lifted_onto_any_cliff(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: 9.0 if x >= 62 else PLAIN, lambda _: True))
    match = Match({1: Unit(61.5)})
    match["velocity", 1], match["on_ground", 1] = [12.0, 0.0, -0.1], 0
    match.play(5)
    assert match["position", 1][2] == 9
