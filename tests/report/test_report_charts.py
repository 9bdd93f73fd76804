"""Curves: where a value is drawn tells the value, and what is not finite leaves a gap."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from pages import Element, read_page

from pearl_lightning.report.charts import HEIGHT, MAX_DRAWN, MAX_MARKED, WIDTH, Line, line_chart, short, thinned, ticks


def drawn(*lines: Line) -> Element:
    return read_page(line_chart(lines, title="a <title>", x_label="updates")).one("svg")


def line(points: list[tuple[float, float]], colour: int = 0, dash: int = 0) -> Line:
    return Line(label="a & b", colour=colour, dash=dash, points=points, band=[])


def places(path: Element) -> list[list[tuple[float, float]]]:
    """The pieces of a path."""
    pieces = re.findall(r"M([^M]*)", str(path.attributes["d"]))
    return [[(float(x), float(y)) for x, y in (p.split() for p in piece.strip().split(" L"))] for piece in pieces]


def test_places_are_proportional_to_values_and_within_the_picture() -> None:
    points = [(0.0, -3.5), (10.0, 7.25), (40.0, 2.0), (100.0, -1.0)]
    (piece,) = places(drawn(line(points)).one("path", class_="line run-0 dash-0"))
    for axis, size, sign in ((0, WIDTH, 1), (1, HEIGHT, -1)):
        values, at = [point[axis] for point in points], [place[axis] for place in piece]
        assert np.corrcoef(values, at)[0, 1] * sign == pytest.approx(1, abs=1e-4)
        assert all(0 <= place <= size for place in at)


def test_lines_share_their_axes() -> None:
    chart = drawn(line([(0, 1.0), (5, 2.0)]), line([(0, 1.0), (5, 2.0), (9, 50.0)], colour=1, dash=1))
    first, second = (places(chart.one("path", class_=f"line run-{n} dash-{n}"))[0] for n in (0, 1))
    assert first == second[:2]


def test_the_labels_of_an_axis_stand_where_their_values_are() -> None:
    chart = drawn(line([(0.0, 0.0), (100.0, 10.0)]))
    (((_, bottom), (_, top)),) = places(chart.one("path", class_="line run-0 dash-0"))
    for label in chart.all("text", text_anchor="end"):
        at = float(str(label.attributes["y"])) - 4
        assert float(label.text()) == pytest.approx((at - bottom) / (top - bottom) * 10, abs=0.02)


def test_values_that_are_not_finite_leave_a_gap() -> None:
    chart = drawn(line([(0, 1.0), (1, 2.0), (2, math.nan), (3, 3.0), (4, math.inf), (5, 4.0)]))
    pieces = places(chart.one("path", class_="line run-0 dash-0"))
    assert [len(set(piece)) for piece in pieces] == [2, 1, 1]
    assert len(chart.all("circle")) == 4
    assert "nan" not in line_chart([line([(0, 1.0), (1, math.nan)])], title="", x_label="").lower()


@pytest.mark.parametrize("points", [[], [(0.0, math.nan)]])
def test_without_a_finite_value_a_text_says_so(points: list[tuple[float, float]]) -> None:
    assert "No finite values to draw" in read_page(line_chart([line(points)], title="", x_label="")).one("p").text()


@pytest.mark.parametrize("value", [0.0, -7.5, 1e-12, 3e30])
def test_a_single_value_is_drawn(value: float) -> None:
    ((first, second),) = places(drawn(line([(7.0, value)])).one("path", class_="line run-0 dash-0"))
    assert first == second


def test_marks_tell_the_numbers_of_short_curves() -> None:
    chart = drawn(line([(1000.0, -12.345678)]))
    assert chart.one("circle").one("title").text() == "a & b, updates 1,000: -12.3457"
    assert not drawn(line([(x, x) for x in range(MAX_MARKED + 1)])).all("circle")


def test_long_curves_are_drawn_by_means_of_neighbours() -> None:
    points = [(float(x), float(x % 7)) for x in range(5 * MAX_DRAWN)]
    means = thinned(points)
    assert len(means) == MAX_DRAWN
    assert means[1] == (7.0, pytest.approx(sum(y for _, y in points[5:10]) / 5))
    assert thinned(points[:MAX_DRAWN]) == points[:MAX_DRAWN]


def test_a_band_goes_around_its_interval() -> None:
    band = [(0.0, -1.0, 1.0), (10.0, math.nan, 2.0), (20.0, 3.0, 5.0)]
    chart = drawn(Line(label="", colour=2, dash=0, points=[(0.0, 0.0), (20.0, 4.0)], band=band))
    corners = str(chart.one("polygon", class_="band run-2").attributes["points"]).split()
    assert len(corners) == 4
    assert "nan" not in " ".join(corners)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-7.3, 4.1), (0.001, 0.0013), (1e6, 9e6), (3.0, 4.0)])
def test_ticks_are_evenly_spread_within_the_ends(ends: tuple[float, float]) -> None:
    found = ticks(*ends)
    assert ends[0] <= found[0] < found[-1] <= ends[1] + 1e-12
    np.testing.assert_allclose(np.diff(found), found[1] - found[0])
    assert 2 <= len(found) <= 6
    assert all(tick == int(tick) for tick in ticks(*ends, whole=True))


def test_numbers_on_an_axis_are_short() -> None:
    assert [short(value, 12_000) for value in (0, 2_500, 12_000)] == ["0", "2.5k", "12k"]
    assert [short(value, 3e7) for value in (-1.5e6, 3e7)] == ["-1.5M", "30M"]
    assert short(-0.025, 0.1) == "-0.025"
