"""The page shows all names, settings and values of the files as text, never as HTML."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from pages import CONFIG, HISTORY, NASTY, SUMMARY, adaptation_table, page_of, read_page, section, write_run

from pearl_lightning.report import make_page, read_run
from pearl_lightning.report.rendering import render

SCRIPT = "<script>alert(1)</script>"


def test_special_characters_are_escaped_wherever_they_come_from(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG) | {"note": NASTY, "extra": {NASTY: 1}}
    config["model"]["class_path"] = f"x.{NASTY.replace('.', '')}"
    config["data"]["init_args"]["env"]["init_args"] |= {"backend": NASTY, "tasks": {"class_path": NASTY}}
    metrics = f'step,env_steps,"loss/{NASTY.replace(chr(34), chr(34) * 2)}"\n0,10,0.5\n1,10,nan\n'
    folder = write_run(
        tmp_path / NASTY.replace("/", "∕"),
        config=config,
        metrics=metrics,
        summary=SUMMARY | {"renderer": NASTY, "versions": {NASTY: NASTY}, "updates": 2},
        history=HISTORY,
    )
    (folder / f"evaluation-{NASTY.replace('/', '∕')}.json").write_text(
        json.dumps({"checkpoint": NASTY} | adaptation_table([1.0, 2.0]))
    )
    other = write_run(tmp_path / "b")
    page = page_of(folder, other)
    assert not page.all("script")
    assert len(page.all("style")) == 1
    assert read_run(folder).name in page.one("h1").text()
    assert NASTY in [values[0] for _, *values in page.one("table", class_="machines").rows()]
    assert section(page, f"loss/{NASTY}").one("h4").text() == f"loss/{NASTY}"


def test_the_name_and_the_settings_of_a_run_are_shown_as_text(tmp_path: Path) -> None:
    robot, baseline = (read_run(write_run(tmp_path / name, summary=SUMMARY, history=HISTORY)) for name in ("a", "b"))
    robot = replace(robot, name=SCRIPT, config=robot.config | {"note": SCRIPT, SCRIPT: f"</pre>{SCRIPT}"})
    text = make_page([robot, baseline])
    assert "<script" not in text
    page = read_page(text)
    assert page.one("h1").text() == f"2 runs: {SCRIPT}, b"
    assert page.all("section", class_="card")[0].one("h3").text() == SCRIPT
    for table in ("results", "times"):
        assert page.one("table", class_=table).rows()[0][0] == SCRIPT
    differences = {name: values for name, *values in page.one("table", class_="differences").rows()}
    assert (differences["note"], differences[SCRIPT]) == ([SCRIPT, "–"], [f"</pre>{SCRIPT}", "–"])
    assert f"note: {SCRIPT} {SCRIPT}: </pre>{SCRIPT}" in page.all("pre")[0].text()
    titles = [circle.one("title").text() for circle in page.all("circle", class_="mark run-0")]
    assert titles
    assert all(title.startswith(f"{SCRIPT}, ") for title in titles)


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'curves' is undefined"):
        render("chart.html")
