"""The folder of a run: it can be created, one process uses it, and SLURM may requeue its job."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from test_resume import assert_same_state, fit, probe

from pearl_lightning.cli import main
from pearl_lightning.commands.runs import LOCK, SLURM_JOB, lock_folder, new_run_folder

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def test_a_run_that_another_process_trains_is_refused_with_its_holder(
    tiny_config: Path, tmp_path: Path, start_pearl: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "tiny"
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", tmp_path, *probe("Slow", seconds=0.5))
    pearl.wait_for_rows(run / "metrics.csv", 4)
    config = (run / "config.yaml").read_text()
    assert fit(tiny_config, tmp_path, "--ckpt_path", str(run)) == 1
    holder = rf"process {pearl.process.pid} on \S+"
    assert re.fullmatch(
        rf"pearl: error: {run} is in use by {holder}: wait until it ends, or stop it\n", capfd.readouterr().err
    )
    assert (run / "config.yaml").read_text() == config
    pearl.process.kill()
    pearl.finish()
    assert fit(tiny_config, tmp_path, "--ckpt_path", str(run)) == 0  # the lock is gone with its process
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 12


def test_a_lock_is_given_back_when_a_run_ends_or_fails(tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path, "--trainer.max_steps", "2") == 0
    assert fit(tiny_config, tmp_path, "--ckpt_path", str(tmp_path / "tiny"), *probe("CrashAfter", updates=4)) == 1
    with FileLock(tmp_path / "tiny" / LOCK, timeout=0):
        pass


def test_a_run_that_never_began_leaves_no_folder(tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path, "--data.meta_batch", "0") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["dangling link", "file", "below a file"])
@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_place_for_runs_that_is_none_is_named_on_one_line(
    command: str, kind: str, tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    if kind == "dangling link":
        runs.symlink_to("/nowhere")
    else:
        runs.write_text("")
    runs = runs / "below" if kind == "below a file" else runs
    assert main([command, "--config", str(tiny_config), "--runs_dir", str(runs)]) == 1
    errors = capfd.readouterr().err
    assert re.fullmatch(rf"pearl: error: runs_dir must be a folder that can be .*, got {runs}: .*\n", errors)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")  # root may write anywhere, so no real folder refuses it

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match=f"runs_dir must be a folder that can be .*, got {tmp_path}: .*Permission denied"):
        new_run_folder(tmp_path, "r")


def test_two_locks_exclude_each_other(tmp_path: Path) -> None:
    first = lock_folder(tmp_path)
    assert first is not None
    with pytest.raises(RuntimeError, match=f"in use by process {os.getpid()} on "):
        lock_folder(tmp_path)
    first.release()
    second = lock_folder(tmp_path)
    assert second is not None
    second.release()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SLURM job of one task, whose ``scontrol`` writes down how it was called; returns that file."""
    calls, commands = tmp_path / "calls", tmp_path / "bin"
    commands.mkdir()
    (commands / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    (commands / "scontrol").chmod(0o755)
    job = {"JOB_ID": "4711", "JOB_NAME": "train", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in {**job, "NNODES": "1", "NODELIST": "localhost", "STEP_NODELIST": "localhost"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return calls


def test_a_job_that_slurm_requeues_resumes_by_the_same_command(
    slurm: Path, tiny_config: Path, tmp_path: Path, start_pearl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path / "runs"), *probe("Slow", seconds=0.2)]
    run = tmp_path / "runs" / "tiny"
    pearl = start_pearl(*command)
    pearl.wait_for_rows(run / "metrics.csv", 5)
    pearl.process.send_signal(signal.SIGUSR1)
    status, _, errors = pearl.finish()
    assert status == 128 + signal.SIGUSR1, errors
    assert slurm.read_text() == "requeue 4711\n"
    assert not list((tmp_path / "runs").rglob("hpc_ckpt*"))
    stopped = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < stopped < 12

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    status, _, errors = start_pearl(*command).finish()
    assert status == 0, errors
    assert f"pearl: SLURM has requeued this job: resuming {run}/checkpoints/last.ckpt" in errors
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny"]
    for variable in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(variable)
    assert fit(tiny_config, tmp_path / "whole") == 0
    assert_same_state(tmp_path / "whole" / "tiny", run)


def test_a_requeued_job_does_not_resume_another_jobs_run(
    slurm: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--trainer.max_steps", "1"]
    assert fit(tiny_config, tmp_path / "runs", *options) == 0
    marker = tmp_path / "runs" / "tiny" / SLURM_JOB
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"job": "4712"}))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert fit(tiny_config, tmp_path / "runs", *options) == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"tiny", "tiny-2"}
    shutil.rmtree(tmp_path / "runs" / "tiny")
