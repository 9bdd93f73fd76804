"""The records of a run's folder: finished, running, killed or damaged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pages import METRICS, write_run

from pearl_lightning.report import read_run
from pearl_lightning.report.settings import differences, flat


def test_points_are_those_of_the_file_over_updates_and_environment_steps(tmp_path: Path) -> None:
    metrics = read_run(write_run(tmp_path / "a")).metrics
    returns = [(point.update, point.env_steps, point.value) for point in metrics["evaluation/return_1"]]
    assert returns == [(0, 0, -18.75), (10, 480, -10.375), (30, 480, -7.5625)]
    assert [(point.update, point.value) for point in metrics["loss/critic"]] == [(10, 0.5), (20, 0.25), (30, 0.125)]
    assert [point.update for point in metrics["collect/iterations"]] == [0, 10]
    assert not {"step", "env_steps", "epoch"} & metrics.keys()


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_a_line_that_a_killed_process_left_half_written_is_left_out_and_said(cut: int, tmp_path: Path) -> None:
    whole = read_run(write_run(tmp_path / "whole", metrics=METRICS.rsplit("\n", 2)[0] + "\n"))
    killed = read_run(write_run(tmp_path / "killed", metrics=METRICS[:-cut]))
    assert killed.metrics == whole.metrics
    assert [note for note in killed.notes if "is incomplete" in note]
    assert not [note for note in whole.notes if "is incomplete" in note]


@pytest.mark.parametrize("metrics", [None, "", "step,env_steps,epoch\n", "step,env"])
def test_a_run_that_measured_nothing_yet_says_so(metrics: str | None, tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "a", metrics=metrics))
    assert (record.updates, record.metrics) == (0, {})
    assert [note for note in record.notes if note.startswith("No metrics have been logged yet")]


def test_values_that_are_not_finite_are_kept_and_told(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "a", metrics="step,env_steps,loss/kl\n0,1,0.5\n1,1,nan\n2,1,inf\n3,1,1\n"))
    assert [math.isfinite(point.value) for point in record.metrics["loss/kl"]] == [True, False, False, True]
    assert [note for note in record.notes if note.startswith("2 of 4 values of loss/kl are not finite")]
    assert [note for note in record.notes if "first at update 2" in note]


def test_a_run_without_a_config_says_so(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "a", config=None))
    assert record.setting("model.sac.discount") is None
    assert [note for note in record.notes if "no config.yaml" in note]


def test_settings_are_found_without_init_args(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "a"))
    assert record.setting("model.sac.discount") == 0.9
    assert record.setting("data.env.tasks.train_tasks") == 4
    assert record.class_name("data.env.tasks") == "GoalTasks"
    assert record.setting("data.env.tasks.colour") is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.csv", "step,loss\n0,high\n", "line 2 of .*metrics.csv must contain only numbers: .*'high'"),
        ("metrics.csv", "step,loss\n0,1\n0,1,2\n", "line 3 of .*metrics.csv must contain only numbers"),
        ("summary.json", "{", "summary.json is not valid JSON"),
        ("adaptation.json", "[]", "adaptation.json must contain a JSON object, got list"),
        ("evaluation-last.json", "{}", "evaluation-last.json must contain a table of pearl evaluate"),
        ("config.yaml", "a: [", "config.yaml is not valid YAML"),
        ("config.yaml", "- a\n", "config.yaml must contain a mapping of settings, got list"),
    ],
)
def test_a_damaged_file_is_named(file: str, content: str, message: str, tmp_path: Path) -> None:
    (write_run(tmp_path / "a") / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path / "a")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder of a run"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"must be the folder of a run, with config.yaml or metrics.csv, but contains n"
    ):
        read_run(tmp_path)


def test_settings_that_differ_are_exactly_those() -> None:
    first = {
        "name": "a",
        "model": {"class_path": "x.PEARL", "init_args": {"hidden": [8], "bf16": False}},
        "trainer": {
            "logger": [{"class_path": "l.Csv", "init_args": {"folder": "runs/a"}}],
            "callbacks": [
                {"class_path": "c.Evaluation", "init_args": {"episodes": 2}},
                {"class_path": "c.Collector", "init_args": {"every": 4}},
            ],
        },
    }
    second = {
        "name": "b",
        "model": {"class_path": "x.PEARL", "init_args": {"hidden": [8, 8], "bf16": False, "z_steps": 5, "new": None}},
        "trainer": {
            "logger": [{"class_path": "l.Csv", "init_args": {"folder": "runs/b"}}],
            "callbacks": [
                {"class_path": "c.Collector", "init_args": {"every": 5}},
                {"class_path": "c.Evaluation", "init_args": {"episodes": 2}},
            ],
        },
    }
    assert differences([first, second, first]) == {
        "model.hidden": [[8], [8, 8], [8]],
        "model.z_steps": [None, 5, None],
        "trainer.callbacks.Collector.every": [4, 5, 4],
    }
    assert differences([first, first]) == {}


def test_every_setting_has_a_name_of_its_own() -> None:
    config = {"callbacks": [{"class_path": "c.Timer", "init_args": {"s": n}} for n in (1, 2)], "sizes": [], "none": {}}
    assert flat(config) == {
        "callbacks.Timer.class_path": "c.Timer",
        "callbacks.Timer.s": 1,
        "callbacks.Timer 2.class_path": "c.Timer",
        "callbacks.Timer 2.s": 2,
        "sizes": [],
        "none": {},
    }
