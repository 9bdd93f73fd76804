"""Two processes train one model: same parameters, averaged gradients, one folder, and no dead-lock."""

from __future__ import annotations

import csv
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

OVERLAY = Path(__file__).parents[2] / "configs" / "ddp.yaml"
UPDATES = 6
"""A collection after 4, an evaluation after 5, an epoch's end after 6."""


@pytest.fixture(scope="module")
def run(tiny_config: Path, start_pearl: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two processes, with what ``DumpUpdates`` saw."""
    folder = tmp_path_factory.mktemp("ddp")
    dump = ["--trainer.callbacks+=probes.DumpUpdates", f"--trainer.callbacks.init_args.folder={folder / 'dump'}"]
    configs = ["--config", tiny_config, "--config", OVERLAY]
    options = ["--runs_dir", folder / "runs", "--trainer.max_steps", str(UPDATES)]
    settings = ["--model.belief.observe_every", "6", "--model.normalize_observations", "true"]
    status, _, errors = start_pearl("fit", *configs, *options, *settings, *dump).finish()
    assert (status, errors) == (0, "")
    return folder


def dumped(run: Path, update: int) -> list[dict[str, Any]]:
    return [torch.load(run / "dump" / f"rank-{rank}-update-{update}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_hold_the_same_parameters_after_every_update(run: Path) -> None:
    for update in range(1, UPDATES + 1):
        first, second = (values["after"] for values in dumped(run, update))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), update


def test_the_two_processes_learn_from_different_episodes(run: Path) -> None:
    first, second = (values["batch"]["transitions"]["observation"] for values in dumped(run, 1))
    assert not torch.isclose(first, second).any(dim=-1).all()


def test_the_gradient_is_the_mean_of_both_processes_gradients(run: Path) -> None:
    model = PEARL.load_from_checkpoint(run / "runs" / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    cut_off: list[bool] = []
    for update in range(1, UPDATES + 1):
        processes = dumped(run, update)
        observed = torch.cat([values["batch"]["transitions"]["observation"] for values in processes])
        alone: list[dict[str, torch.Tensor]] = []
        for values in processes:
            model.load_state_dict(values["before"])
            model.norm.update(observed)  # an update normalizes by the observations of both
            model.noise.set_state(values["noise"])
            model.zero_grad()
            batch = values["batch"]
            tasks = batch["context"]["reward"].shape[0]
            cut_off.append("beginning" in batch)
            parts = {
                name: part if torch.is_tensor(part) else TensorDict(part, [tasks, part["reward"].shape[1]])
                for name, part in batch.items()
            }
            total_loss(model.losses(TensorDict(parts, [tasks]))).backward()
            alone.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert any(not torch.allclose(alone[0][name], alone[1][name]) for name in alone[0])
        for values in processes:
            assert values["gradient"].keys() == alone[0].keys()
            for name, gradient in values["gradient"].items():
                torch.testing.assert_close(gradient, (alone[0][name] + alone[1][name]) / 2, rtol=1e-5, atol=1e-7)
    assert any(cut_off)


def test_both_processes_write_into_the_one_folder_of_the_run(run: Path) -> None:
    assert [path.name for path in (run / "runs").iterdir()] == ["tiny"]
    (side,) = (run / "runs" / "tiny" / "checkpoints").glob("last-*-*")
    assert {path.name for path in side.iterdir()} == {"rank-0", "rank-1"}
    tables = [torch.load(side / f"rank-{rank}" / "replay" / "index.pt", weights_only=True) for rank in (0, 1)]
    assert not torch.equal(tables[0]["generator"], tables[1]["generator"])
    states = [torch.load(side / f"rank-{rank}" / "random.pt", weights_only=True)["progress"] for rank in (0, 1)]
    assert states[0]["env_steps"] == states[1]["env_steps"] > 0
    assert states[0]["returns"] != states[1]["returns"]
    with (run / "runs" / "tiny" / "metrics.csv").open() as file:
        evaluated = [int(row["step"]) for row in csv.DictReader(file) if row["evaluation/gain"]]
    assert evaluated == [0, 4]


def test_one_process_does_not_resume_a_checkpoint_of_two(
    run: Path, tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run / "runs" / "tiny" / "checkpoints" / "last.ckpt"
    options = ["--ckpt_path", str(checkpoint), "--model.normalize_observations", "true"]
    assert main(["fit", "--config", str(tiny_config), *options]) == 1
    expected = "pearl: error: this checkpoint was written by 2 processes; resume with 2, not 1\n"
    assert capfd.readouterr().err == expected


def test_two_processes_do_not_resume_a_checkpoint_of_one(one_update: Path, tiny_config: Path, start_pearl: Any) -> None:
    configs = ["--config", tiny_config, "--config", OVERLAY]
    checkpoint = one_update / "checkpoints" / "last.ckpt"
    status, _, errors = start_pearl("fit", *configs, "--ckpt_path", checkpoint).finish()
    assert status == 1
    lines = {line.replace(" (process 1)", "") for line in errors.splitlines()}
    assert lines == {"pearl: error: this checkpoint was written by 1 processes; resume with 1, not 2"}


def test_a_signal_to_the_first_process_stops_both_with_a_checkpoint(
    tiny_config: Path, tmp_path: Path, start_pearl: Any
) -> None:
    slow = ["--trainer.callbacks+=probes.Slow", "--trainer.callbacks.init_args.seconds=0.2"]
    configs = ["--config", tiny_config, "--config", OVERLAY]
    pearl = start_pearl("fit", *configs, *slow, "--trainer.callbacks+=probes.Pid", cwd=tmp_path)
    pearl.wait_for_rows(tmp_path / "runs" / "tiny" / "metrics.csv", 5)
    pearl.process.send_signal(signal.SIGTERM)
    pearl.process.wait(200)
    other, deadline = Path("/proc") / (tmp_path / "pid-1").read_text(), time.monotonic() + 20
    while other.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    left = other.exists()
    status, _, errors = pearl.finish()
    assert status == 128 + signal.SIGTERM, errors
    assert not left
    saved = torch.load(tmp_path / "runs" / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["pearl_replay"]["world_size"] == 2


def test_an_error_of_one_process_ends_both(tiny_config: Path, tmp_path: Path, start_pearl: Any) -> None:
    spoil = ["--trainer.callbacks+=probes.NotANumber", "--trainer.callbacks.init_args.updates=2"]
    configs = ["--config", tiny_config, "--config", OVERLAY]
    pearl = start_pearl("fit", *configs, *spoil, "--trainer.callbacks.init_args.rank=1", cwd=tmp_path)
    status, _, errors = pearl.finish()
    assert status != 0
    assert "pearl: error (process 1): the losses of update 2 are not finite" in errors
    assert "Traceback" not in errors
