from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from pearl_lightning.evaluation import AdaptationTable, EpisodeRow, Interval
from pearl_lightning.evaluation.plots import plot_adaptation, plot_curve


def make_table(*, wins: bool, low: float = -12.0) -> AdaptationTable:
    rows = []
    for episode in range(3):
        won = {"win_rate": 0.2 * episode, "win_low": 0.0, "win_high": 0.5} if wins else {}
        rows.append(EpisodeRow(episode, episode - 10.0, math.nan, low, -7.0, **won))
    gain = Interval(2.0, math.nan, math.nan)
    return AdaptationTable(tasks=4, matches_per_task=8, env_steps=100, episodes=tuple(rows), gain=gain)


def drawn_intervals(figure: Figure, panel: int) -> list[list[float]]:
    return [segment[:, 1].tolist() for segment in figure.axes[panel].collections[0].get_segments()]


@pytest.mark.parametrize("wins", [False, True])
def test_the_adaptation_figure_shows_the_numbers_of_the_table(wins: bool) -> None:
    table = make_table(wins=wins)
    figure = plot_adaptation(table)
    assert len(figure.axes) == 1 + wins
    for panel, name in enumerate(("returns", "wins")[: 1 + wins]):
        x, y = figure.axes[panel].lines[0].get_data()
        intervals = [getattr(row, name) for row in table.episodes]
        assert list(x) == [0, 1, 2]
        assert list(y) == [each.mean for each in intervals]
        assert drawn_intervals(figure, panel) == [[each.low, each.high] for each in intervals]


def test_the_curves_show_their_numbers_under_their_names() -> None:
    series = {"first": [1.0, 2.0], "second": [5.0, math.nan]}
    axes = plot_curve([0, 100], series, x_label="steps", y_label="score").axes[0]
    assert {line.get_label(): list(line.get_xdata()) for line in axes.lines} == {"first": [0, 100], "second": [0, 100]}
    for line, values in zip(axes.lines, series.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps", "score")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["first", "second"]


def test_a_series_of_another_length_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"series 'short' must have one value per step \(2\), got 1"):
        plot_curve([0, 1], {"short": [3.0]})


def test_png_files_are_written_without_a_warning_even_where_little_is_known(tmp_path: Path) -> None:
    figures = {
        "full": plot_adaptation(make_table(wins=True)),
        "interval_unknown": plot_adaptation(make_table(wins=False, low=math.nan)),
        "curve": plot_curve([0, 10], {"a": [1.0, 2.0]}),
        "one_point": plot_curve([0], {"a": [1.0]}),
        "no_series": plot_curve([], {}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, figure in figures.items():
            figure.savefig(tmp_path / f"{name}.png")
            assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_no_figure_is_left_in_matplotlibs_global_state() -> None:
    plot_adaptation(make_table(wins=True))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
