"""Checkpoints of Lightning's own callback lie in the run's folder, and commands find the config of their run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pearl_lightning.cli import main
from pearl_lightning.commands.entrants import run_of

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def fit(config: Path, *options: str, steps: int = 2) -> int:
    """A run that ends with a validation, after which Lightning's callback saves."""
    settings = ["--trainer.max_steps", str(steps), "--trainer.val_check_interval", "2"]
    return main(["fit", "--config", str(config), *settings, *options])


def checkpoint_callback(**settings: Any) -> list[str]:
    options = [f"--trainer.callbacks.{name}={value}" for name, value in settings.items()]
    return ["--trainer.callbacks+=ModelCheckpoint", *options]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("logger", ["true", "false"])
def test_without_a_place_they_lie_among_the_runs_own(tiny_config: Path, logger: str) -> None:
    assert fit(tiny_config, "--trainer.logger", logger, *checkpoint_callback()) == 0
    (written,) = Path().rglob("epoch=*.ckpt")
    assert written.parent == Path("runs/tiny/checkpoints")
    assert run_of(written) == ("tiny", Path("runs/tiny"), Path("runs/tiny/config.yaml"))
    assert main(["evaluate", str(written), "--matches", "1", "--episodes", "1"]) == 0
    assert list(Path("runs/tiny").glob("evaluation-epoch=*.json"))


@pytest.mark.parametrize(
    ("place", "weights_only"),
    [("kept", "true"), ("kept", "false"), ("kept/checkpoints", "false"), ("runs/tiny/best/ones", "true")],
)
def test_at_a_place_of_their_own_they_name_the_run_whose_config_they_are_played_with(
    tiny_config: Path, place: str, weights_only: str
) -> None:
    callback = checkpoint_callback(dirpath=place, filename="mine", save_weights_only=weights_only)
    assert fit(tiny_config, *callback) == 0
    checkpoint = Path(place, "mine.ckpt")
    assert run_of(checkpoint)[2].resolve() == Path("runs/tiny/config.yaml").resolve()
    assert main(["evaluate", str(checkpoint), "--matches", "1", "--episodes", "1", "--json", "table.json"]) == 0
    ours = json.loads(Path("table.json").read_text())
    assert main(["evaluate", "runs/tiny/checkpoints/last.ckpt", "--matches", "1", "--episodes", "1"]) == 0
    theirs = json.loads(Path("runs/tiny/evaluation-last-episodes_1-matches_1.json").read_text())
    assert ours["episodes"] == theirs["episodes"]  # the same weights, played in the same environment


def test_a_config_beside_a_checkpoint_goes_before_that_of_its_run(tiny_config: Path) -> None:
    assert fit(tiny_config, *checkpoint_callback(dirpath="kept", filename="mine")) == 0
    Path("kept/config.yaml").write_text("")
    assert run_of(Path("kept/mine.ckpt"))[2] == Path("kept/config.yaml")


def test_a_checkpoint_whose_run_is_gone_asks_for_a_config(tiny_config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(tiny_config, *checkpoint_callback(dirpath="kept", filename="mine")) == 0
    Path("runs").rename("moved")
    assert main(["evaluate", "kept/mine.ckpt"]) == 1
    assert "there is no config file kept/config.yaml: give one" in capfd.readouterr().err


def test_a_run_with_them_resumes_from_its_last_checkpoint_and_not_from_theirs(
    tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(tiny_config, *checkpoint_callback(filename="theirs")) == 0
    config = Path("runs/tiny/config.yaml")
    assert fit(config, "--ckpt_path", "runs/tiny/checkpoints/theirs.ckpt", steps=4) == 1
    assert "has no replay" in capfd.readouterr().err
    assert fit(config, "--ckpt_path", "runs/tiny/checkpoints/last.ckpt", steps=4) == 0
    assert torch.load("runs/tiny/checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


@pytest.mark.parametrize("settings", [{"save_last": "true"}, {"filename": "last"}, {"filename": "best"}])
def test_one_that_would_overwrite_the_runs_own_is_refused(
    tiny_config: Path, settings: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(tiny_config, *checkpoint_callback(**settings)) == 1
    name = settings.get("filename", "last")
    line = capfd.readouterr().err
    assert f"ModelCheckpoint must not write {name}.ckpt to " in line
    assert len(line.splitlines()) == 1
    assert fit(tiny_config, *checkpoint_callback(dirpath="elsewhere", **settings)) == 0
