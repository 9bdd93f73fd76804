"""The game's ground and what happens on it: section 1 of the rules, and rows of its section 14 that need it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from simulator_matches import AWAY, AWAY_STATUE, DERKLINGS, HOME_STATUE, IDLE, UNSCALED, Match, Unit

from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.backends.simulator.terrain import (
    FIRST_TEXEL,
    FLAT_HEIGHT,
    Terrain,
    TerrainUnavailable,
    flat_terrain,
    game_terrain,
)

PLAIN = 2.35
REACHED = slice(352 - FIRST_TEXEL, 672 - FIRST_TEXEL)
"""Rows and columns of texels from 44 m to 84 m."""


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return game_terrain()


def height_at(terrain: Terrain, x: float, y: float) -> float:
    return float(terrain.height[int(8 * y) - FIRST_TEXEL, int(8 * x) - FIRST_TEXEL])


def test_most_of_the_world_is_ground_and_most_of_the_ground_a_plain(terrain: Terrain) -> None:
    height = terrain.height[REACHED, REACHED]
    ground = height > -5
    assert ground.mean() == pytest.approx(0.717, abs=5e-4)
    assert np.isclose(height[ground], PLAIN, atol=1e-4).mean() == pytest.approx(0.58, abs=0.01)
    assert height[~ground].max() == pytest.approx(-55, abs=1)
    assert height[~ground].min() == pytest.approx(-138.9, abs=0.1)
    assert height.max() == pytest.approx(14.35, abs=0.1)
    assert terrain.steep[REACHED, REACHED][ground].mean() == pytest.approx(0.053, abs=5e-4)


GROUND = {  # y: where ground begins and ends in x
    44: [(44, 65)],
    46: [(44, 64.5)],
    48: [(44, 64.5)],
    50: [(44, 66)],
    52: [(44, 67.5)],
    54: [(44, 69.12)],
    56: [(44, 70.75), (76.25, 79.62)],
    58: [(44, 72.62), (74.88, 82.5)],
    60: [(44, 75.12), (76, 84)],
    62: [(44, 77.62), (77.75, 84)],
    64: [(44, 84)],
    66: [(44, 50.38), (50.62, 84)],
    68: [(44, 52), (53.12, 84)],
    70: [(45.75, 53.25), (55.5, 84)],
    72: [(48.62, 51.38), (57.38, 84)],
    74: [(59, 84)],
    76: [(60.62, 84)],
    78: [(62.12, 84)],
    80: [(63.62, 84)],
    82: [(63.38, 84)],
}


@pytest.mark.parametrize("y", GROUND)
def test_ground_lies_where_it_was_measured(terrain: Terrain, y: int) -> None:
    row = terrain.height[int(8 * y) - FIRST_TEXEL, REACHED] > -5
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
    found = (44 + edges / 8).reshape(-1, 2)
    assert found == pytest.approx(np.array(GROUND[y]), abs=0.0051)


@pytest.mark.parametrize("statue", [51, 77])
def test_statues_stand_on_plateaus_with_a_steep_lip_towards_the_enemy(terrain: Terrain, statue: float) -> None:
    inward = 1 if statue < 64 else -1
    assert height_at(terrain, statue, statue) == pytest.approx(3.44375, abs=1e-4)
    lip = [statue + inward * radius / math.sqrt(2) for radius in np.arange(4.5, 6.5, 0.05)]
    steep = [bool(terrain.steep[int(8 * place) - FIRST_TEXEL, int(8 * place) - FIRST_TEXEL]) for place in lip]
    assert any(steep)
    assert height_at(terrain, lip[0], lip[0]) == pytest.approx(3.44375, abs=1e-4)
    assert height_at(terrain, lip[-1], lip[-1]) == pytest.approx(PLAIN, abs=1e-4)


def test_a_flat_terrain_is_the_plain() -> None:
    terrain = flat_terrain()
    assert pytest.approx(PLAIN) == FLAT_HEIGHT
    assert (terrain.height == np.float32(PLAIN)).all()
    assert not terrain.steep.any()


def test_a_missing_game_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    game_terrain.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TerrainUnavailable, match=r"pip install gym-derk==1\.1\.1"):
        SimulatorBackend(arenas=1)
    SimulatorBackend(arenas=1, terrain="flat", threads=1)


def spawned(**settings: object) -> SimulatorBackend:
    backend = SimulatorBackend(arenas=64, threads=1, substeps=1, **settings)
    backend.reset([IDLE] * 64, 5)
    return backend


def test_units_spawn_within_a_metre_of_their_places(terrain: Terrain) -> None:
    backend = spawned()
    home = torch.tensor([(52.7, 58.4), (58.2, 58.2), (60.4, 54.8)])
    position = backend.state()["position"]
    jitter = position[:, list(DERKLINGS), :2] - torch.cat([home, 128 - home])
    assert jitter.abs().max() <= 1  # row 1
    assert jitter.amax(dim=(0, 2)).min() > 0.9
    assert jitter.amin(dim=(0, 2)).max() < -0.9
    assert jitter.mean(dim=(0, 2)).abs().max() < 0.2
    torch.testing.assert_close(position[:, list(DERKLINGS), 2], torch.full((64, 6), 2.23807))
    heading = torch.tensor([math.pi / 4] * 4 + [5 * math.pi / 4] * 4).expand(64, 8)
    torch.testing.assert_close(backend.state()["heading"], heading)


def test_units_spawn_ready_and_without_a_focus(terrain: Terrain) -> None:
    backend = SimulatorBackend(arenas=64, threads=1)
    seen = backend.reset([IDLE] * 64, 5)
    assert bool((seen[..., [0, 1, 21, 22]] == 1).all())  # hitpoints and ready flags
    assert not seen[..., 16].any()
    up = seen[:, :, 0, 29]
    assert -0.148 <= up.min() <= up.max() <= -0.116


def test_the_first_tick_lifts_units_onto_the_plain(terrain: Terrain) -> None:
    backend = spawned()
    before = backend.state()["position"][:, list(DERKLINGS)]
    backend.step(torch.zeros(2, 64, 3, 5))
    after = backend.state()["position"][:, list(DERKLINGS)]
    torch.testing.assert_close(after[..., :2], before[..., :2], rtol=0, atol=0)  # row 2
    torch.testing.assert_close(after[..., 2], torch.full((64, 6), PLAIN))


@pytest.mark.parametrize(
    ("start", "choice", "stuck_from", "end"),
    [
        ((58.2, 58.2), 4, 105, (72.91, 72.91)),
        ((60.4, 54.8), 4, 111, (73.57, 72.42)),
        ((52.7, 58.4), 1, 10, (52.30, 56.65)),
        ((58.2, 58.2), 1, 24, (54.95, 54.95)),
        ((60.4, 54.8), 1, 21, (56.69, 53.30)),
    ],
)
def test_a_straight_chase_of_a_statue_ends_at_its_lip(
    terrain: Terrain, start: tuple[float, float], choice: int, stuck_from: int, end: tuple[float, float]
) -> None:
    statue = 51 if choice == 1 else 77
    toward = math.atan2(statue - start[1], statue - start[0])  # the own statue is behind whoever has just spawned
    heading = toward if choice == 1 else math.pi / 4
    match = Match({1: Unit(*start, heading=heading, z=2.23807)}, terrain="game")
    history = match.play(stuck_from + 30, {1: {"ChaseFocus": 1.0, "ChangeFocus": choice}})
    assert history["position", 1][-1] == pytest.approx([*end, PLAIN], abs=0.011)  # row 7
    assert history["stuck", 1] == [0] * (stuck_from - 1) + [1] * 31


def test_a_unit_in_the_way_stops_a_chase(terrain: Terrain) -> None:
    match = Match({1: Unit(58.2, 58.2, heading=math.pi / 4), 5: Unit(69.8, 69.8)}, terrain="game")
    history = match.play(120, {1: {"ChaseFocus": 1.0, "ChangeFocus": 4}})
    assert history["position", 1][-1] == pytest.approx([69.09, 69.09, PLAIN], abs=0.01)
    assert history["stuck", 1][-1] == 1


@pytest.mark.parametrize("flank", [(70, 78), (78, 70)])
def test_a_statue_is_reached_by_its_flanks(terrain: Terrain, flank: tuple[float, float]) -> None:
    toward = math.atan2(77 - flank[1], 77 - flank[0])
    match = Match({1: Unit(*flank, heading=toward)}, terrain="game")
    history = match.play(60, {1: {"ChaseFocus": 1.0, "ChangeFocus": 4}})
    assert math.dist(match["position", 1], match["position", AWAY_STATUE]) == pytest.approx(1, abs=0.01)
    assert history["stuck", 1][-1] == 1


def test_who_walks_off_the_south_east_cliff_falls_for_87_ticks(terrain: Terrain) -> None:
    bounties = UNSCALED | {"fallDamageTaken": -1.0, "killEnemyUnit": 1.0}
    units = {member: Unit(65 + member, 83, bounties=bounties) for member in (2, 3, *AWAY)}
    match = Match(units | {1: Unit(63, 48.4, bounties=bounties)}, terrain="game")
    history = match.play(100, {1: {"MoveX": 1.0}})
    airborne = history["on_ground", 1].index(0)
    assert airborne + 1 == 9  # row 20
    assert history["position", 1][airborne] == pytest.approx([64.8, 48.4, PLAIN], abs=1e-3)
    dead = history["hitpoints", 1].index(0.0)
    assert dead + 1 == 96
    assert history["position", 1][dead] == pytest.approx([82.2, 48.4, -60.0], abs=0.05)
    assert [sum(history.rewarded(member)) for member in DERKLINGS] == [-1, 0, 0, 0, 0, 0]


def test_the_lip_of_the_own_plateau_blocks_the_way_up(terrain: Terrain) -> None:
    match = Match({1: Unit(58, 58, heading=5 * math.pi / 4)}, terrain="game")
    history = match.play(60, {1: {"MoveX": 1.0}})
    assert history["position", 1][-1] == pytest.approx([54.89, 54.89, PLAIN], abs=0.01)  # row 21
    assert math.dist(match["position", 1][:2], match["position", HOME_STATUE][:2]) == pytest.approx(5.50, abs=0.01)
    assert history["stuck", 1][-1] == 1


@pytest.mark.parametrize(
    ("start", "move", "ticks", "airborne"), [(58.0, -1.0, 28, 0), (52.5, 1.0, 38, 30), (52.5, 0.6, 46, 0)]
)
def test_a_ramp_throws_only_those_who_run_down_it(
    terrain: Terrain, start: float, move: float, ticks: int, airborne: int
) -> None:
    """Row 22: along y = 51 between x = 58 and x = 52.5."""
    z = height_at(terrain, start, 51)
    match = Match({1: Unit(start, 51, heading=0.0 if move > 0 else math.pi, z=z)}, terrain="game")
    history = match.play(ticks, {1: {"MoveX": abs(move)}})
    x = [position[0] for position in history["position", 1]]
    assert [place >= 58 if move > 0 else place <= 52.5 for place in x] == [False] * (ticks - 1) + [True]
    assert history["on_ground", 1].count(0) == airborne
