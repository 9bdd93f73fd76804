"""Effects of items and their times: sections 6 and 7 of the rules; numbered rows are in section 14."""

from __future__ import annotations

import math

import pytest
from simulator_matches import AWAY_STATUE, REGENERATION, UNSCALED, History, Match, Unit, falls

INACTIVE, CASTING, PERFORMING, WIND_DOWN = range(4)
CAST_AT_ENEMY = {"CastingSlot": 1, "ChangeFocus": 5}
"""The item in the first slot, at the first enemy; a cast starts in the first tick it can, so entry k is T + k."""
TOUCHING, APART = 1.5, 5.0
"""Metres to a target in range of close and of ranged items."""

ITEM_TIMES = {  # metres to the target; ticks of casting, performing, winding down, and from cast to cast
    "Talons": (TOUCHING, 20, 1, 30, 52),
    "BloodClaws": (TOUCHING, 20, 1, 30, 52),
    "Cleavers": (TOUCHING, 40, 1, 60, 102),
    "Cripplers": (TOUCHING, 20, 1, 30, 52),
    "Pistol": (APART, 13, 1, 17, 46),
    "Magnum": (APART, 13, 1, 17, 81),
    "Blaster": (APART, 26, 1, 34, 91),
    "HealingGland": (APART, 5, 120, 30, 241),
    "VampireGland": (APART, 5, 250, 30, 421),
    "ParalyzingDart": (APART, 10, 1, 30, 421),
    "FrogLegs": (APART, 9, 1, 30, 41),
    "IronBubblegum": (TOUCHING, 20, 1, 30, 301),
    "HeliumBubblegum": (TOUCHING, 20, 1, 30, 301),
    "Shell": (APART, 5, 20, 5, 31),
    "Trombone": (APART, 20, 60, 30, 301),
}


def duel(item: str, distance: float, *, copies: int = 1, **settings: object) -> Match:
    """Home's first agent holds the item and looks at away's first agent, east of it."""
    return Match({1: Unit(60, items=(item,) * copies, bounties=UNSCALED), 5: Unit(60 + distance)}, **settings)


def cast_starts(history: History, member: int = 1) -> list[int]:
    """Entries in which a cast has begun."""
    states = history["cast_state", member]
    return [i for i, state in enumerate(states) if state == CASTING and (i == 0 or states[i - 1] != CASTING)]


@pytest.mark.parametrize("item", ITEM_TIMES)
def test_an_item_casts_performs_rests_and_recasts_as_long_as_the_table_says(item: str) -> None:
    distance, cast, perform, wind_down, recast = ITEM_TIMES[item]
    history = duel(item, distance).play(recast + 1, {1: CAST_AT_ENEMY})
    idle = recast - cast - perform - wind_down
    expected = [CASTING] * cast + [PERFORMING] * perform + [WIND_DOWN] * wind_down + [INACTIVE] * idle + [CASTING]
    assert history["cast_state", 1] == expected  # row 13 among others


@pytest.mark.parametrize(
    ("item", "hit", "damage"),
    [("Talons", 20, 30), ("BloodClaws", 20, 20), ("Cleavers", 40, 60), ("Cripplers", 20, 20)],
)
def test_a_melee_item_hurts_in_its_performing_tick(item: str, hit: int, damage: float) -> None:
    hitpoints = duel(item, TOUCHING).play(hit + 20, {1: CAST_AT_ENEMY})["hitpoints", 5]
    assert falls(hitpoints) == [hit]
    assert hitpoints[hit] == pytest.approx(100 - damage + REGENERATION, abs=1e-3)


@pytest.mark.parametrize(("copies", "damage"), [(1, 30), (2, 60), (3, 90)])
def test_copies_of_an_item_strike_together(copies: int, damage: float) -> None:
    match = duel("Talons", TOUCHING, copies=copies)
    match.play(21, {1: CAST_AT_ENEMY})
    assert match["hitpoints", 5] == pytest.approx(100 - damage + REGENERATION, abs=1e-3)  # row 31


def test_copies_of_a_gun_shoot_together_but_only_the_cast_slot_cools_down() -> None:
    match = duel("Pistol", APART, copies=2)
    history = match.play(46, {1: CAST_AT_ENEMY})
    assert min(history["hitpoints", 5]) == pytest.approx(60, abs=0.1)
    assert history["cooldown", 1][0] == [45, 0, 0]


def test_a_set_effect_does_not_multiply_with_copies() -> None:
    history = duel("Cripplers", TOUCHING, copies=3).play(21, {1: CAST_AT_ENEMY})
    assert history["crippled", 5][-1] == 179  # 180, less the tick itself


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_any_item_fits_any_slot(slot: int) -> None:
    items = tuple("Talons" if each == slot else None for each in (1, 2, 3))
    match = Match({1: Unit(60, items=items), 5: Unit(60 + TOUCHING)})
    match.play(21, {1: {"CastingSlot": slot, "ChangeFocus": 5}})
    assert match["hitpoints", 5] < 71


def test_talons_kill_a_statue_in_four_hits_and_are_paid_four() -> None:
    match = Match({1: Unit(75.5, 77, items=("Talons",), bounties={"timeScaling": 1})})
    history = match.play(177, {1: {"CastingSlot": 1, "ChangeFocus": 4}})
    hitpoints = history["hitpoints", AWAY_STATUE]
    assert [hitpoints[hit] for hit in (20, 72, 124, 176)] == pytest.approx([70.02, 41.10, 12.19, 0], abs=0.006)
    assert sum(history.rewarded(1)) == pytest.approx(4)  # row 8
    assert history.rewarded(1)[176] == pytest.approx(4)


@pytest.mark.parametrize("item", ["Cripplers", "BloodClaws"])
def test_lighter_claws_need_six_hits_for_a_statue_and_heal_nobody(item: str) -> None:
    match = Match({1: Unit(75.5, 77, items=(item,), hitpoints=50)})
    history = match.play(281, {1: {"CastingSlot": 1, "ChangeFocus": 4}})
    hitpoints = [history["hitpoints", AWAY_STATUE][20 + 52 * hit] for hit in range(6)]
    assert hitpoints == pytest.approx([80.02, 61.10, 42.19, 23.27, 4.35, 0], abs=0.006)  # row 9
    assert match["hitpoints", 1] == pytest.approx(50 + 281 * REGENERATION, abs=1e-2)


def test_cleavers_kill_a_unit_with_the_second_hit() -> None:
    hitpoints = duel("Cleavers", TOUCHING).play(143, {1: CAST_AT_ENEMY})["hitpoints", 5]
    assert falls(hitpoints) == [40, 142]  # row 10
    assert hitpoints[142] == 0


@pytest.mark.parametrize(("distance", "flight"), [(2, 6), (4, 10), (7.3, 17), (10, 22), (14, 30)])
@pytest.mark.parametrize(("gun", "launch", "damage"), [("Pistol", 13, 20), ("Magnum", 13, 15), ("Blaster", 26, 45)])
def test_a_shot_starts_behind_the_gunner_and_flies_half_a_metre_a_tick(
    gun: str, launch: int, damage: float, distance: float, flight: int
) -> None:
    history = duel(gun, distance).play(launch + flight + 1, {1: CAST_AT_ENEMY})
    assert falls(history["hitpoints", 5]) == [launch + flight]  # row 11
    assert history["hitpoints", 5][-1] == pytest.approx(100 - damage + REGENERATION, abs=1e-3)


@pytest.mark.parametrize("distance", [2, 5, 9.5, 14])
def test_a_dart_dazes_for_three_seconds(distance: float) -> None:
    match = duel("ParalyzingDart", distance)
    hit = 10 + int(math.hypot(distance + 0.3068, 1.1917))
    away_walks = {5: {"MoveX": -1.0, "Rotate": 1.0}}
    match.play(hit, {1: CAST_AT_ENEMY})
    history = match.play(182, {1: {"ChangeFocus": 5}} | away_walks)
    assert history["dazed", 5][0] == 180  # row 12
    walks = [speed != 0 for speed in history["walk_speed", 5]]
    assert walks == [True] + [False] * 180 + [True]
    assert set(history["heading", 5][1:181]) == {0.0}
    assert history.observed("FocusDazed", 1) == [1.0] * 180 + [0.0] * 2
    assert history["hitpoints", 5] == [100.0] * 182


def test_two_darts_daze_for_six_seconds() -> None:
    dart = Unit(60, items=("ParalyzingDart",))
    match = Match({1: dart, 2: Unit(60, 62, items=("ParalyzingDart",)), 5: Unit(65)})
    history = match.play(16, {1: CAST_AT_ENEMY, 2: CAST_AT_ENEMY})
    assert history["dazed", 5][15] == 360


def test_a_magnum_throws_its_target_back() -> None:
    match = duel("Magnum", APART)
    history = match.play(80, {1: CAST_AT_ENEMY})
    assert match["position", 5] == pytest.approx([65 + 5.40, 60, 2.35], abs=0.01)  # row 14
    assert history["on_ground", 5].count(0) == 33
    assert max(position[2] for position in history["position", 5]) < 2.36


def test_a_statue_is_not_thrown_back() -> None:
    match = Match({1: Unit(70, 77, items=("Magnum",))})
    match.play(60, {1: {"CastingSlot": 1, "ChangeFocus": 4}})
    assert match["hitpoints", AWAY_STATUE] < 90
    assert match["position", AWAY_STATUE] == pytest.approx([77, 77, 3.31552])


def test_healing_gives_a_teammate_sixty_hitpoints_a_second() -> None:
    bounties = UNSCALED | {"healTeammate1": 1.0}
    match = Match({1: Unit(60, items=("HealingGland",), bounties=bounties), 2: Unit(65, hitpoints=50)})
    history = match.play(126, {1: {"CastingSlot": 1, "ChangeFocus": 2}})
    hitpoints = history["hitpoints", 2]
    gains = [after - before for before, after in zip(hitpoints[4:40], hitpoints[5:40], strict=False)]
    assert gains == pytest.approx([1.0208] * len(gains), abs=1e-3)  # row 15
    assert hitpoints[4] == pytest.approx(50 + 5 * REGENERATION, abs=1e-3)
    assert hitpoints[-1] == 100
    assert sum(history.rewarded(1)) == pytest.approx(48.896, abs=0.01)  # 48 full ticks and what was missing then


def test_two_glands_heal_twice_as_fast() -> None:
    match = Match({1: Unit(60, items=("HealingGland",) * 2), 2: Unit(65, hitpoints=10)})
    hitpoints = match.play(26, {1: {"CastingSlot": 1, "ChangeFocus": 2}})["hitpoints", 2]
    assert hitpoints[25] - hitpoints[5] == pytest.approx(20 * (2 + REGENERATION), abs=1e-2)


def test_a_vampire_drains_for_250_ticks() -> None:
    match = Match({1: Unit(60, items=("VampireGland",), hitpoints=10), 5: Unit(65)})
    history = match.play(260, {1: CAST_AT_ENEMY})
    victim, vampire = history["hitpoints", 5], history["hitpoints", 1]
    assert falls(victim) == list(range(5, 255))  # row 16
    assert victim[5] == pytest.approx(99.6 + REGENERATION, abs=1e-3)
    assert victim[254] - victim[4] == pytest.approx(-250 * (0.4 - REGENERATION), abs=0.02)
    assert vampire[254] - vampire[4] == pytest.approx(250 * (0.3 + REGENERATION), abs=0.02)


def test_a_vampire_lets_go_of_a_target_15_metres_away() -> None:
    match = duel("VampireGland", 14.5)
    history = match.play(20, {1: CAST_AT_ENEMY, 5: {"MoveX": 1.0}})  # leaves at 0.2 m a tick
    assert history["cast_state", 1][:5] == [CASTING] * 3 + [WIND_DOWN] * 2
    assert history["hitpoints", 5] == [100.0] * 20


def test_iron_divides_damage_by_four_for_five_seconds() -> None:
    gum = Unit(62.5, heading=math.pi, items=("IronBubblegum",))
    match = Match({1: Unit(60, items=("Talons",)), 5: Unit(61.2), 6: gum})
    match.play(20, {6: {"CastingSlot": 1, "ChangeFocus": 2}})
    history = match.play(1 + 20 + 6 * 52, {1: CAST_AT_ENEMY})  # the gum takes effect in the first of these ticks
    hitpoints = history["hitpoints", 5]
    damages = [hitpoints[i - 1] - hitpoints[i] + REGENERATION for i in falls(hitpoints)]
    assert falls(hitpoints) == [20 + 52 * hit for hit in range(7)]
    assert damages == pytest.approx([7.5] * 6 + [30], abs=0.03)  # row 17


@pytest.mark.parametrize(("ticks_before_the_hit", "damage"), [(299, 7.5), (300, 30.0)])
def test_iron_protects_in_the_299_ticks_after_its_own(ticks_before_the_hit: int, damage: float) -> None:
    match = Match(
        {
            1: Unit(60, items=("Talons",)),
            5: Unit(61.2),
            6: Unit(62.5, heading=math.pi, items=("IronBubblegum",)),
        }
    )
    match.play(20, {6: {"CastingSlot": 1, "ChangeFocus": 2}})
    match.play(1 + ticks_before_the_hit - 21)  # the gum takes effect in the first of these
    hitpoints = match.play(21, {1: CAST_AT_ENEMY})["hitpoints", 5]
    assert 100 - hitpoints[20] == pytest.approx(damage - REGENERATION, abs=1e-3)


@pytest.mark.parametrize(
    ("shell_starts", "talons_start", "damage"),
    [(1, 1, 5.0), (16, 1, 5.0), (17, 1, 30.0), (1, 5, 5.0), (1, 6, 30.0), (99, 1, 30.0)],
)
def test_a_shell_divides_damage_by_six_while_it_performs(shell_starts: int, talons_start: int, damage: float) -> None:
    """That is 5 to 24 ticks after its cast starts (row 18); the talons hit 20 ticks after theirs."""
    match = Match({1: Unit(60, items=("Talons",)), 5: Unit(61.5, items=("Shell",))})
    for tick in range(1, talons_start + 21):
        shell = {5: {"CastingSlot": 1}} if tick >= shell_starts else {}
        talons = {1: CAST_AT_ENEMY} if tick >= talons_start else {}
        match.play(1, shell | talons)
    assert match["hitpoints", 5] == pytest.approx(100 - damage + REGENERATION, abs=1e-3)


def test_helium_holds_a_unit_in_the_air_for_five_seconds() -> None:
    match = duel("HeliumBubblegum", TOUCHING)
    walks = {5: {"MoveX": 1.0, "Rotate": 1.0}}
    match.play(20, {1: CAST_AT_ENEMY})
    history = match.play(310, walks)
    x, y, z = zip(*history["position", 5], strict=True)
    airborne = history["on_ground", 5].index(1)
    assert 299 <= airborne <= 302  # row 19: 300 ticks, and the fall from 9 cm
    assert set(x[:airborne]) == {x[0]}
    assert set(y[:airborne]) == {y[0]}
    assert max(z) - 2.35 == pytest.approx(0.0897, abs=1e-3)
    assert z.index(max(z)) == 298
    assert set(history["heading", 5][1:airborne]) == {0.0}
    assert x[-1] > x[0]


def test_a_bubbled_unit_can_still_shoot() -> None:
    match = Match({1: Unit(60, items=("Pistol",)), 5: Unit(65)})
    match["helium", 1] = 200
    match.play(40, {1: CAST_AT_ENEMY})
    assert match["hitpoints", 5] == pytest.approx(80, abs=1)


def test_frog_legs_move_nobody() -> None:
    match = Match({1: Unit(60, items=("FrogLegs",))})
    history = match.play(82, {1: {"CastingSlot": 1}})
    assert PERFORMING in history["cast_state", 1]
    assert {tuple(position) for position in history["position", 1]} == {tuple(history["position", 1][0])}  # row 23


def test_cripplers_slow_a_unit_to_a_tenth_for_179_ticks() -> None:
    match = duel("Cripplers", TOUCHING)
    match.play(20, {1: CAST_AT_ENEMY})
    history = match.play(182, {1: {"ChangeFocus": 5}, 5: {"MoveX": 1.0}})
    x = [position[0] for position in history["position", 5]]
    speeds = [after - before for before, after in zip(x, x[1:], strict=False)]
    assert speeds[:179] == pytest.approx([0.02] * 179, abs=1e-4)
    assert speeds[179:] == pytest.approx([0.2] * 2, abs=1e-4)
    assert history.observed("FocusCrippled", 1) == [1.0] * 179 + [0.0] * 3


def test_a_crippled_unit_turns_a_fifth_as_fast_and_may_walk_slowly() -> None:
    match = Match({1: Unit(60)})
    match["crippled", 1] = 100
    match.play(10, {1: {"MoveX": 0.05, "Rotate": 0.5}})
    assert match["heading", 1] == pytest.approx(10 * 0.03, abs=1e-5)
    assert match["walk_speed", 1] == pytest.approx(0.6)  # the limit is absolute: 1.2 m/s
