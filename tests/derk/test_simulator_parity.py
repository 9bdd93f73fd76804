"""The simulator against the real game, without it: what ``benchmarks.derk_record`` recorded lies beside this file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.derk_comparison import Comparison
from benchmarks.derk_parity import compare, make_simulator, restart
from pearl_lightning.derk.interface import ITEMS
from pearl_lightning.derk.recordings import Recording, read_recording

PATH = Path(__file__).parent / "recordings" / "scripted.npz"
LEAST_SHARES = {  # of what agrees within 0.001 after one step from the recorded state
    "recorded": {"position": 0.9998, "heading": 0.9998, "other state": 0.9998, "observation": 0.9999, "reward": 1.0},
    "plain": {"position": 0.97, "heading": 0.97, "other state": 0.995, "observation": 0.995, "reward": 0.999},
}
"""Plain arithmetic turns a chasing unit otherwise wherever the renderer finds no angle to a target straight ahead."""


@pytest.fixture(scope="module")
def recording() -> Recording:
    return read_recording(PATH)


@pytest.fixture(scope="module", params=["recorded", "plain"])
def arithmetic(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def comparison(recording: Recording, arithmetic: str) -> Comparison:
    return compare(recording, arithmetic, "cpu")


def test_the_recording_shows_every_item_at_work_and_twice_in_one_unit(recording: Recording) -> None:
    ability = recording.states[:, :, recording.fields.index("cast_ability")]
    assert set(ability[ability > 0].int().tolist()) == set(range(1, 1 + len(ITEMS)))
    loadouts = [loadout for task in recording.tasks for loadout in (*task.home_loadouts, *task.away_loadouts)]
    assert all(any(loadout.count(item) > 1 for loadout in loadouts) for item in ITEMS)


def test_one_step_from_any_recorded_state_ends_in_the_next(comparison: Comparison, arithmetic: str) -> None:
    shares = {name: comparison.tally(name).share for name in LEAST_SHARES[arithmetic]}
    samples = {name: comparison.tally(name).sample for name in shares}
    assert all(share >= LEAST_SHARES[arithmetic][name] for name, share in shares.items()), (shares, samples)


def test_hitpoints_and_what_is_cast_agree(comparison: Comparison, arithmetic: str) -> None:
    """To the last of them in the renderer's arithmetic: some of the rarer rules show in a single step."""
    for name in ("hitpoints", "statue hitpoints", "dazed", "iron", "helium", "crippled", "cooldown", "last_pushed_by"):
        tally = comparison.tally(name)
        assert tally.share >= (1.0 if arithmetic == "recorded" else 0.999), (name, tally.share, tally.sample)


def test_velocity_and_contact_with_the_ground_agree_where_the_game_tells_them(
    comparison: Comparison, recording: Recording
) -> None:
    """It tells them of one unit per recording; everyone's heights show in the observations."""
    for name in ("velocity", "on_ground"):
        tally = comparison.tally(name)
        assert tally.compared == recording.steps
        assert tally.share >= 0.9, (name, tally.share, tally.sample)


def test_a_null_reward_function_means_the_default_bounties(tmp_path: Path) -> None:
    with np.load(PATH) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    meta["reward_function"] = None
    meta["scenarios"][0]["unit"] = {"1": {"rewardFunction": None}, "2": {"rewardFunction": {"tie": 2.0}}}
    np.savez(tmp_path / "null.npz", **arrays | {"meta": np.array(json.dumps(meta))})
    changed = read_recording(tmp_path / "null.npz")
    default = {"killEnemyStatue": 4.0, "killEnemyUnit": 1.0, "timeScaling": 1.0}
    assert changed.tasks[0].home_bounties == (default, default | {"tie": 2.0}, default)
    assert changed.tasks[0].away_bounties == (default,) * 3
    assert compare(changed, "recorded", "cpu").tally("hitpoints").share == 1.0


def test_spawns_look_as_the_game_shows_them(recording: Recording) -> None:
    simulator = make_simulator(recording, "recorded", "cpu")
    own = simulator.state()["position"]
    place = recording.state(0)["position"]
    observation = simulator.load_state({"position": torch.where(place.isnan(), own, place)})
    with np.load(PATH) as file:
        torch.testing.assert_close(observation, torch.from_numpy(file["obs_reset"]), rtol=0, atol=1e-5)


def test_whole_matches_go_the_same_way_and_end_in_the_same_statistics(recording: Recording) -> None:
    """In the renderer's arithmetic half of the matches, fights among them, never part from the game's."""
    simulator = make_simulator(recording, "recorded", "cpu")
    restart(simulator, recording, 0)
    follows = torch.ones(recording.arenas, dtype=torch.bool)
    for step in range(recording.steps):
        observation, _, done = simulator.step(recording.actions[step], check=False)
        follows &= ((observation - recording.observations[step]).abs() <= 1e-3).all(-1).all(-1).all(0)
    assert done
    assert float(follows.float().mean()) >= 0.5, dict(zip(recording.names, follows.tolist(), strict=True))
    with np.load(PATH) as file:
        expected = torch.from_numpy(file["team_stats"])[:, follows]
    torch.testing.assert_close(simulator.team_stats()[:, follows], expected, rtol=1e-5, atol=1e-2)


def test_who_does_not_chase_walks_as_in_the_game_in_plain_arithmetic_too(recording: Recording) -> None:
    arena = recording.names.index("own_statue")
    simulator = make_simulator(recording, "plain", "cpu")
    restart(simulator, recording, 0)
    for step in range(recording.steps):
        observation, reward, _ = simulator.step(recording.actions[step], check=False)
        torch.testing.assert_close(observation[:, arena], recording.observations[step][:, arena], rtol=0, atol=2e-3)
        torch.testing.assert_close(reward[:, arena], recording.rewards[step][:, arena], rtol=0, atol=1e-4)


def test_the_away_team_is_not_at_its_base_beside_its_statue(recording: Recording) -> None:
    """The game looks for the statue below the ground; the home team is paid for its base (section 10)."""
    arena = recording.names.index("own_statue")
    beside = recording.observations[37, :, arena, :, 2] * 30  # metres to the own statue at tick 300
    assert bool((beside < 3).all())
    torch.testing.assert_close(recording.rewards[37, 0, arena], torch.full((3,), 0.11))  # timeSpentHomeBase
    scaled = 0.13 * (1 - 0.2 * 300 / 1200)  # timeSpentHomeTerritory, and timeScaling of 0.8
    torch.testing.assert_close(recording.rewards[37, 1, arena], torch.full((3,), scaled))


def test_the_recording_says_what_it_was_made_with() -> None:
    with np.load(PATH) as file:
        meta = json.loads(str(file["meta"]))
    assert meta["gym_derk"] == "1.1.1"
    assert "llvmpipe" in meta["renderer"]
