"""metrics.csv and the TensorBoard events against the rows that were logged."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pearl_lightning.loggers import MetricsCsv, TensorBoardEvents


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_is_on_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    logger = MetricsCsv(str(tmp_path / "run"))
    logger.log_metrics({"loss": 0.5, "env_steps": 10.0}, step=3)
    assert rows(tmp_path / "run") == [{"step": "3", "env_steps": "10.0", "epoch": "", "loss": "0.5"}]


def test_a_new_metric_adds_a_column_and_keeps_the_rows_before(tmp_path: Path) -> None:
    logger = MetricsCsv(str(tmp_path))
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.log_metrics({"return": -7.0}, step=1)
    logger.log_metrics({"loss": 0.25}, step=2)
    assert [(row["loss"], row["return"]) for row in rows(tmp_path)] == [("0.5", ""), ("", "-7.0"), ("0.25", "")]


def test_a_resumed_run_keeps_the_rows_before_its_checkpoint_and_writes_the_others_again(tmp_path: Path) -> None:
    values = {0: 1.0, 1: 1 / 3, 2: 0.1, 3: 0.7}
    whole, stopped = MetricsCsv(str(tmp_path / "whole")), MetricsCsv(str(tmp_path / "stopped"))
    for step, value in values.items():
        whole.log_metrics({"loss": value}, step)
        stopped.log_metrics({"loss": value}, step)
    resumed = MetricsCsv(str(tmp_path / "stopped"), first_step=2)
    for step in (2, 3):
        resumed.log_metrics({"loss": values[step]}, step)
    assert (tmp_path / "stopped" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_a_new_run_does_not_go_on_in_a_file_it_finds(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        MetricsCsv(str(tmp_path)).log_metrics({"loss": value}, step=0)
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(OSError, match=rf"cannot write {tmp_path}/metrics\.csv: "):
        MetricsCsv(str(tmp_path)).log_metrics({"loss": 1.0}, step=0)


def test_a_negative_first_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first_step must be at least 0, got -1"):
        MetricsCsv(str(tmp_path), first_step=-1)


def test_events_hold_collection_and_evaluation_over_updates_and_over_environment_steps(tmp_path: Path) -> None:
    logger = TensorBoardEvents(str(tmp_path))
    logger.log_metrics({"loss": 0.5, "evaluation/gain": 1.5, "collect/episodes": 8.0, "env_steps": 700.0}, step=3)
    logger.log_metrics({"evaluation/gain": 2.5}, step=4)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    drawn = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert drawn == {
        "loss": [(3, 0.5)],
        "env_steps": [(3, 700.0)],
        "evaluation/gain": [(3, 1.5), (4, 2.5)],
        "collect/episodes": [(3, 8.0)],
        "by_env_steps/evaluation/gain": [(700, 1.5)],
        "by_env_steps/collect/episodes": [(700, 8.0)],
    }


def test_hyperparameters_are_on_tensorboards_page_and_in_no_other_file(tmp_path: Path) -> None:
    logger = TensorBoardEvents(str(tmp_path))
    logger.log_hyperparams({"model": {"discount": 0.9, "hidden": [8, 8]}, "name": None})
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.save()
    logger.finalize("success")
    (file,) = tmp_path.iterdir()
    events = EventAccumulator(str(file)).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    content = HParamsPluginData.FromString(events.PluginTagToContent("hparams")[SESSION_START_INFO_TAG])
    shown = content.session_start_info.hparams
    assert shown["model/discount"].number_value == 0.9
    assert (shown["model/hidden"].string_value, shown["name"].string_value) == ("[8, 8]", "None")


def test_events_of_a_run_that_fails_without_metrics_are_removed_and_earlier_ones_stay(tmp_path: Path) -> None:
    for values in ([0.5], [], [0.25]):
        logger = TensorBoardEvents(str(tmp_path))
        assert logger.experiment is not None  # Lightning asks for it before anything can be refused
        logger.log_hyperparams({"discount": 0.9})
        for value in values:
            logger.log_metrics({"loss": value}, step=0)
        logger.finalize("success" if values else "failed")
    assert len(list(tmp_path.iterdir())) == 2
    assert {event.value for event in EventAccumulator(str(tmp_path)).Reload().Scalars("loss")} == {0.5, 0.25}


def test_numbers_are_written_exactly(tmp_path: Path) -> None:
    value = float(torch.tensor(1 / 3))
    MetricsCsv(str(tmp_path)).log_metrics({"loss": value}, step=0)
    assert float(rows(tmp_path)[0]["loss"]) == value
