"""The success rate in tables, files, figures, metrics, comparisons and reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pages import page_of, write_run

from pearl_lightning.callbacks.adaptation import _metrics
from pearl_lightning.evaluation import AdaptationResult, AdaptationTable, compare, format_comparison, format_table
from pearl_lightning.evaluation.plots import plot_adaptation

SUCCESSES = np.array([[[0, 1], [0, 1]], [[0, 0], [1, 1]]])
"""Successes in two tasks with two matches of two episodes: one of four first and three of four last episodes."""


def result(successes: np.ndarray = SUCCESSES) -> AdaptationResult:
    returns, nothing = np.zeros((2, 2, 2)), np.zeros((2, 2, 2, 0))
    return AdaptationResult(
        tasks=(0, 1),
        returns=returns,
        outcomes=None,
        z_mean=nothing,
        z_std=nothing,
        env_steps=8,
        statistics={"success": successes, "falls": np.ones((2, 2, 2))},
        kinds=("push", "reach"),
    )


def test_the_table_has_the_success_rate_of_each_episode_and_its_gain() -> None:
    table = result().table()
    assert [row.success_rate for row in table.episodes] == [0.25, 0.75]
    assert table.episodes[1].successes is not None
    assert table.episodes[1].successes.low <= 0.75 <= table.episodes[1].successes.high
    assert table.success_gain is not None
    assert table.success_gain.mean == 0.5
    assert table.win_gain is None
    assert [row.success_rate for row in table.kinds["push"]] == [0.0, 1.0]
    assert list(table.episodes[0].statistics) == ["falls"]
    head, first, last, gain, push, *_ = format_table(table).splitlines()
    assert "success rate" in head
    assert [line.split()[-2] for line in (first, last)] == ["25.0%", "75.0%"]
    assert "of the success rate 50.0% [" in gain
    assert push == "push: return 0.00, 0.00, success 0%, 100%"


def test_a_table_with_successes_is_restored_from_json() -> None:
    table = result().table()
    assert AdaptationTable.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_figure_and_metrics_show_the_success_rate() -> None:
    table = result().table()
    figure = plot_adaptation(table)
    assert [axes.get_ylabel() for axes in figure.axes] == ["return", "success rate"]
    assert list(figure.axes[1].lines[0].get_ydata()) == [0.25, 0.75]
    assert {name: value for name, value in _metrics(table).items() if "success" in name} == {
        "evaluation/success_rate_0": 0.25,
        "evaluation/success_rate_1": 0.75,
    }


def test_a_comparison_has_the_lead_of_the_success_rate() -> None:
    lead = compare([result()], [result(np.ones((2, 2, 2)))])
    assert lead.success_rate is not None
    assert lead.success_rate.mean == 0.25
    assert ", success rate +25.0% [" in format_comparison(lead)


def test_the_report_shows_the_success_rate(tmp_path: Path) -> None:
    history = [{"update": 5, "env_steps": 8, "table": result().table().to_json()}]
    text = page_of(write_run(tmp_path / "a", history=history)).text()
    assert "success rate" in text
    assert "75.0%" in text
    assert "of the success rate 50.0%" in text
