"""Runs on a GPU: they resume there with their replay, and their checkpoints move between GPU and CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.cli import main

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


def fit(
    config: Path,
    folder: Path,
    name: str,
    updates: int,
    accelerator: str,
    resumed: bool = False,
    settings: Sequence[str] = (),
) -> dict[str, Tensor]:
    options = ["--runs_dir", str(folder), "--name", name, "--trainer.max_steps", str(updates)]
    options += ["--trainer.accelerator", accelerator, "--trainer.devices", "1", "--data.replay_device", "auto"]
    options += settings
    options += ["--ckpt_path", str(folder / name)] if resumed else []
    assert main(["fit", "--config", str(config), *options]) == 0
    state: dict[str, Tensor] = load_checkpoint(folder / name / "checkpoints" / "last.ckpt")["state_dict"]
    return state


@pytest.mark.parametrize("settings", [[], ["--model.belief.observe_every", "6"], ["--trainer.precision", "bf16-mixed"]])
@pytest.mark.parametrize("half", [6, 9])
def test_a_resumed_run_equals_one_that_was_not_stopped(
    half: int, settings: list[str], tiny_config: Path, tmp_path: Path
) -> None:
    whole = fit(tiny_config, tmp_path, "whole", 12, "gpu", settings=settings)
    fit(tiny_config, tmp_path, "parts", half, "gpu", settings=settings)
    resumed = fit(tiny_config, tmp_path, "parts", 12, "gpu", resumed=True, settings=settings)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.filterwarnings("ignore:the random state of")
@pytest.mark.parametrize("devices", [("gpu", "cpu"), ("cpu", "gpu")])
def test_a_checkpoint_moves_to_another_device(devices: tuple[str, str], tiny_config: Path, tmp_path: Path) -> None:
    before = fit(tiny_config, tmp_path, "moved", 6, devices[0])
    after = fit(tiny_config, tmp_path, "moved", 12, devices[1], resumed=True)
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
