"""The recorder of matches: with the simulator in place of the game, a recording agrees with the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.derk_parity import compare
from benchmarks.derk_record import EPISODES_UNTIL_RECORDED, TapedGame, play_adapted, write
from pearl_lightning.derk.backends.game.state import STATE_FIELDS
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import EPISODE_STEPS
from pearl_lightning.derk.recordings import read_recording
from pearl_lightning.derk.tasks import LoadoutTasks
from tests.watching.small_matches import small_agent

ARENAS = 2


class SimulatedGame(SimulatorBackend):
    """Gives a state in the layout of the real game, in which nothing is known."""

    def state(self) -> Tensor:  # type: ignore[override]
        return torch.full((self.arenas, 8, len(STATE_FIELDS)), torch.nan)

    def report(self) -> dict[str, str | int]:
        return {"renderer": "none", "gym-derk": "1.1.1", "browser": "none"}


@pytest.mark.parametrize("side", ["home", "away"])
def test_the_last_episode_of_an_agent_is_recorded_from_its_spawns_on(side: str, tmp_path: Path) -> None:
    game = TapedGame(SimulatedGame(arenas=ARENAS))  # type: ignore[arg-type]
    tasks = LoadoutTasks(train_tasks=4, test_tasks=2, opponent="attacker", bounties={"damageTaken": -0.01})
    env = DerkEnv(arenas=ARENAS, tasks=tasks, backend=game, side=side)  # type: ignore[arg-type]
    agent, acted = small_agent(env), []
    acts = agent.act
    agent.act = lambda *arguments: acted.append(acts(*arguments)) or acted[-1]  # type: ignore[func-returns-value,method-assign]
    play_adapted(game, agent, env, tasks.splits["test"], seed=3)
    write(tmp_path / "match.npz", game, ["first", "second"], seed=3, turbo=True)

    recording = read_recording(tmp_path / "match.npz")
    assert recording.names == ["first", "second"]
    assert recording.steps == EPISODE_STEPS == len(acted) // EPISODES_UNTIL_RECORDED
    own = 0 if side == "home" else 1
    assert torch.equal(recording.actions[:, own], torch.stack(acted[-EPISODE_STEPS:]))
    learners = [task.home_loadouts if side == "home" else task.away_loadouts for task in recording.tasks]
    assert learners == [tasks[index].home_loadouts for index in tasks.splits["test"]]
    comparison = compare(recording, "plain", "cpu")
    assert comparison.tally("observation").share == comparison.tally("reward").share == 1.0
    assert comparison.free_steps == [EPISODE_STEPS] * ARENAS
