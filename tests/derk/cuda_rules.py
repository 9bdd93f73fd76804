"""Plays matches with the CUDA kernels in numba's simulator of a GPU, which runs the rules as plain Python.

Run as ``python cuda_rules.py FILE STEPS`` with NUMBA_ENABLE_CUDASIM=1 and NUMBA_DISABLE_JIT=1; writes what the matches
have become.
"""

import sys

import torch
from numba import cuda

from pearl_lightning.derk.backends.simulator.backend import SimulatorBackend
from pearl_lightning.derk.backends.simulator.cuda import CudaRunner
from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, ITEMS, SIDES
from pearl_lightning.derk.tasks import DerkTask

ARENAS = 3


def tasks() -> list[DerkTask]:
    """Loadouts that hold every item, with bounties for most events."""
    loadouts = [[ITEMS[(3 * agent + slot) % len(ITEMS)] for slot in range(3)] for agent in range(AGENTS * SIDES)]
    bounties = {"damageEnemyUnit": 0.1, "damageTaken": -0.2, "teamSpirit": 0.3, "timeScaling": 0.5, "healTeammate1": 1}
    return [
        DerkTask(
            home_loadouts=loadouts[arena : arena + AGENTS],
            away_loadouts=loadouts[AGENTS - arena : 2 * AGENTS - arena],
            home_bounties=bounties,
        )
        for arena in range(ARENAS)
    ]


def start(simulator: SimulatorBackend) -> None:
    """A brawl around the centre of the arena, so that every ability finds targets."""
    simulator.reset(tasks(), 0)
    position = simulator.state()["position"]
    position[..., :2] = torch.where(position[..., 2:] < 3, 64 + (position[..., :2] - 64) * 0.2, position[..., :2])
    simulator.load_state({"position": position})


def actions(steps: int) -> torch.Tensor:
    """Random legal actions that mostly cast at an enemy."""
    generator = torch.Generator().manual_seed(1)
    drawn = ACTION_SPACE.sample((steps, SIDES, ARENAS, AGENTS), generator)
    drawn[..., 2] = 0.5
    drawn[..., 4] = torch.where(drawn[..., 4] < 4, drawn[..., 4] % 2 * 5, drawn[..., 4])
    return drawn


def main(path: str, steps: int) -> None:
    assert cuda.is_available(), "numba's simulator of a GPU is off"
    simulator = SimulatorBackend(arenas=ARENAS, threads=1, bounty_events=True)
    simulator._runner = CudaRunner(simulator._runner.terrain, simulator.settings, torch.device("cpu"))  # type: ignore[attr-defined]
    start(simulator)
    for action in actions(steps):
        observation, reward, _ = simulator.step(action)
    torch.save(simulator.state() | {"observation": observation, "reward": reward}, path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
