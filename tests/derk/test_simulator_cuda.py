"""The CUDA kernels, without a GPU: numba's simulator of one runs the same functions as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cuda_rules import ARENAS, actions, start

from pearl_lightning.envs.derk.simulator import SimulatorBackend

STEPS = 12


@pytest.mark.slow
def test_kernels_play_the_matches_that_the_cpu_plays(tmp_path: Path) -> None:
    script, written = Path(__file__).with_name("cuda_rules.py"), tmp_path / "kernels.pt"
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, script, written, str(STEPS)], env=environment, check=True, timeout=250)
    kernels = torch.load(written, weights_only=True)

    simulator = SimulatorBackend(arenas=ARENAS, bounty_events=True)
    start(simulator)
    for action in actions(STEPS):
        observation, reward, _ = simulator.step(action)
    compiled = simulator.state() | {"observation": observation, "reward": reward}
    assert compiled["events"].abs().sum() > 0, "nothing happened"
    assert compiled.keys() == kernels.keys()
    for name, values in compiled.items():
        torch.testing.assert_close(kernels[name], values, rtol=1e-3, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="device must be cpu where torch finds no CUDA GPU, got 'cuda'"):
        SimulatorBackend(arenas=1, device="cuda")
