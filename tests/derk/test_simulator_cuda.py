"""The CUDA kernels: on a GPU where there is one, else in numba's simulator of one, which runs them as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cuda_rules import ARENAS, actions, start

from benchmarks.derk_parity import make_simulator, restart
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.recordings import read_recording

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


@pytest.mark.gpu
@pytest.mark.parametrize("arithmetic", ["plain", "recorded"])
def test_gpu_and_cpu_agree_after_a_step_from_any_recorded_state(arithmetic: str) -> None:
    recording = read_recording(Path(__file__).parent / "recordings" / "scripted.npz")
    on_cpu, on_gpu = (make_simulator(recording, arithmetic, device) for device in ("cpu", "cuda"))
    for step in range(recording.steps):
        results = []
        for simulator in (on_cpu, on_gpu):
            restart(simulator, recording, step)
            observation, reward, _ = simulator.step(recording.actions[step].to(simulator.device), check=False)
            results.append(simulator.state() | {"observation": observation, "reward": reward})
        for name, value in results[0].items():
            played = results[1][name].cpu()
            torch.testing.assert_close(played, value, rtol=0, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="device must be cpu because torch finds no CUDA GPU, got 'cuda'"):
        SimulatorBackend(arenas=1, device="cuda")
