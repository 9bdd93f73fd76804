"""Promises of SimulatorBackend beyond the rules: repeatability, modes, and errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
import torch
from filelock import FileLock
from pearl_processes import without_coverage
from simulator_matches import DERKLINGS, EMPTY, IDLE, Match, Unit, gather, random_actions
from torch import Tensor

from pearl_lightning.derk.backends.simulator import SimulatorBackend, cpu
from pearl_lightning.derk.backends.simulator.cpu import CpuRunner
from pearl_lightning.derk.backends.simulator.terrain import flat_terrain
from pearl_lightning.derk.interface import ITEMS
from pearl_lightning.derk.tasks import DerkTask

ARMED = DerkTask(
    home_loadouts=[ITEMS[0:3], ITEMS[3:6], ITEMS[7:10]],
    away_loadouts=[ITEMS[9:12], ITEMS[12:15], ITEMS[0:15:7]],
    home_bounties={"damageEnemyUnit": 0.1, "damageTaken": -0.1},
)
Steps = list[tuple[Tensor, Tensor, bool]]


def fight(arenas: int = 6, seed: int | Sequence[int] = 0, **settings: Any) -> SimulatorBackend:
    """A match per arena, of everybody within a few metres."""
    backend = SimulatorBackend(arenas=arenas, **{"terrain": "flat", "threads": 1} | settings)
    backend.reset([ARMED] * arenas, seed)
    gather(backend, torch.Generator().manual_seed(11))
    return backend


def play(backend: SimulatorBackend, steps: int, seed: int = 0) -> Steps:
    generator = torch.Generator().manual_seed(seed)
    return [backend.step(random_actions(backend.arenas, generator)) for _ in range(steps)]


def assert_same(first: Steps, second: Steps) -> None:
    assert len(first) == len(second)
    for (observation, reward, done), (other_observation, other_reward, other_done) in zip(first, second, strict=True):
        assert torch.equal(observation, other_observation)
        assert torch.equal(reward, other_reward)
        assert done == other_done


def assert_same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def spawns(backend: SimulatorBackend) -> Tensor:
    return backend.state()["position"][:, list(DERKLINGS), :2]


@pytest.mark.parametrize("arithmetic", ["plain", "recorded"])
def test_the_same_seeds_and_actions_give_the_same_bits(arithmetic: str) -> None:
    first, second = (fight(arithmetic=arithmetic) for _ in range(2))
    assert_same(play(first, 60), play(second, 60))
    assert_same_state(first.state(), second.state())


@pytest.mark.slow
def test_torch_keeps_its_own_number_of_threads() -> None:
    """In a process of its own, for numba starts its threads once."""
    code = """
import torch
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.tasks import LoadoutTasks
torch.set_num_threads(1)
SimulatorBackend(arenas=1, terrain="flat", threads=1).reset(LoadoutTasks(train_tasks=1, test_tasks=0).train, 0)
assert torch.get_num_threads() == 1, torch.get_num_threads()
"""
    environment = {name: value for name, value in without_coverage().items() if name != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=250)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core")
def test_the_number_of_threads_changes_nothing() -> None:
    alone, shared = fight(arenas=13, threads=1), fight(arenas=13, threads=2)
    assert_same(play(alone, 60), play(shared, 60))
    assert_same_state(alone.state(), shared.state())


def test_other_actions_give_another_match() -> None:
    first, second = fight(), fight()
    play(first, 20, seed=1)
    play(second, 20, seed=2)
    assert not torch.equal(first.state()["position"], second.state()["position"])


def test_a_backend_plays_one_episode_after_another() -> None:
    backend = SimulatorBackend(arenas=2, terrain="flat", threads=1, episode_ticks=80)
    episodes = []
    for _ in range(2):
        start = backend.reset([ARMED] * 2, 4)
        episodes.append([(start, torch.zeros(2, 2, 3), False), *play(backend, 10)])
        assert episodes[-1][-1][2]
    assert_same(*episodes)  # row 30


def test_spawns_differ_between_arenas_and_seeds() -> None:
    backend = SimulatorBackend(arenas=8, terrain="flat", threads=1)
    places = []
    for seed in (0, 1, 2**31, -1):
        backend.reset([IDLE] * 8, seed)
        places.append(spawns(backend))
    assert len({tuple(place.flatten().tolist()) for place in torch.cat(places)}) == 4 * 8
    backend.reset([IDLE] * 8, 1)
    assert torch.equal(spawns(backend), places[1])


def test_each_arena_can_have_a_seed_of_its_own() -> None:
    backend = SimulatorBackend(arenas=3, terrain="flat", threads=1)
    backend.reset([IDLE] * 3, [7, 8, 7])
    first = spawns(backend)
    backend.reset([IDLE] * 3, [8, 9, 8])
    second = spawns(backend)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first[1], second[0])


def test_a_spawn_seed_fixes_every_episodes_spawns() -> None:
    backend = SimulatorBackend(arenas=3, terrain="flat", threads=1, spawn_seed=5)
    places = []
    for seed in (1, 2, [3, 4, 5]):
        backend.reset([IDLE] * 3, seed)
        places.append(spawns(backend))
    assert torch.equal(places[0], places[1])
    assert torch.equal(places[0], places[2])
    assert len(torch.unique(places[0][:, 0, 0])) == 3


def test_directions_are_the_cosine_and_sine_of_the_heading() -> None:
    backend = SimulatorBackend(arenas=2_000, terrain="flat", threads=1)
    backend.reset([IDLE] * 2_000, 0)
    heading = torch.linspace(-40, 40, 16_000).reshape(2_000, 8)
    backend.load_state({"heading": heading})
    exact = torch.stack([heading.double().cos(), heading.double().sin()], dim=-1)
    torch.testing.assert_close(backend.state()["direction"].double(), exact, rtol=0, atol=3e-7)


def test_interleaved_actions_act_a_step_late_and_the_last_one_never() -> None:
    """Section 4.1."""
    generator = torch.Generator().manual_seed(2)
    actions = [random_actions(4, generator) for _ in range(20)]
    backends = [
        SimulatorBackend(arenas=4, terrain="flat", threads=1, episode_ticks=160, interleaved=interleaved)
        for interleaved in (True, False)
    ]
    starts = [backend.reset([ARMED] * 4, 0) for backend in backends]
    assert torch.equal(*starts)
    late = [backends[0].step(action) for action in actions]
    prompt = [backends[1].step(action) for action in [torch.zeros_like(actions[0]), *actions[:-1]]]
    assert_same(late, prompt)
    assert [done for _, _, done in late] == [False] * 19 + [True]
    assert torch.equal(backends[0].team_stats(), backends[1].team_stats())


def test_a_placed_interleaved_match_is_seen_before_it_is_played() -> None:
    match = Match({1: Unit(60), 5: Unit(65)}, interleaved=True)
    placed = match.observation
    first = match.play(1, {1: {"MoveX": 1.0}})
    assert torch.equal(first.observations[0], placed)
    assert first.rewarded(1) == [0]
    second = match.play(1)
    assert second.observed("Enemy1Distance", 1) == pytest.approx([4.8 / 30])


def test_eight_steps_of_a_tick_are_a_step_of_eight_ticks() -> None:
    """This holds if shots start from the pose of the tick and an action is held."""
    coarse = fight(turbo=False, substeps=8, episode_ticks=240)
    fine = fight(turbo=False, substeps=1, episode_ticks=240)
    generator = torch.Generator().manual_seed(0)
    paid = torch.zeros(())
    for _ in range(30):
        action = random_actions(6, generator)
        observation, reward, done = coarse.step(action)
        steps = [fine.step(action) for _ in range(8)]
        assert torch.equal(observation, steps[-1][0])
        torch.testing.assert_close(reward, sum(each[1] for each in steps), rtol=0, atol=1e-4)
        assert [each[2] for each in steps] == [False] * 7 + [done]
        paid += reward.abs().sum()
    assert paid > 10
    assert torch.equal(coarse.team_stats(), fine.team_stats())


@pytest.mark.parametrize(("substeps", "steps"), [(8, 150), (7, 172), (1200, 1), (2000, 1)])
def test_an_episode_has_as_many_steps_as_its_ticks_take(substeps: int, steps: int) -> None:
    backend = SimulatorBackend(arenas=1, terrain="flat", threads=1, substeps=substeps)
    assert backend.episode_steps == steps
    backend.reset([IDLE], 0)
    dones = [backend.step(torch.zeros(2, 1, 3, 5))[2] for _ in range(steps)]
    assert dones == [False] * (steps - 1) + [True]
    assert backend.team_stats()[0, 0].tolist() == [0, 0, 400, 4796, 479_600]


def test_an_episode_may_last_longer_than_the_games() -> None:
    backend = SimulatorBackend(arenas=1, terrain="flat", threads=1, episode_ticks=2400, bounty_events=True)
    task = DerkTask(
        home_loadouts=EMPTY, away_loadouts=EMPTY, home_bounties={"timeSpentHomeTerritory": 1.0, "timeScaling": 0.0}
    )
    backend.reset([task], 0)
    rewards = [backend.step(torch.zeros(2, 1, 3, 5))[1][0, 0, 0].item() for _ in range(300)]
    paid = {step: reward for step, reward in enumerate(rewards, start=1) if reward}
    assert paid == pytest.approx({round(tick / 8 + 0.45): 1 - tick / 2400 for tick in range(300, 2400, 300)})
    assert backend.team_stats()[0, 0, 3:].tolist() == [4 * 2399, 4 * 2399 * 100]


@pytest.mark.parametrize("turbo", [False, True])
def test_a_saved_match_goes_on_bit_for_bit(turbo: bool) -> None:
    backend = fight(turbo=turbo, bounty_events=True, episode_ticks=600)
    play(backend, 20)
    saved = backend.state()
    assert (saved["shot_targets"] >= 0).any()
    resumed = SimulatorBackend(arenas=6, terrain="flat", threads=1, turbo=turbo, bounty_events=True, episode_ticks=600)
    resumed.reset([IDLE] * 6, 99)
    seen = resumed.load_state(saved)
    assert_same_state(saved, resumed.state())
    assert_same(play(backend, 55, seed=1), play(resumed, 55, seed=1))
    assert_same_state(backend.state(), resumed.state())
    assert torch.equal(backend.team_stats(), resumed.team_stats())
    again = fight(turbo=turbo, bounty_events=True, episode_ticks=600)
    assert torch.equal(seen, play(again, 20)[-1][0])


def test_a_state_is_a_copy() -> None:
    backend = fight()
    saved = backend.state()
    before = {name: value.clone() for name, value in saved.items()}
    play(backend, 5)
    assert_same_state(saved, before)


def test_loading_a_heading_turns_the_unit() -> None:
    match = Match({1: Unit(60)})
    match["heading", 1] = 0.5
    assert match["direction", 1] == pytest.approx([np.cos(0.5), np.sin(0.5)])
    assert match["rendered_direction", 1] == match["direction", 1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("speed", torch.zeros(6, 8), "unknown state 'speed'; known ones: tick, position"),
        ("position", torch.zeros(6, 8, 2), "state 'position' must have shape (6, 8, 3), got (6, 8, 2)"),
        ("hitpoints", torch.zeros(5, 8), "state 'hitpoints' must have shape (6, 8), got (5, 8)"),
        ("weights", torch.full((6, 6, 22), torch.inf), "state 'weights' must be finite"),
        ("position", torch.full((6, 8, 3), torch.nan), "state 'position' must be finite"),
        ("tick", torch.tensor(1200), "state 'tick' must be in [0, 1200), got 1200"),
        ("tick", torch.tensor(-1), "state 'tick' must be in [0, 1200), got -1"),
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(name: str, value: Tensor, message: str) -> None:
    backend = fight()
    play(backend, 3)
    before = backend.state()
    with pytest.raises(ValueError, match=re.escape(message)):
        backend.load_state({"gold": torch.ones(6, 8), name: value})
    assert_same_state(before, backend.state())


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (torch.full((2, 6, 3, 5), torch.nan), "finite"),
        (torch.full((2, 6, 3, 5), torch.inf), "finite"),
        (torch.zeros(2, 5, 3, 5), r"\(2, 6, 3, 5\)"),
        (torch.zeros(2, 7, 3, 5), r"\(2, 6, 3, 5\)"),
        (torch.zeros(2, 6, 3, 4), r"\(2, 6, 3, 5\)"),
        (torch.zeros(6, 3, 5), r"\(2, 6, 3, 5\)"),
    ],
)
def test_a_wrong_action_is_refused_and_plays_nothing(action: Tensor, message: str, check: bool) -> None:
    backend = fight()
    before = backend.state()
    with pytest.raises(ValueError, match=f"action.*{message}"):
        backend.step(action, check=check)
    assert_same_state(before, backend.state())


def test_an_action_out_of_range_is_refused_by_name() -> None:
    backend = fight()
    action = torch.zeros(2, 6, 3, 5)
    action[1, 2, 0, 4] = 8
    with pytest.raises(ValueError, match="side=1, arena=2, agent=0, ChangeFocus.*got 8"):
        backend.step(action)


@pytest.mark.parametrize("check", [True, False])
def test_actions_may_be_of_another_precision_and_layout(check: bool) -> None:
    first, second = fight(), fight()
    action = random_actions(6, torch.Generator().manual_seed(0))
    strided = action.double().transpose(0, 1).contiguous().transpose(0, 1)
    assert_same([first.step(action)], [second.step(strided, check=check)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arenas": 0}, "arenas must be at least 1, got 0"),
        ({"substeps": 0}, "substeps must be at least 1, got 0"),
        ({"episode_ticks": -3}, "episode_ticks must be at least 1, got -3"),
        ({"device": "tpu"}, "device must be one of cpu, cuda, got 'tpu'"),
        ({"terrain": "moon"}, "terrain must be one of game, flat, got 'moon'"),
        ({"arithmetic": "exact"}, "arithmetic must be one of plain, recorded, got 'exact'"),
        ({"threads": 0}, "threads must be from 1 to .*, got 0"),
        ({"threads": -1}, "threads must be from 1 to .*, got -1"),
        ({"threads": 10_000}, "threads must be from 1 to .*, got 10000"),
        ({"device": "cuda", "threads": 2}, "threads must be None unless device is cpu, got threads 2"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulatorBackend(**{"arenas": 1, "terrain": "flat"} | settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="device must be cpu .* got 'cuda'"):
        SimulatorBackend(arenas=1, terrain="flat", device="cuda")


def test_a_wrong_reset_is_refused_and_the_match_goes_on() -> None:
    backend = fight()
    before = backend.state()
    with pytest.raises(ValueError, match=r"tasks must contain one task per arena \(6\), got 5"):
        backend.reset([ARMED] * 5, 0)
    with pytest.raises(ValueError, match=r"seed must be one number or one per arena \(6\), got 2"):
        backend.reset([ARMED] * 6, [1, 2])
    assert_same_state(before, backend.state())
    play(backend, 1)


def test_an_unknown_item_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown item 'Sword'"):
        DerkTask(home_loadouts=(("Sword", None, None), *EMPTY[1:]), away_loadouts=EMPTY)


def test_nothing_is_played_before_a_reset_or_after_the_end() -> None:
    backend = SimulatorBackend(arenas=1, terrain="flat", threads=1, episode_ticks=16)
    idle = torch.zeros(2, 1, 3, 5)
    for call in (lambda: backend.step(idle), lambda: backend.load_state({}), backend.team_stats):
        with pytest.raises(RuntimeError, match="reset|done"):
            call()
    backend.reset([IDLE], 0)
    backend.step(idle)
    with pytest.raises(RuntimeError, match="only between the end of an episode and the next reset"):
        backend.team_stats()
    backend.step(idle)
    backend.team_stats()
    with pytest.raises(RuntimeError, match="no episode is running"):
        backend.step(idle)
    backend.reset([IDLE], 0)
    with pytest.raises(RuntimeError, match="only between the end of an episode and the next reset"):
        backend.team_stats()


def test_statistics_of_an_interleaved_match_wait_for_its_last_step() -> None:
    backend = SimulatorBackend(arenas=1, terrain="flat", threads=1, episode_ticks=16, interleaved=True)
    idle = torch.zeros(2, 1, 3, 5)
    backend.reset([IDLE], 0)
    assert not backend.step(idle)[2]  # by now the whole episode is played, but not shown
    with pytest.raises(RuntimeError, match="only between the end of an episode"):
        backend.team_stats()
    assert backend.step(idle)[2]
    assert backend.team_stats()[0, 0].tolist() == [0, 0, 400, 4 * 15, 400 * 15]


def test_closing_ends_everything() -> None:
    backend = fight()
    play(backend, 2)
    backend.close()
    backend.close()
    for call in (lambda: play(backend, 1), backend.team_stats):
        with pytest.raises(RuntimeError, match="reset|done"):
            call()
    with pytest.raises(RuntimeError, match="closed"):
        backend.reset([ARMED] * 6, 0)


def test_events_are_counted_only_on_demand() -> None:
    with pytest.raises(RuntimeError, match="bounty_events=True"):
        fight().bounty_events()
    backend = fight(bounty_events=True)
    play(backend, 40)
    events = backend.bounty_events()
    assert events.shape == (2, 6, 3, 22)
    assert events.any()
    backend.reset([ARMED] * 6, 0)
    assert not backend.bounty_events().any()
    assert events.any()  # a copy


@pytest.mark.parametrize(("name", "value"), [("focus", 8), ("cast_target", -2), ("items", 16), ("cast_state", 4)])
def test_a_state_that_would_be_an_index_out_of_range_is_refused(name: str, value: int) -> None:
    simulator = SimulatorBackend(arenas=1, terrain="flat")
    simulator.reset([ARMED], 0)
    state = simulator.state()
    state[name][0, 1] = value
    with pytest.raises(ValueError, match=f"state '{name}' must be from .* got {value}"):
        simulator.load_state(state)


def test_playing_compiles_nothing_that_making_a_simulator_has_not() -> None:
    """Else the seconds would count as training, and the progress bar would take them for slow updates."""
    SimulatorBackend(arenas=2)
    made = [list(loop.signatures) for loop in (cpu._face, cpu._sense, cpu._step)]
    for settings in ({"terrain": "game"}, {"interleaved": True, "bounty_events": True}, {"arithmetic": "recorded"}):
        play(fight(**settings), 2)
    assert [list(loop.signatures) for loop in (cpu._face, cpu._sense, cpu._step)] == made
    assert [len(signatures) for signatures in made] == [1, 1, 1]


class Loop:
    """A loop that nothing has compiled yet, in place of one of numba's."""

    signatures: tuple[()] = ()

    def __init__(self, cache: Path) -> None:
        self.stats = SimpleNamespace(cache_path=str(cache))
        self.has_run = threading.Event()

    def __call__(self) -> None:
        self.has_run.set()


def test_what_another_process_compiles_is_waited_for_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CpuRunner(flat_terrain(), fight().settings, threads=1)
    patient, hasty = Loop(tmp_path), Loop(tmp_path)
    with ThreadPoolExecutor() as threads:
        with FileLock(tmp_path / "compiling.lock"):
            waiting = threads.submit(runner._run, patient)
            assert not patient.has_run.wait(0.5)
            monkeypatch.setattr(cpu, "_COMPILE_TIMEOUT", 0.1)
            runner._run(hasty)
            assert hasty.has_run.is_set()
            assert not patient.has_run.is_set()
        waiting.result(timeout=10)
    assert patient.has_run.is_set()


def test_a_folder_that_takes_no_lock_is_no_reason_not_to_play(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loop = Loop(tmp_path / "file")
    CpuRunner(flat_terrain(), fight().settings, threads=1)._run(loop)
    assert loop.has_run.is_set()


@pytest.mark.slow
def test_rules_can_be_stepped_through_uncompiled(tmp_path: Path) -> None:
    """``NUMBA_DISABLE_JIT=1``, for a debugger, plays the same match."""
    code = """
import sys
import torch
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.tasks import LoadoutTasks
backend = SimulatorBackend(arenas=1, terrain="flat", threads=1)
backend.reset(LoadoutTasks(train_tasks=1, test_tasks=0).train, 0)
torch.save(backend.step(torch.tensor([0.5, 0.5, 0.5, 1, 4]).expand(2, 1, 3, 5))[0], sys.argv[1])
"""
    played = []
    for disabled in ("0", "1"):
        file = tmp_path / f"{disabled}.pt"
        environment = os.environ | {"NUMBA_DISABLE_JIT": disabled}
        subprocess.run([sys.executable, "-c", code, str(file)], env=environment, check=True, timeout=250)
        played.append(torch.load(file, weights_only=True))
    torch.testing.assert_close(*played, atol=1e-4, rtol=1e-4)
