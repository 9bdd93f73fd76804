import json
import math
import pickle
from dataclasses import asdict
from typing import Any

import pytest

from pearl_lightning.derk.interface import BOUNTY_KEYS, DEFAULT_BOUNTIES, ITEMS_BY_SLOT, SHAPED_BOUNTIES
from pearl_lightning.derk.tasks import DerkTask, LoadoutTasks

LOADOUTS: tuple[tuple[str | None, ...], ...] = (("Talons", None, "Shell"), ("Pistol", None, None), (None, None, None))


def make_task(**changes: Any) -> DerkTask:
    return DerkTask(**{"home_loadouts": LOADOUTS, "away_loadouts": LOADOUTS, **changes})


def test_one_mapping_of_bounties_holds_for_all_three_agents() -> None:
    task = make_task(home_bounties={"healTeammate1": 2})
    assert task.home_bounties == ({**DEFAULT_BOUNTIES, "healTeammate1": 2.0},) * 3


def test_each_agent_can_have_bounties_of_its_own() -> None:
    task = make_task(home_bounties=[{"tie": 1}, {}, {"loss": -1}])
    assert [set(weights) - set(DEFAULT_BOUNTIES) for weights in task.home_bounties] == [{"tie"}, set(), {"loss"}]


def test_bounties_are_merged_over_the_games_defaults() -> None:
    assert make_task().home_bounties[0] == DEFAULT_BOUNTIES
    assert make_task(home_bounties={"killEnemyUnit": 0}).home_bounties[0]["killEnemyUnit"] == 0


def test_the_away_team_is_paid_like_the_home_team_unless_told_otherwise() -> None:
    assert make_task(home_bounties={"tie": 1}).away_bounties == make_task(home_bounties={"tie": 1}).home_bounties
    assert make_task(home_bounties={"tie": 1}, away_bounties={}).away_bounties == (DEFAULT_BOUNTIES,) * 3


def test_a_task_survives_json_and_pickle() -> None:
    task = make_task(home_bounties=SHAPED_BOUNTIES, opponent="idle")
    assert DerkTask(**json.loads(json.dumps(asdict(task)))) == task
    assert pickle.loads(pickle.dumps(task)) == task


def test_changing_a_task_leaves_the_callers_weights_alone() -> None:
    weights = {"tie": 1.0}
    make_task(home_bounties=weights).home_bounties[0]["tie"] = 5.0
    assert weights == {"tie": 1.0}
    assert make_task().home_bounties[0] == DEFAULT_BOUNTIES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"home_loadouts": (("Sword", None, None), *LOADOUTS[1:])},
            r"home_loadouts\[0\]: unknown item 'Sword'.*Talons",
        ),
        ({"away_loadouts": LOADOUTS[:2]}, "away_loadouts must contain 3 loadouts"),
        ({"away_loadouts": (*LOADOUTS[:2], ("Talons",))}, r"away_loadouts\[2\] must contain 3 items"),
        (
            {"home_bounties": {"killEverything": 1}},
            r"home_bounties\[0\]: unknown bounty 'killEverything'.*killEnemyUnit",
        ),
        ({"home_bounties": {"goldBonus": 1}}, "unknown bounty 'goldBonus'"),
        ({"away_bounties": [{}, {}]}, "away_bounties must be one mapping or 3 mappings"),
        (
            {"away_bounties": [{}, {"tie": math.nan}, {}]},
            r"away_bounties\[1\]\['tie'\] must be a finite number, got nan",
        ),
        ({"home_bounties": {"tie": math.inf}}, "must be a finite number, got inf"),
        ({"home_bounties": {"tie": "much"}}, "must be a finite number, got 'much'"),
        ({"opponent": ""}, "opponent must be the name"),
    ],
)
def test_a_wrong_task_is_refused_with_the_name_and_the_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(**changes)


def home_teams(tasks: Any) -> set[Any]:
    return {task.home_loadouts for task in tasks}


def test_no_home_team_comes_twice() -> None:
    tasks = LoadoutTasks(train_tasks=200, validation_tasks=30, test_tasks=50)
    assert len(home_teams([*tasks.train, *tasks.validation, *tasks.test])) == 280


def test_splits_of_any_size_share_no_home_team() -> None:
    counts = ("train_tasks", 400), ("validation_tasks", 100), ("test_tasks", 100)
    none = {"train_tasks": 1, "validation_tasks": 0, "test_tasks": 0}
    train, validation, test = (LoadoutTasks(**none | {name: count}) for name, count in counts)
    teams = home_teams(train.train), home_teams(validation.validation), home_teams(test.test)
    assert len(set.union(*teams)) == 600


def test_splits_are_fixed_by_the_seed() -> None:
    first, again, other = (LoadoutTasks(train_tasks=5, test_tasks=5, seed=seed) for seed in (3, 3, 4))
    assert (first.train, first.test) == (again.train, again.test)
    assert not home_teams(first.train) & home_teams(other.train)


def test_growing_a_split_keeps_the_tasks_it_has() -> None:
    small, large = LoadoutTasks(train_tasks=5, test_tasks=2), LoadoutTasks(train_tasks=20, test_tasks=9)
    assert large.train[:5] == small.train
    assert large.test[:2] == small.test


def test_every_slot_holds_an_item_of_its_natural_class_by_default() -> None:
    classes = list(ITEMS_BY_SLOT.values())
    for task in LoadoutTasks(train_tasks=50).train:
        for loadout in (*task.home_loadouts, *task.away_loadouts):
            assert all(item in items for item, items in zip(loadout, classes, strict=True))


def test_slots_are_filled_with_the_stated_probability() -> None:
    tasks = LoadoutTasks(train_tasks=300, filled_slots=0.3)
    slots = [item for task in tasks.train for loadout in task.away_loadouts for item in loadout]
    assert sum(item is not None for item in slots) / len(slots) == pytest.approx(0.3, abs=0.05)


def test_more_tasks_than_exist_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be at most 1157625.*got 1157625 \+ 0 \+ 1"):
        LoadoutTasks(train_tasks=105**3, validation_tasks=0, test_tasks=1)


def test_a_split_that_runs_out_of_home_teams_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train_tasks must be at most \d+, because 10000 draws in a row"):
        LoadoutTasks(train_tasks=50, filled_slots=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_tasks": 0}, "train_tasks must be at least 1, got 0"),
        ({"test_tasks": -1}, "test_tasks must be at least 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"filled_slots": 0.0}, r"filled_slots must be in \(0, 1\], got 0.0"),
        ({"bounties": "generous"}, "bounties must be one of default, shaped or weights by name, got 'generous'"),
        ({"bounties": {"gold": 1.0}}, "unknown bounty 'gold'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoadoutTasks(**settings)


def test_bounties_can_be_named_or_given() -> None:
    shaped = LoadoutTasks(train_tasks=1, test_tasks=0, bounties="shaped")
    given = LoadoutTasks(train_tasks=1, test_tasks=0, bounties={"victory": 10.0})
    assert shaped[0].home_bounties[2] == shaped[0].away_bounties[0] == SHAPED_BOUNTIES
    assert given[0].home_bounties[0] == {**DEFAULT_BOUNTIES, "victory": 10.0}
    assert set(SHAPED_BOUNTIES) <= set(BOUNTY_KEYS)


def test_describe_names_the_split_the_items_and_the_opponent() -> None:
    tasks = LoadoutTasks(train_tasks=2, validation_tasks=0, test_tasks=1, opponent="attacker")
    line = tasks.describe(2)
    assert line.startswith("test task 2: ")
    assert "\n" not in line
    assert str(tasks[2].home_loadouts[0][0]) in line
    assert line.endswith("(attacker)")
