"""Rewards of events, and the winner: sections 10, 11 and 13 of the rules."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from simulator_matches import (
    AWAY,
    AWAY_STATUE,
    DERKLINGS,
    HOME,
    HOME_STATUE,
    IDLE,
    REGENERATION,
    UNSCALED,
    Match,
    Unit,
    gather,
    made_up_terrain,
    play_on,
    random_actions,
)

from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.interface import BOUNTY_KEYS, ITEMS, TEAM_STATS_KEYS
from pearl_lightning.derk.tasks import DerkTask

CAST_AT_ENEMY = {"CastingSlot": 1, "ChangeFocus": 5}


def paying(**bounties: float) -> dict[str, float]:
    """Weights that pay the same at any time, and nothing but this."""
    return UNSCALED | bounties


def talons(x: float, y: float = 60.0, **bounties: float) -> Unit:
    return Unit(x, y, items=("Talons",), bounties=paying(**bounties))


def strike(match: Match, hitpoints: float, *attackers: int, target: int = 5) -> dict[int, float]:
    """Rewards of all agents for a strike of the talons at a target with ``hitpoints``."""
    match.play(20, {attacker: CAST_AT_ENEMY for attacker in attackers})
    match["hitpoints", target] = hitpoints
    history = match.play(1)
    return {member: history.rewarded(member)[0] for member in DERKLINGS}


@pytest.mark.parametrize(
    ("bounty", "choice", "target"),
    [
        ("damageEnemyUnit", 5, 5),
        ("damageEnemyStatue", 4, AWAY_STATUE),
        ("friendlyFire", 2, 2),
        ("friendlyFire", 1, HOME_STATUE),
    ],
)
def test_damage_pays_the_attacker_by_the_kind_of_target(bounty: str, choice: int, target: int) -> None:
    others = {member: talons(70, 60 + 2 * member, **{bounty: 0.5}) for member in DERKLINGS[1:]}
    match = Match(others | {1: talons(60, **{bounty: 0.5})})
    match["position", target] = [61.5, 60.0, 2.35]
    match.play(21, {1: {"CastingSlot": 1, "ChangeFocus": choice}})
    assert [match["gold", member] for member in DERKLINGS] == [15.0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("bounty", "choice", "target"),
    [
        ("healFriendlyStatue", 1, HOME_STATUE),
        ("healTeammate1", 2, 1),
        ("healTeammate2", 3, 3),
        ("healEnemy", 4, AWAY_STATUE),
        ("healEnemy", 6, 6),
    ],
)
def test_healing_pays_by_the_kind_of_target(bounty: str, choice: int, target: int) -> None:
    match = Match({2: Unit(60, items=("HealingGland",), bounties=paying(**{bounty: 2.0}))})
    match["position", target] = [65.0, 60.0, 2.35]
    match["hitpoints", target] = 50.0
    match.play(15, {2: {"CastingSlot": 1, "ChangeFocus": choice}})
    assert match["gold", 2] == pytest.approx(20, abs=1e-3)  # ten ticks of one hitpoint


def test_damage_taken_pays_the_victim_what_it_lost() -> None:
    match = Match({1: talons(60), 5: Unit(61.5, bounties=paying(damageTaken=1.0))})
    assert strike(match, 50.0, 1)[5] == pytest.approx(30, abs=1e-4)


def test_damage_taken_by_a_corpse_or_beyond_death_is_not_paid() -> None:
    match = Match({1: talons(60), 5: Unit(61.5, bounties=paying(damageTaken=1.0))})
    assert strike(match, 10.0, 1)[5] == pytest.approx(10, abs=1e-4)
    assert sum(match.play(60, {1: CAST_AT_ENEMY}).rewarded(5)) == 0


def test_damage_taken_counts_what_a_healer_left_of_it() -> None:
    bounties = paying(damageTaken=1.0)
    gland = Unit(65, heading=math.pi, items=("HealingGland",), bounties=paying(healTeammate1=1.0))
    match = Match({1: talons(60), 5: Unit(61.5, bounties=bounties), 6: gland})
    match.play(20, {1: CAST_AT_ENEMY, 6: {"CastingSlot": 1, "ChangeFocus": 2}})
    match["hitpoints", 5] = 50.0
    assert match.play(1).rewarded(5) == pytest.approx([29], abs=1e-4)


def test_statue_damage_pays_its_whole_side_overkill_included() -> None:
    weights = paying(statueDamageTaken=1.0)
    units = {member: Unit(50 + 2 * member, 75, bounties=weights) for member in DERKLINGS}
    match = Match(units | {1: Unit(75.5, 77, items=("Talons",), bounties=weights)})
    match["hitpoints", 6] = 0.0
    match.play(20, {1: {"CastingSlot": 1, "ChangeFocus": 4}})
    match["hitpoints", AWAY_STATUE] = 10.0
    history = match.play(1)
    earned = [history.rewarded(member)[0] for member in DERKLINGS]
    assert earned == pytest.approx([0, 0, 0, 30, 30, 30], abs=1e-4)  # the dead too


@pytest.mark.parametrize(
    ("hitpoints", "corrected", "paid"),
    [(30.5, False, 0), (30.0, False, 0), (29.9, False, 1), (30.5, True, 0), (30.0, True, 1), (29.9, True, 1)],
)
def test_a_kill_pays_unless_it_leaves_exactly_nothing(hitpoints: float, corrected: bool, paid: float) -> None:
    match = Match({1: talons(60, killEnemyUnit=1.0), 5: Unit(61.5)}, corrected_attribution=corrected)
    assert strike(match, hitpoints, 1)[1] == paid
    assert (match["hitpoints", 5] == 0) == (hitpoints <= 30)


@pytest.mark.parametrize(("corrected", "kills", "damage"), [(False, [1, 1], [30, 30]), (True, [1, 0], [10, 0])])
def test_each_of_two_lethal_strikes_is_paid_unless_corrected(
    corrected: bool, kills: list[float], damage: list[float]
) -> None:
    for bounty, paid in (("killEnemyUnit", kills), ("damageEnemyUnit", damage)):
        units = {1: talons(60, **{bounty: 1.0}), 2: talons(60, 61.2, **{bounty: 1.0}), 5: Unit(61.2, 60.6)}
        earned = strike(Match(units, corrected_attribution=corrected), 10.0, 1, 2)
        assert [earned[1], earned[2]] == pytest.approx(paid, abs=1e-4)


@pytest.mark.parametrize(("corrected", "paid"), [(False, [0, 0]), (True, [0, 1])])
def test_strikes_that_kill_together_pay_nobody_unless_corrected(corrected: bool, paid: list[float]) -> None:
    units = {1: talons(60, killEnemyUnit=1.0), 2: talons(60, 61.2, killEnemyUnit=1.0), 5: Unit(61.2, 60.6)}
    match = Match(units, corrected_attribution=corrected)
    earned = strike(match, 50.0, 1, 2)
    assert match["hitpoints", 5] == 0
    assert [earned[1], earned[2]] == paid


@pytest.mark.parametrize(
    ("corrected", "kills", "damage"), [(False, [1, 1], [20, 20]), (True, [1, 0], [10 + REGENERATION, 0])]
)
def test_shots_that_arrive_at_a_corpse_pay_unless_corrected(
    corrected: bool, kills: list[float], damage: list[float]
) -> None:
    """Row 26; the second pistol stands further away."""
    for bounty, paid in (("killEnemyUnit", kills), ("damageEnemyUnit", damage)):
        pistols = {
            member: Unit(x, 58 + member, items=("Pistol",), bounties=paying(**{bounty: 1.0}))
            for member, x in ((1, 60), (2, 58))
        }
        match = Match(pistols | {5: Unit(65, 60, hitpoints=10)}, corrected_attribution=corrected)
        match.play(60, {1: CAST_AT_ENEMY, 2: CAST_AT_ENEMY})
        assert [match["gold", 1], match["gold", 2]] == pytest.approx(paid, abs=0.6)
        assert [match["gold", 1] > 0, match["gold", 2] > 0] == [value > 0 for value in paid]


@pytest.mark.parametrize("corrected", [False, True])
def test_killing_a_friend_pays_no_kill(corrected: bool) -> None:
    units = {1: talons(60, killEnemyUnit=1.0, friendlyFire=-1.0), 2: Unit(61.5)}
    match = Match(units, corrected_attribution=corrected)
    match.play(20, {1: {"CastingSlot": 1, "ChangeFocus": 2}})
    match["hitpoints", 2] = 10.0
    match.play(1)
    assert match["hitpoints", 2] == 0
    assert match["gold", 1] == (-10 if corrected else -30)


@pytest.mark.parametrize(
    ("choice", "victim", "corrected", "paid"), [(5, 5, False, 1), (5, 5, True, 1), (2, 2, False, 1), (2, 2, True, 0)]
)
def test_a_fall_is_credited_to_the_pusher(
    monkeypatch: pytest.MonkeyPatch, choice: int, victim: int, corrected: bool, paid: float
) -> None:
    """Whatever the side of who falls, unless corrected."""
    play_on(monkeypatch, made_up_terrain(lambda x: -60.0 if x >= 67 else 2.35))
    magnum = Unit(60, items=("Magnum",), bounties=paying(killEnemyUnit=1.0))
    units = {member: Unit(50, 60 + 2 * member) for member in DERKLINGS} | {1: magnum}
    fallen = {victim: Unit(65, bounties=paying(fallDamageTaken=-1.0))}
    match = Match(units | fallen, corrected_attribution=corrected)
    history = match.play(140, {1: {"CastingSlot": 1, "ChangeFocus": choice}})
    assert match["hitpoints", victim] == 0
    assert sum(history.rewarded(1)) == paid
    assert sum(history.rewarded(victim)) == -1


def test_who_lands_safely_and_jumps_later_pays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    play_on(monkeypatch, made_up_terrain(lambda x: -60.0 if x >= 72 else 2.35))
    magnum = Unit(60, items=("Magnum",), bounties=paying(killEnemyUnit=1.0))
    match = Match({member: Unit(50, 60 + 2 * member) for member in DERKLINGS} | {1: magnum, 5: Unit(65)})
    match.play(60, {1: CAST_AT_ENEMY})
    match.play(160, {5: {"MoveX": 1.0}})
    assert match["hitpoints", 5] == 0
    assert match["gold", 1] == 0


@pytest.mark.parametrize(
    ("member", "place", "bounty"),
    [
        (1, (53.0, 51.0), "timeSpentHomeBase"),
        (1, (57.0, 51.0), "timeSpentHomeTerritory"),
        (1, (63.0, 64.5), "timeSpentHomeTerritory"),
        (1, (64.0, 64.5), "timeSpentAwayTerritory"),
        (1, (75.0, 77.0), "timeSpentAwayTerritory"),  # nobody comes near enough to the away statue: section 13, 15
        (5, (75.0, 77.0), "timeSpentHomeTerritory"),
        (5, (64.0, 64.5), "timeSpentHomeTerritory"),
        (5, (63.0, 64.5), "timeSpentAwayTerritory"),
        (5, (53.0, 51.0), "timeSpentAwayBase"),
    ],
)
@pytest.mark.parametrize("hitpoints", [100.0, 0.0])
def test_territory_pays_once_every_300_ticks_dead_or_alive(
    member: int, place: tuple[float, float], bounty: str, hitpoints: float
) -> None:
    match = Match({member: Unit(*place, hitpoints=hitpoints)}, bounty_events=True).at_tick(298)
    side, agent = member // 4, member % 4 - 1
    counts = []
    for tick in (298, 598, 898, 1198):  # two ticks from each; the last of an episode pays its result
        match.at_tick(tick).play(1)
        counts.append(match.backend.bounty_events()[side, 0, agent].clone())
        match.play(1)
        counts.append(match.backend.bounty_events()[side, 0, agent].clone())
    expected = torch.zeros(len(BOUNTY_KEYS))
    for index, count in enumerate(counts[:-1]):
        expected[BOUNTY_KEYS.index(bounty)] = min((index + 1) // 2, 3)
        torch.testing.assert_close(count, expected)


def test_a_kill_is_shared_by_team_spirit() -> None:
    spirits = {1: 1.0, 2: 0.5, 3: 0.0}
    units = {member: Unit(60, 60 + 3 * member, bounties=paying(teamSpirit=s)) for member, s in spirits.items()}
    match = Match(units | {1: talons(60, killEnemyUnit=1.0, teamSpirit=1.0), 5: Unit(61.5)})
    earned = strike(match, 10.0, 1)
    assert [earned[member] for member in DERKLINGS] == pytest.approx([1 / 3, 1 / 6, 0, 0, 0, 0])


def test_a_kill_is_shared_in_three_by_full_team_spirit() -> None:
    units = {member: Unit(60, 60 + 3 * member, bounties=paying(teamSpirit=1.0)) for member in HOME}
    match = Match(units | {1: talons(60, killEnemyUnit=1.0, teamSpirit=1.0), 5: Unit(61.5)})
    earned = strike(match, 10.0, 1)
    assert [earned[member] for member in HOME] == pytest.approx([1 / 3] * 3)  # row 27


@pytest.mark.parametrize("tick", [21, 600, 1100])
@pytest.mark.parametrize("scaling", [0.0, 0.5, 1.0, 2.0])
def test_a_kill_is_worth_less_or_more_with_time(tick: int, scaling: float) -> None:
    match = Match({1: talons(60, killEnemyUnit=1.0, timeScaling=scaling), 5: Unit(61.5)}).at_tick(tick - 21)
    expected = (1 - tick / 1200) + scaling * tick / 1200  # row 28
    assert strike(match, 10.0, 1)[1] == pytest.approx(expected, abs=1e-5)


def test_the_games_own_bounties_pay_one_for_a_unit_at_any_time() -> None:
    match = Match({1: Unit(60, items=("Talons",)), 5: Unit(61.5)}).at_tick(900)
    assert strike(match, 10.0, 1)[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("dead", "home", "away"),
    [
        ((), "tie", "tie"),
        ((AWAY_STATUE,), "victory", "loss"),
        ((5,), "victory", "loss"),
        ((2,), "loss", "victory"),
        ((1, 5), "tie", "tie"),
        ((1, 2, 5), "loss", "victory"),
        ((*HOME, AWAY_STATUE), "victory", "loss"),  # a statue outweighs three units
        ((HOME_STATUE, *AWAY), "loss", "victory"),
        ((HOME_STATUE, AWAY_STATUE, 6), "victory", "loss"),
    ],
)
def test_the_last_tick_pays_the_result_unshared_and_unscaled(dead: tuple[int, ...], home: str, away: str) -> None:
    weights = {"victory": 3.0, "loss": -2.0, "tie": 0.5, "teamSpirit": 1.0, "timeScaling": 0.0}
    match = Match({member: Unit(50 + 3 * member, bounties=weights) for member in DERKLINGS}).at_tick(1198)
    for member in dead:
        match["hitpoints", member] = 0.0
    history = match.play(2)
    paid = [history.rewarded(member) for member in DERKLINGS]
    assert paid == [[0, weights[home]]] * 3 + [[0, weights[away]]] * 3


def test_an_idle_episode_ends_in_a_tie_of_full_statistics() -> None:
    backend = SimulatorBackend(arenas=2, terrain="flat", threads=1)
    backend.reset([IDLE] * 2, 0)
    done, steps = False, 0
    while not done:
        _, reward, done = backend.step(torch.zeros(2, 2, 3, 5))
        steps += 1
        assert not reward.any()
    assert steps == backend.episode_steps == 150  # row 24
    assert TEAM_STATS_KEYS == ("Reward", "OpponentReward", "Hitpoints", "AliveTime", "CumulativeHitpoints")
    stats = backend.team_stats()
    torch.testing.assert_close(stats, torch.tensor([0.0, 0, 400, 4 * 1199, 479_600]).expand(2, 2, 5))


def test_an_idle_team_earns_for_its_territory_in_steps_38_75_and_113() -> None:
    backend = SimulatorBackend(arenas=1, terrain="flat", threads=1)
    bounties = {"timeSpentHomeTerritory": 1.0, "timeScaling": 1.0}
    loadouts = IDLE.home_loadouts
    backend.reset([DerkTask(home_loadouts=loadouts, away_loadouts=loadouts, home_bounties=bounties)], 0)
    rewards = [backend.step(torch.zeros(2, 1, 3, 5))[1].flatten().tolist() for _ in range(150)]
    assert [step for step, reward in enumerate(rewards, start=1) if any(reward)] == [38, 75, 113]  # row 25
    assert [rewards[step - 1] for step in (38, 75, 113)] == [pytest.approx([1.0] * 6)] * 3


def test_statistics_add_up_over_a_team() -> None:
    match = Match({1: talons(60, killEnemyUnit=1.0, damageEnemyUnit=0.1), 5: Unit(61.5)}, episode_ticks=200)
    match.play(20, {1: CAST_AT_ENEMY})
    match["hitpoints", 5] = 10.0
    match.play(180)
    home, away = match.backend.team_stats()[:, 0]
    assert home.tolist() == pytest.approx([4, 0, 400, 4 * 199, 400 * 199], rel=1e-5)
    assert away.tolist() == pytest.approx([0, 4, 300, 3 * 199 + 20, 300 * 199 + 20 * 100], rel=1e-5)


def random_task(generator: torch.Generator, fixed: Mapping[str, float]) -> DerkTask:
    def team() -> tuple[list[list[str]], list[dict[str, float]]]:
        items = [[ITEMS[i] for i in torch.randint(len(ITEMS), (3,), generator=generator)] for _ in HOME]
        weights = [dict(zip(BOUNTY_KEYS, torch.randn(22, generator=generator).tolist(), strict=True)) for _ in HOME]
        return items, [each | dict(fixed) for each in weights]

    (home, home_bounties), (away, away_bounties) = team(), team()
    return DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=home_bounties, away_bounties=away_bounties)


@pytest.mark.parametrize("corrected", [False, True])
def test_rewards_are_the_counted_events_times_the_weights(corrected: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    tasks = [random_task(generator, {"timeScaling": 1.0, "teamSpirit": 0.0}) for _ in range(16)]
    backend = SimulatorBackend(
        arenas=16, terrain="flat", threads=1, bounty_events=True, corrected_attribution=corrected
    )
    backend.reset(tasks, 0)
    gather(backend, generator)
    weights = torch.tensor(
        [
            [[bounties[key] for key in BOUNTY_KEYS] for bounties in team]
            for task in tasks
            for team in (task.home_bounties, task.away_bounties)
        ]
    ).unflatten(0, (16, 2))
    before, done = backend.bounty_events(), False
    while not done:
        _, reward, done = backend.step(random_actions(16, generator))
        events = backend.bounty_events()
        expected = ((events - before) * weights.transpose(0, 1)).sum(dim=-1)
        torch.testing.assert_close(reward, expected, rtol=1e-4, atol=2e-3)
        before = events
    happened = before.sum(dim=(0, 1, 2)) > 0
    silent = {name for name, seen in zip(BOUNTY_KEYS, happened, strict=True) if not seen}
    assert {"teamSpirit", "timeScaling", "manualBonus"} <= silent
    assert "killEnemyUnit" not in silent
    assert len(silent) <= 9


def test_only_corrected_attribution_pays_a_death_once() -> None:
    kills, damage, taken = (BOUNTY_KEYS.index(name) for name in ("killEnemyUnit", "damageEnemyUnit", "damageTaken"))
    armed = (("Talons", "Blaster", "Pistol"),) * 3
    per_death, per_hitpoint = {}, {}
    for corrected in (False, True):
        generator = torch.Generator().manual_seed(4)
        backend = SimulatorBackend(
            arenas=16, terrain="flat", threads=1, bounty_events=True, corrected_attribution=corrected
        )
        backend.reset([DerkTask(home_loadouts=armed, away_loadouts=armed)] * 16, 0)
        gather(backend, generator)
        for _ in range(100):
            backend.step(random_actions(16, generator, choices=(5, 6, 7)))
        deaths = (backend.state()["hitpoints"][:, list(DERKLINGS)] <= 0).sum().item()
        events = backend.bounty_events().sum(dim=(0, 1, 2))
        per_death[corrected] = events[kills].item() / deaths
        per_hitpoint[corrected] = (events[damage] / events[taken]).item()
    assert per_death[False] > 1
    assert per_death[True] == 1
    assert per_hitpoint[False] > 1.05
    assert per_hitpoint[True] == pytest.approx(1, abs=1e-3)
