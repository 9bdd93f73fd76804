"""The files and messages of a run, and the evaluation of its checkpoint."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

RUN_FILES = {"metrics.csv", "config.yaml", "checkpoints", "adaptation.json"}
RUN_FILES |= {"adaptation.png", "belief.png", "curve.png", "tasks.json", ".lock"}


@pytest.fixture(scope="module")
def fitted(tiny_config: Path, start_pearl: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a run of its own process, with what it printed."""
    runs, config = tmp_path_factory.mktemp("fitted"), tmp_path_factory.mktemp("drawing") / "tiny.yaml"
    config.write_text(tiny_config.read_text().replace("figures: false", "figures: true"))
    shown = ["--trainer.enable_progress_bar", "true"]
    status, output, errors = start_pearl("fit", "--config", config, "--runs_dir", runs, *shown).finish()
    assert status == 0, errors
    return runs / "tiny", output, errors


def test_the_runs_folder_holds_metrics_events_config_and_checkpoints(fitted: tuple[Path, str, str]) -> None:
    folder = fitted[0]
    names = {path.name for path in folder.iterdir()}
    (events,) = folder.glob("events.out.tfevents.*")
    assert names == RUN_FILES | {events.name}
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["init_args"]["meta_batch"] == 2


def test_nothing_but_the_progress_is_said_on_the_error_stream(fitted: tuple[Path, str, str]) -> None:
    lines = [line for line in re.split(r"[\r\n]+", fitted[2]) if line.strip()]
    assert lines
    assert all(line.startswith("updates:") for line in lines), lines


def test_the_progress_shows_updates_environment_steps_and_returns(fitted: tuple[Path, str, str]) -> None:
    last = re.split(r"[\r\n]+", fitted[2].strip())[-1]
    assert re.search(r" 12/12 .*\b960 env steps, return_prior -\d+\.\d, return_posterior -\d+\.\d", last)
    assert re.search(r"validation returns -\d+\.\d -\d+\.\d", last)


def test_metrics_hold_losses_collection_and_evaluation_over_environment_steps(fitted: tuple[Path, str, str]) -> None:
    with (fitted[0] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["env_steps"] for row in rows)
    learned = [row for row in rows if row["loss/critic"]]
    assert [int(row["step"]) for row in learned] == list(range(12))
    assert all(math.isfinite(float(row[name])) for row in learned for name in ("loss/kl", "loss/actor", "train/q"))
    collected = [(int(row["step"]), float(row["env_steps"])) for row in rows if row["collect/return_prior"]]
    arena_steps = 4 * 20 * 3  # arenas, horizon, episodes of an iteration
    assert collected == [(0, arena_steps), (0, 2 * arena_steps), (3, 3 * arena_steps), (7, 4 * arena_steps)]
    assert [int(row["step"]) for row in rows if row["evaluation/return_1"]] == [0, 4, 9]


def test_tensorboard_draws_evaluations_over_environment_steps_too(fitted: tuple[Path, str, str]) -> None:
    events = EventAccumulator(str(fitted[0]))
    events.Reload()
    over_updates = [(e.step, e.value) for e in events.Scalars("evaluation/return_1")]
    over_steps = [(e.step, e.value) for e in events.Scalars("by_env_steps/evaluation/return_1")]
    assert [step for step, _ in over_updates] == [0, 4, 9]
    assert [step for step, _ in over_steps] == [0, 720, 960]
    assert [value for _, value in over_updates] == [value for _, value in over_steps]


def test_tensorboard_shows_the_figures_of_every_evaluation(fitted: tuple[Path, str, str]) -> None:
    events = EventAccumulator(str(fitted[0]))
    events.Reload()
    assert set(events.Tags()["images"]) == {"evaluation/adaptation", "evaluation/belief"}


def test_a_second_run_of_the_same_name_gets_a_folder_of_its_own(tiny_config: Path, tmp_path: Path) -> None:
    options = ["fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path), "--trainer.max_steps", "1"]
    for _ in range(2):
        assert main(options) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny", "tiny-2"]
    first, second = ((tmp_path / name / "metrics.csv").read_text() for name in ("tiny", "tiny-2"))
    assert first == second


def test_later_configs_override_earlier_ones(tiny_config: Path, tmp_path: Path) -> None:
    (tmp_path / "over.yaml").write_text("name: other\ntrainer:\n  max_steps: 2\n")
    configs = ["--config", str(tiny_config), "--config", str(tmp_path / "over.yaml")]
    assert main(["fit", *configs, "--runs_dir", str(tmp_path / "runs")]) == 0
    saved = torch.load(tmp_path / "runs" / "other" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2


def test_the_saved_config_makes_the_same_run_again(fitted: tuple[Path, str, str], tmp_path: Path) -> None:
    assert main(["fit", "--config", str(fitted[0] / "config.yaml"), "--runs_dir", str(tmp_path)]) == 0
    assert (tmp_path / "tiny" / "metrics.csv").read_text() == (fitted[0] / "metrics.csv").read_text()


def test_a_checkpoint_rebuilds_its_model_without_unpickling(fitted: tuple[Path, str, str]) -> None:
    path = fitted[0] / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    model = PEARL.load_from_checkpoint(path, weights_only=True)
    assert model.state_dict().keys() == saved["state_dict"].keys()
    assert all(torch.equal(value, saved["state_dict"][name]) for name, value in model.state_dict().items())
    assert model.encoder.latent_dim == 2
    assert model.sac.discount == 0.9
    assert model.configure_optimizers()[0].defaults["lr"] == 0.01


def test_the_best_checkpoint_is_that_of_the_highest_last_return(tiny_config: Path, tmp_path: Path) -> None:
    options = ["--trainer.val_check_interval", "2", "--runs_dir", str(tmp_path)]
    assert main(["fit", "--config", str(tiny_config), *options]) == 0
    history = json.loads((tmp_path / "tiny" / "adaptation.json").read_text())["history"][1:]
    last_returns = {point["update"]: point["table"]["episodes"][-1]["return_mean"] for point in history}
    best = torch.load(tmp_path / "tiny" / "checkpoints" / "best.ckpt", weights_only=True)
    assert len(last_returns) == 6
    assert best["global_step"] == max(last_returns, key=last_returns.__getitem__)


def test_a_run_is_not_resumed_from_the_best_checkpoint(
    fitted: tuple[Path, str, str], tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = (fitted[0] / "config.yaml").read_text()
    best = str(fitted[0] / "checkpoints" / "best.ckpt")
    assert main(["fit", "--config", str(tiny_config), "--ckpt_path", best, "--trainer.max_steps", "20"]) == 1
    assert "has no replay: resume from a last.ckpt, not from a best.ckpt" in capfd.readouterr().err
    assert (fitted[0] / "config.yaml").read_text() == config


def test_validate_plays_the_weights_of_the_checkpoint(
    fitted: tuple[Path, str, str], tiny_config: Path, tmp_path: Path
) -> None:
    best = fitted[0] / "checkpoints" / "best.ckpt"
    options = ["--config", str(tiny_config), "--runs_dir", str(tmp_path), "--ckpt_path", str(best)]
    assert main(["validate", *options]) == 0
    with (tmp_path / "tiny" / "validate" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    history = json.loads((fitted[0] / "adaptation.json").read_text())["history"][1:]
    expected = max(point["table"]["episodes"][-1]["return_mean"] for point in history)
    assert float(row["evaluation/return_1"]) == pytest.approx(expected)


def test_evaluate_prints_writes_and_draws_what_the_run_had_measured(
    fitted: tuple[Path, str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fitted[0] / "checkpoints" / "best.ckpt"
    files = ["--json", str(tmp_path / "a" / "table.json"), "--png", str(tmp_path / "b" / "plot.png")]
    played = ["--episodes", "2", "--matches", "2"]
    assert main(["evaluate", str(checkpoint), "--tasks", "validation", *played, *files]) == 0
    printed = capfd.readouterr()
    table = json.loads((tmp_path / "a" / "table.json").read_text())
    history = json.loads((fitted[0] / "adaptation.json").read_text())["history"][1:]
    best = max((point["table"] for point in history), key=lambda t: t["episodes"][-1]["return_mean"])
    assert table["episodes"] == best["episodes"]
    assert f"{best['episodes'][1]['return_mean']:.2f}" in printed.out
    assert printed.err == ""
    assert (tmp_path / "b" / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.no_cover
def test_evaluate_writes_beside_the_runs_metrics_a_file_for_each_way_to_play(one_update: Path) -> None:
    folder = one_update
    tables = []
    for options, variant in (
        ([], ""),
        (["--sampled"], "-sampled"),
        (["--sampled"], "-sampled"),
        (["--sampled", "--seed", "1"], "-sampled-seed_1"),
    ):
        assert main(["evaluate", str(folder / "checkpoints" / "last.ckpt"), *options]) == 0
        tables.append(json.loads((folder / f"evaluation-last{variant}.json").read_text())["episodes"])
    assert (folder / "evaluation-last.png").is_file()
    usual = (folder / "evaluation-last.json").read_text()
    assert main(["evaluate", str(folder / "checkpoints" / "last.ckpt"), "--config", "point_robot"]) == 0
    assert (folder / "evaluation-last-point_robot.json").is_file()
    assert (folder / "evaluation-last.json").read_text() == usual  # pearl push publishes this one
    assert tables[1] == tables[2]
    assert tables[0] != tables[1] != tables[3]
    control = []
    for variant in ("", "wrong_context-"):
        options = ["--wrong_context"] if variant else []
        assert main(["evaluate", str(folder / "checkpoints" / "last.ckpt"), "--matches", "2", *options]) == 0
        control.append(json.loads((folder / f"evaluation-last-{variant}matches_2.json").read_text())["episodes"])
    assert control[0][0]["return_mean"] == control[1][0]["return_mean"]  # before any context
    assert control[0][1]["return_mean"] != control[1][1]["return_mean"]


def test_evaluate_plays_the_protocol_of_the_paper(
    fitted: tuple[Path, str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = fitted[0]
    options = ["evaluate", str(folder / "checkpoints" / "last.ckpt"), "--protocol", "pearl", "--matches", "2"]
    assert main(options) == 0
    assert "protocol pearl: the episodes before the last one explore" in capfd.readouterr().out
    written = json.loads((folder / "evaluation-last-protocol_pearl-matches_2.json").read_text())
    assert (written["protocol"], written["sampled"], len(written["episodes"])) == ("pearl", False, 3)
    assert main([*options, "--sampled"]) == 1
    assert "--sampled contradicts --protocol pearl" in capfd.readouterr().err


def test_evaluate_compares_checkpoints_on_the_same_matches(
    fitted: tuple[Path, str, str], one_update: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoints = [str(folder / "checkpoints" / "last.ckpt") for folder in (fitted[0], one_update)]
    files = [f"--{kind}={tmp_path / f'both.{kind}'}" for kind in ("json", "csv")] + [f"--png={tmp_path}/both.png"]
    capfd.readouterr()
    assert main(["evaluate", *checkpoints, "--episodes", "2", "--matches", "3", *files]) == 0
    printed = capfd.readouterr().out
    assert {path.name for path in tmp_path.glob("both*")} == {
        f"both-{label}.{kind}" for label in ("tiny", "tiny-1") for kind in ("json", "csv", "png")
    } | {f"both-{label}-belief.png" for label in ("tiny", "tiny-1")}
    last = [
        json.loads((tmp_path / f"both-{label}.json").read_text())["episodes"][-1]["return_mean"]
        for label in ("tiny", "tiny-1")
    ]
    assert f"tiny 1 over tiny, last episode: return {last[1] - last[0]:+.2f} [" in printed
    with (tmp_path / "both-tiny.csv").open() as file:
        returns = [float(row["return"]) for row in csv.DictReader(file) if row["episode"] == "1"]
    assert sum(returns) / len(returns) == pytest.approx(last[0])


def test_evaluate_plays_the_random_agent_on_the_same_matches(
    fitted: tuple[Path, str, str], tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(fitted[0] / "checkpoints" / "last.ckpt")
    files = [f"--{kind}={tmp_path / f'both.{kind}'}" for kind in ("json", "csv", "png")]
    assert main(["evaluate", checkpoint, "random", "--matches", "2", *files]) == 0
    assert "random over tiny, last episode: return " in capfd.readouterr().out
    beside = json.loads((tmp_path / "both-random.json").read_text())
    alone = ["evaluate", "random", "--config", str(tiny_config), "--matches", "2"]
    assert main([*alone, *files]) == 0
    assert json.loads((tmp_path / "both.json").read_text())["episodes"] == beside["episodes"]
    assert beside["checkpoint"] == "random"
    assert main(["evaluate", "random"]) == 1
    assert "--config must be given if no checkpoint plays" in capfd.readouterr().err
    assert main(["evaluate", "sniper", "--config", str(tiny_config)]) == 1
    assert "sniper only plays Derk's Gym, got a config of PointRobot" in capfd.readouterr().err


def test_evaluate_compares_nothing_that_played_other_tasks(
    fitted: tuple[Path, str, str], tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path), "--trainer.max_steps", "1"]
    assert main([*fit, "--data.env.init_args.tasks.init_args.seed", "5"]) == 0
    checkpoints = [str(folder / "checkpoints" / "last.ckpt") for folder in (fitted[0], tmp_path / "tiny")]
    files = ["--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"), "--png", str(tmp_path / "a.png")]
    assert main(["evaluate", *checkpoints, "--matches", "2", *files]) == 1
    assert "the tasks, arenas and horizon in the config of" in capfd.readouterr().err


def test_evaluate_names_what_is_wrong(
    fitted: tuple[Path, str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(fitted[0] / "checkpoints" / "last.ckpt")
    (tmp_path / "empty.yaml").write_text("trainer: {}\n")
    for options, message in (
        ([str(tmp_path / "no.ckpt")], f"there is no checkpoint {tmp_path / 'no.ckpt'}"),
        ([checkpoint, "--episodes", "0"], "episodes must be at least 1, got 0"),
        ([checkpoint, "--config", str(tmp_path / "no.yaml")], f"there is no config {tmp_path / 'no.yaml'}"),
        ([checkpoint, "--config", str(tmp_path / "empty.yaml")], "data: the following arguments are required: env"),
        ([checkpoint, "--speed", "3"], "unrecognized arguments: --speed"),
        (
            [checkpoint, "--tasks", "hard"],
            "tasks must be a split that is not empty, one of train, validation, test, got 'hard'",
        ),
        ([checkpoint, "--side", "away"], "--side away requires Derk's Gym, but the env of"),
    ):
        assert main(["evaluate", *options]) == 1
        errors = capfd.readouterr().err
        assert message in errors
        assert len(errors.splitlines()) == 1
