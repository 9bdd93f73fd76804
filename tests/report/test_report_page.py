"""The page: its numbers are those of the files, it is well-formed and refers to nothing outside."""

from __future__ import annotations

import copy
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pages import CONFIG, HISTORY, NASTY, SUMMARY, adaptation_table, page_of, read_page, section, write_run

from pearl_lightning.derk.backends.game.install import find_browser
from pearl_lightning.report import make_page, read_run
from pearl_lightning.report.meanings import MEANINGS, SECTIONS
from pearl_lightning.report.page import MAX_RUNS

PPO = """step,env_steps,epoch,evaluation/gain,evaluation/return_0,evaluation/win_rate_0,loss/critic,train/kl
0,0.0,,0.5,2.5,0.25,,
4,900.0,0,,,,0.5,0.01
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "robot", summary=SUMMARY, history=HISTORY)
    table = {"checkpoint": "last.ckpt", "split": "test", "sampled": True} | adaptation_table(
        [-9.0, -4.5, -3.25], wins=[0.25, 0.5, 0.75]
    )
    (folder / "evaluation-last.json").write_text(json.dumps(table))
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    config = copy.deepcopy(CONFIG) | {"seed_everything": 4}
    config["model"] = {"class_path": "pearl_lightning.agents.ppo.PPO", "init_args": {"clip": 0.2}}
    return write_run(tmp_path / "baseline", config=config, metrics=PPO)


def test_the_numbers_under_a_curve_are_those_of_the_metrics(folder: Path) -> None:
    table = section(page_of(folder), "evaluation/return").one("table", class_="numbers")
    assert table.rows()[1] == ["robot", "10", "480", "-16.5", "-10.38"]
    assert table.numbers() == [0, 0, -20.25, -18.75, 10, 480, -16.5, -10.375, 30, 480, -15.0625, -7.5625]


def test_the_belief_over_the_episodes_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    entropy = {"transitions": [0, 30, 60, 90, 120], "low": [2.5, 1, 0, 0, 0]}
    entropy |= {"median": [2.5, 1.5, 0.5, 0.25, 0.25], "high": [2.5, 2, 1, 0.5, 0.5]}
    table = adaptation_table([-9.0, -4.5]) | {"entropy": entropy}
    runs = [tmp_path / name for name in ("knowing", "ignorant")]
    for run, found in zip(runs, (table, adaptation_table([-9.0, -4.5])), strict=True):
        write_run(run, history=[{"update": 3, "env_steps": 9, "table": found}])
    with_belief, without = page_of(*runs).all("section", class_="evaluation")
    assert not without.all("svg")
    [chart] = with_belief.all("svg")
    marks = [title.text() for title in chart.all("title")]
    assert [mark.rpartition(": ")[2] for mark in marks] == ["2.5", "1.5", "0.5", "0.25", "0.25"]
    assert len(chart.all("polygon")) == 1
    assert "The first episode ends after 60 transitions." in with_belief.text()


def test_a_legend_tells_the_last_value_of_every_curve(folder: Path) -> None:
    page = page_of(folder)
    assert sorted(section(page, "evaluation/return").one("ul", class_="legend").numbers()) == [-15.0625, -7.5625]
    assert section(page, "loss/critic").one("ul", class_="legend").numbers() == [0.125]


def test_every_logged_metric_is_drawn_with_a_sentence_but_counters_are_not(folder: Path) -> None:
    drawn = {str(each.attributes["data-metric"]): each for each in page_of(folder).all("section", class_="metric")}
    assert drawn.keys() == {"evaluation/gain", "evaluation/return", "loss/critic"}
    for metric, each in drawn.items():
        assert each.one("p", class_="hint").text() == MEANINGS[metric].text
        axes = [svg.attributes["aria-label"] for svg in each.all("svg", role="img")]
        wanted = ["updates", "environment steps"] if metric.startswith("evaluation/") else ["updates"]
        assert axes == [f"{MEANINGS[metric].title} over {axis}" for axis in wanted]


def test_evaluations_are_tables_with_intervals_and_gain(folder: Path) -> None:
    in_training, evaluated = page_of(folder).all("section", class_="evaluation")
    assert in_training.one("h4").text() == "Last evaluation during training, after 30 updates"
    assert in_training.one("table").numbers()[:5] == [0, -15.0625, -16.0625, -14.0625, -14.8125]
    assert evaluated.one("h4").text() == "evaluation-last"
    assert evaluated.one("table").rows()[2] == ["2", "-3.25 [-4.25, -2.25]", "-3.00", "75.0% [65.0%, 85.0%]"]
    assert "Gain (last minus first): 5.75 [5.25, 6.25]" in evaluated.text()
    assert "checkpoint: last.ckpt, split: test, sampled: True" in evaluated.text()


def test_kinds_of_tasks_are_a_table_of_their_own(tmp_path: Path) -> None:
    kinds = {
        NASTY: [{"return_mean": 6.25, "win_rate": 0.5}, {"return_mean": 9.5, "win_rate": 0.75}],
        "gang": [{"return_mean": 1.0, "win_rate": 0.0}, {"return_mean": 2.0, "win_rate": 1.0}],
    }
    folder = write_run(tmp_path / "a")
    (folder / "evaluation-last.json").write_text(
        json.dumps(adaptation_table([1.0, 2.0], [0.5, 0.75]) | {"kinds": kinds})
    )
    head, *rows = page_of(folder).one("table", class_="kinds").all("tr")
    assert head.text() == "kind of taskreturn after 0return after 1won after 0won after 1"
    assert [row.numbers() for row in rows] == [[6.25, 9.5, 0.5, 0.75], [1.0, 2.0, 0.0, 1.0]]
    assert rows[0].text().startswith(NASTY)


def test_the_sentence_says_what_was_trained_on_what_for_how_long(folder: Path) -> None:
    text = page_of(folder).one("section", class_="card").text()
    assert "PEARL (infers the hidden task from experience and acts on that belief) was trained on GoalTasks" in text
    assert "for 30 of 30 updates on 480 environment steps, in 1 min 40 s." in text
    assert "changed from -18.75 before training to -7.56. It adapts: " in text


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({"mean": 0.2, "low": -0.1, "high": 0.5}, "It shows no clear gain from experience of a task"),
        ({"mean": -2.0, "low": -3.0, "high": -1.0}, "Experience of a task makes it worse"),
        ({"mean": 2.0, "low": None, "high": None}, "one match per task gives no interval"),
        ({"mean": 2.0, "low": math.nan, "high": math.nan}, "one match per task gives no interval"),
    ],
)
def test_no_more_is_said_than_the_interval_allows(gain: dict[str, Any], said: str, tmp_path: Path) -> None:
    history = [copy.deepcopy(point) for point in HISTORY]
    history[-1]["table"]["gain"] = gain
    page = page_of(write_run(tmp_path / "a", history=history))
    assert said in page.one("section", class_="card").text()
    assert "It adapts" not in page.text()
    assert "was already" not in page.text()


def test_a_gain_that_was_there_before_training_is_told(folder: Path, tmp_path: Path) -> None:
    assert "before training the gain was already 1.50 [1.00, 2.00]" in page_of(folder).text()
    flat = copy.deepcopy(HISTORY)
    flat[0]["table"] = adaptation_table([-18.75, -18.75])
    assert "was already" not in page_of(write_run(tmp_path / "a", history=flat)).text()


def test_the_time_is_split_as_the_summary_has_it(folder: Path, other: Path) -> None:
    page = page_of(folder, other)
    own, without = page.one("table", class_="times").rows()
    assert own == ["robot", "1 min 40 s", "20.0 s (20%)", "50.0 s (50%)", "30.0 s (30%)", "0.0 s (0%)"]
    assert without == ["baseline", *["–"] * 5]
    widths = [float(str(rect.attributes["width"])) for rect in page.one("div", class_="bar").all("rect")]
    assert widths == [20.0, 50.0, 30.0, 0.0]


def test_compilation_is_shown_if_a_run_compiled(tmp_path: Path) -> None:
    parts = {"compilation": 25.0, "collection": 20.0, "evaluation": 5.0, "checkpoints": 0.0, "updates": 50.0}
    folder = write_run(tmp_path / "a", summary={"updates": 300, "seconds": 100.0, "seconds_by_part": parts})
    table = page_of(folder).one("table", class_="times")
    assert table.rows()[0][2:4] == ["25.0 s (25%)", "20.0 s (20%)"]


def test_the_settings_told_are_exactly_those_that_differ(folder: Path, other: Path) -> None:
    rows = page_of(folder, other).one("table", class_="differences").rows()
    assert {name: values for name, *values in rows} == {
        "seed_everything": ["3", "4"],
        "model.class_path": ["pearl_lightning.agents.pearl.PEARL", "pearl_lightning.agents.ppo.PPO"],
        "model.sac.discount": ["0.9", "–"],
        "model.encoder.class_path": ["e.GaussianProductEncoder", "–"],
        "model.clip": ["–", "0.2"],
    }
    assert not page_of(folder).all("table", class_="differences")


def test_seed_versions_and_hardware_are_told(folder: Path, other: Path) -> None:
    facts = {name: values for name, *values in page_of(folder, other).one("table", class_="machines").rows()}
    assert facts["seed"] == ["3", "4"]
    assert (facts["torch"], facts["processor"], facts["renderer"]) == (["2.99", "–"], ["abacus", "–"], ["pencil", "–"])


def test_learners_that_mean_other_things_by_a_name_share_no_figure(folder: Path, other: Path) -> None:
    page = page_of(folder, other)
    titles = [each.one("h4").text() for each in page.all("section", class_="metric", data_metric="loss/critic")]
    assert sorted(titles) == ["Critic loss", "Value loss (PPO)"]
    both = section(page, "evaluation/gain")
    assert [len(both.one("ul", class_="legend").all("path", class_=f"line run-{run} dash-0")) for run in (0, 1)] == [
        1,
        1,
    ]


def test_each_run_has_one_colour_everywhere(folder: Path, other: Path) -> None:
    page = page_of(folder, other)
    for colour, name in enumerate(("robot", "baseline")):
        marked = [e for e in page.elements() if f"run-{colour}" in str(e.attributes.get("class")).split()]
        titles = [title.text() for element in marked for title in element.all("title")]
        assert titles
        assert all(title.startswith(f"{name}, ") for title in titles)


def test_a_page_refers_to_nothing_outside_and_runs_no_script(folder: Path, other: Path) -> None:
    text = make_page([read_run(folder), read_run(other)])
    assert not re.search(r"https?:|//\w|url\(|@import|file:", text)
    page = read_page(text)
    assert not {e.tag for e in page.elements()} & {"script", "link", "img", "iframe", "object", "image", "use", "base"}
    anchors = {e.attributes["id"] for e in page.elements() if "id" in e.attributes}
    for element in page.elements():
        assert not {"src", "srcset", "style", "onclick", "onload", "action", "data"} & element.attributes.keys()
        if "href" in element.attributes:
            assert str(element.attributes["href"])[1:] in anchors


@pytest.mark.parametrize("metrics", [None, "step,env_steps,epoch\n"])
def test_a_run_without_metrics_makes_a_page_that_says_so(metrics: str | None, tmp_path: Path, folder: Path) -> None:
    page = page_of(write_run(tmp_path / "new", metrics=metrics))
    assert "No metrics have been logged yet" in page.one("ul", class_="notes").text()
    assert "It has not been evaluated on validation tasks yet." in page.text()
    assert page_of(folder, tmp_path / "new").one("table", class_="results").rows()[1] == ["new", "PEARL", *["–"] * 5]


def test_values_that_are_not_finite_are_told_and_leave_the_page_whole(tmp_path: Path) -> None:
    metrics = "step,env_steps,evaluation/return_0,loss/kl\n0,0,nan,\n1,1,,nan\n2,1,,0.5\n"
    page = page_of(write_run(tmp_path / "a", metrics=metrics))
    assert "1 of 2 values of loss/kl are not finite" in page.one("ul", class_="notes").text()
    assert "No finite values to draw" in section(page, "evaluation/return").text()
    assert section(page, "evaluation/return").one("table").rows() == [["a", "0", "0", "–"]]
    assert section(page, "loss/kl").one("ul", class_="legend").numbers() == [0.5]


def test_of_many_episodes_the_first_and_the_last_are_drawn_and_all_told(tmp_path: Path) -> None:
    names = ",".join(f"evaluation/return_{episode}" for episode in range(12))
    values = ",".join(str(float(episode)) for episode in range(12))
    metrics = section(
        page_of(write_run(tmp_path / "a", metrics=f"step,env_steps,{names}\n0,0,{values}\n")), "evaluation/return"
    )
    assert metrics.one("table").numbers()[2:] == [float(episode) for episode in range(12)]
    assert sorted(metrics.one("ul", class_="legend").numbers()) == [0, 1, 6, 11]
    assert "are not shown" in metrics.one("p", class_="hint").text()


def test_runs_that_cannot_be_told_apart_are_refused(folder: Path, tmp_path: Path) -> None:
    record = read_run(folder)
    with pytest.raises(ValueError, match="runs must have different names, got robot, robot"):
        make_page([record, record])
    with pytest.raises(ValueError, match=f"a report must contain 1 to {MAX_RUNS} runs, got 0"):
        make_page([])
    many = [read_run(write_run(tmp_path / str(number))) for number in range(MAX_RUNS + 1)]
    make_page(many[:-1])
    with pytest.raises(ValueError, match=f"a report must contain 1 to {MAX_RUNS} runs, got {MAX_RUNS + 1}"):
        make_page(many)


def test_every_meaning_is_one_of_the_sections_and_a_sentence() -> None:
    assert {meaning.section for meaning in MEANINGS.values()} < set(SECTIONS)
    assert all(meaning.text.endswith(".") for meaning in MEANINGS.values())


@pytest.mark.page
def test_a_browser_opens_the_page_without_a_complaint(folder: Path, other: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    text = make_page([read_run(folder), read_run(other)])
    path.write_text(text, encoding="utf-8")
    command = [
        find_browser(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--enable-logging=stderr", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ":CONSOLE" not in shown.stderr
    seen, made = read_page(shown.stdout), read_page(text)
    assert [element.tag for element in seen.one("main").elements()] == [e.tag for e in made.one("main").elements()]
