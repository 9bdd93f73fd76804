import pytest
import torch

from pearl_lightning.derk.interface import (
    ACTION_KEYS,
    ACTION_SPACE,
    AGENTS,
    BOUNTY_KEYS,
    CHANGE_FOCUS,
    DEFAULT_BOUNTIES,
    ITEMS,
    ITEMS_BY_SLOT,
    OBSERVATION_FEATURES,
    OBSERVATION_KEYS,
    SHAPED_BOUNTIES,
    SLOTS,
    TEAM_STATS_KEYS,
    observation_index,
)


@pytest.mark.parametrize(
    "names", [OBSERVATION_KEYS, ITEMS, BOUNTY_KEYS, ACTION_KEYS, CHANGE_FOCUS, TEAM_STATS_KEYS], ids=lambda n: n[0]
)
def test_names_are_unique(names: tuple[str, ...]) -> None:
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("Hitpoints", 0),
        ("FriendStatueDistance", 2),
        ("EnemyStatueAngle", 9),
        ("Enemy3Angle", 15),
        ("HasFocus", 16),
        ("Ability1Ready", 21),
        ("PositionUpDown", 29),
        ("HasTalons", 32),
        ("HasPistol", 39),
        ("HasTrombone", 46),
        ("FocusHasTalons", 47),
        ("FocusHasTrombone", 61),
        ("UnusedExtraSense31", 63),
    ],
)
def test_observation_columns_are_where_the_rules_put_them(name: str, index: int) -> None:
    assert observation_index(name) == index


def test_every_observed_number_has_a_name() -> None:
    assert len(OBSERVATION_KEYS) == OBSERVATION_FEATURES == 64


def test_an_unknown_observation_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown observation 'Mana'; known ones: Hitpoints"):
        observation_index("Mana")


def test_every_item_has_exactly_one_natural_slot() -> None:
    assert len(ITEMS_BY_SLOT) == SLOTS
    assert sorted(item for items in ITEMS_BY_SLOT.values() for item in items) == sorted(ITEMS)


def test_the_action_space_has_a_column_per_action_key() -> None:
    assert ACTION_SPACE.width == len(ACTION_KEYS)
    assert ACTION_SPACE.choices == (4, 8)
    assert len(CHANGE_FOCUS) == 8


@pytest.mark.parametrize("bounties", [DEFAULT_BOUNTIES, SHAPED_BOUNTIES], ids=["default", "shaped"])
def test_ready_made_bounties_use_known_names(bounties: dict[str, float]) -> None:
    assert set(bounties) <= set(BOUNTY_KEYS)


def test_a_draw_from_the_action_spec_is_legal() -> None:
    action = ACTION_SPACE.spec((64, AGENTS)).rand()
    assert action.shape == (64, AGENTS, 5)
    assert bool((action[..., :3] >= torch.tensor([-1.0, -1.0, 0.0])).all())
    assert bool((action[..., :3] <= 1).all())
    choices = action[..., 3:]
    assert bool((choices == choices.round()).all())
    assert bool((choices >= 0).all())
    assert bool((choices <= torch.tensor([3.0, 7.0])).all())
