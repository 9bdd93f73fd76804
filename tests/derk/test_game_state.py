"""The state in the game's JSON is read correctly; no game is played."""

from typing import Any

import numpy as np
import pytest

from pearl_lightning.derk.backends.game.state import STATE_FIELDS, parse_state

ARENAS = 2


def archetype(index: int, components: dict[str, Any]) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"name": name, "data": data} for name, data in components.items()]
    return {"archetypeIndex": index, "components": [*listed, {"name": "Unit", "type": "token"}]}


@pytest.fixture
def told() -> np.ndarray:
    """The state ``[arena, member, field]`` of two arenas with one Derkling a side, members 1 and 5, and statues."""
    statues = {
        "ArenaInstanceGpu": [0, 1, 0, 1],
        "ArenaMemberIndexGpu": [0, 0, 4, 4],
        "Hitpoints": [100, 99, 98, 97],
        "PositionGpu": [{"x": 51, "y": 51, "z": 3.5, "w": 0}],
    }
    derklings = {
        "ArenaInstanceGpu": [0, 1, 0, 1],
        "ArenaMemberIndexGpu": [1, 1, 5, 5],
        "Hitpoints": [10, 20, 30, 40],
        "CastingCooldown0": [1, 2, 3, 4, 10, 20, 30, 40, 100, 200, 300, 400],
        "Focuser": [3, 2, -1, 1, 7, 4, -1, 7],  # entities, then their archetypes
        "CastingTarget": [0, 0, 0, 0, 0, 0, 0, 0],
        "PositionGpu": [{"x": 60.5, "y": 61, "z": 2.25, "w": 0}],
        "IsOnGround": [{"x": 1, "y": 1, "z": 1, "w": 1}],
    }
    return parse_state([archetype(0, {}), archetype(4, statues), archetype(7, derklings)], ARENAS)


def field(told: np.ndarray, name: str) -> list[list[float]]:
    values: list[list[float]] = told[:, [0, 1, 4, 5], STATE_FIELDS.index(name)].tolist()
    return values


def test_each_entity_gets_its_own_numbers(told: np.ndarray) -> None:
    assert told.shape == (ARENAS, 8, len(STATE_FIELDS))
    assert field(told, "hp") == [[100, 10, 98, 30], [99, 20, 97, 40]]


def test_numbers_of_a_wide_component_are_listed_one_after_the_other(told: np.ndarray) -> None:
    assert told[1, 5, [STATE_FIELDS.index(name) for name in ("cd0", "cd1", "cd2")]].tolist() == [4, 40, 400]


def test_references_become_members_of_the_arena(told: np.ndarray) -> None:
    columns = [STATE_FIELDS.index(name) for name in ("focus", "cast_target")]
    assert told[0, 1, columns].tolist() == [5, -1]  # archetype 0 holds no units
    assert told[1, 1, columns].tolist() == [4, -1]
    assert told[0, 5, columns].tolist() == [-1, -1]
    assert told[1, 5, columns].tolist() == [1, -1]


def test_what_the_game_does_not_tell_is_nan(told: np.ndarray) -> None:
    place = [STATE_FIELDS.index(name) for name in ("x", "y", "z", "on_ground")]
    assert told[0, 1, place].tolist() == [60.5, 61, 2.25, 1]
    assert bool(np.isnan(told[1, :, place]).all())
    assert bool(np.isnan(told[:, [0, 4], STATE_FIELDS.index("focus")]).all())
    assert bool(np.isnan(told[:, [2, 3, 6, 7]]).all())
