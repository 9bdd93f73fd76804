"""Ctrl-C: a run that it stops says what is saved, and the command it names goes on exactly."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_resume import assert_same_state, probe

from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def interrupt(pearl: Any, folder: Path, times: int = 1, seconds: float = 200) -> tuple[int, list[str]]:
    """Ctrl-C once the run stands still; its exit status, and what it said."""
    deadline = time.monotonic() + seconds
    while not (folder / "standing").exists():
        if time.monotonic() > deadline or pearl.process.poll() is not None:
            raise TimeoutError(f"the run does not come to stand: {pearl.finish(0)}")
        time.sleep(0.02)
    for _ in range(times):
        time.sleep(0.5)
        pearl.process.send_signal(signal.SIGINT)
    status, _, errors = pearl.finish()
    return status, [line for line in errors.splitlines() if line]


def test_the_command_that_a_stopped_run_names_ends_as_if_it_had_not_been_stopped(
    whole: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_pearl: Any
) -> None:
    slow = probe("SlowAt", hook="on_train_batch_start", updates=5, seconds=2)
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", "my runs", *slow, cwd=tmp_path)
    status, told = interrupt(pearl, tmp_path)
    assert status == 130
    assert len(told) == 2
    said, command = told[1].split("; resume with: pearl ")
    assert said == "pearl: stopped after update 6"
    assert command == "fit --config 'my runs/tiny/config.yaml' --ckpt_path 'my runs/tiny/checkpoints/last.ckpt'"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)  # the stopped run's config names a probe
    assert main(shlex.split(command)) == 0
    assert_same_state(whole, tmp_path / "my runs" / "tiny")


def test_a_second_ctrl_c_during_the_save_leaves_the_checkpoint_before_it(
    whole: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_pearl: Any
) -> None:
    slow = probe("SlowAt", hook="on_save_checkpoint", updates=4)
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", "runs", *slow, cwd=tmp_path)
    status, told = interrupt(pearl, tmp_path, times=2)
    assert status == 130
    said, command = told[-1].split("; resume with: pearl ")
    assert said == "pearl: stopped after update 3"
    saved = torch.load(tmp_path / "runs" / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    assert main(shlex.split(command)) == 0
    assert_same_state(whole, tmp_path / "runs" / "tiny")


def test_before_the_first_update_nothing_is_saved_and_that_is_said(
    tiny_config: Path, tmp_path: Path, start_pearl: Any
) -> None:
    slow = probe("SlowAt", hook="on_train_start")
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", "runs", *slow, cwd=tmp_path)
    told = ["pearl: stopped before anything was saved; start it again with the same command"]
    assert interrupt(pearl, tmp_path) == (130, told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_checkpoint_callback_nothing_is_saved_and_that_is_said(
    number: signal.Signals, tiny_config: Path, tmp_path: Path, start_pearl: Any
) -> None:
    content = yaml.safe_load(tiny_config.read_text())
    content["checkpoint"] = None
    config = tmp_path / "unsaved.yaml"
    config.write_text(yaml.safe_dump(content))
    pearl = start_pearl("fit", "--config", config, "--runs_dir", tmp_path, *probe("Slow", seconds=0.2))
    pearl.wait_for_rows(tmp_path / "tiny" / "metrics.csv", 5)
    pearl.process.send_signal(number)
    status, _, errors = pearl.finish()
    assert status == 128 + number
    assert errors == "pearl: stopped; nothing was saved, because checkpoint is null\n"


def test_an_evaluation_that_is_stopped_says_so(tiny_config: Path, tmp_path: Path, start_pearl: Any) -> None:
    slow = probe("SlowAt", hook="on_validation_start")
    pearl = start_pearl("validate", "--config", tiny_config, "--runs_dir", "runs", *slow, cwd=tmp_path)
    assert interrupt(pearl, tmp_path) == (130, ["pearl: interrupted"])
