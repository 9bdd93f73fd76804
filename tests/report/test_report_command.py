"""``pearl report`` of a run that was trained, killed, or is none."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from pages import read_page, write_run

from pearl_lightning.cli import main


@pytest.fixture(scope="module")
def trained(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("trained")
    summary = ["--summary=RunSummary"]
    assert main(["fit", "--config", str(tiny_config), "--runs_dir", str(runs), *summary]) == 0
    return runs / "tiny"


@pytest.mark.slow
def test_a_trained_run_is_reported_in_its_folder(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(trained)]) == 0
    assert capfd.readouterr() == (f"Wrote {trained / 'report.html'}\n", "")
    page = read_page((trained / "report.html").read_text())
    with (trained / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["evaluation/return_1"]]
    numbers = page.one("section", data_metric="evaluation/return").one("table").numbers()
    assert numbers[3::4] == [float(row["evaluation/return_1"]) for row in rows]
    assert numbers[0::4] == [0, 5, 10]
    summary = json.loads((trained / "summary.json").read_text())
    assert page.one("table", class_="times").numbers()[0] == summary["seconds"]
    assert not page.all("ul", class_="notes")


def test_a_killed_run_has_the_evaluations_and_times_of_its_last_checkpoint(trained: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    shutil.copytree(trained, killed)
    for name in ("adaptation.json", "summary.json"):  # these come at the end
        (killed / name).unlink()
    (killed / "metrics.csv").write_text((killed / "metrics.csv").read_text()[:-30])
    assert main(["report", str(killed), "--out", str(tmp_path / "pages" / "killed.html")]) == 0
    page = read_page((tmp_path / "pages" / "killed.html").read_text())
    notes = page.one("ul", class_="notes").text()
    assert "is incomplete" in notes
    assert "times are up to its last checkpoint, at update 12" in notes
    history = json.loads((trained / "adaptation.json").read_text())["history"]
    rows = history[-1]["table"]["episodes"]
    assert page.one("section", class_="evaluation").one("table").numbers()[1] == rows[0]["return_mean"]
    assert 0 < page.one("table", class_="times").numbers()[0] < 1000


def test_a_checkpoint_that_cannot_be_read_is_told(trained: Path, tmp_path: Path) -> None:
    killed = write_run(tmp_path / "killed")
    (killed / "checkpoints").mkdir()
    (killed / "checkpoints" / "last.ckpt").write_bytes(b"junk")
    assert main(["report", str(killed)]) == 0
    assert "The checkpoint could not be read" in (killed / "report.html").read_text()


def test_runs_of_one_name_are_told_by_their_paths(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / place / "run") for place in ("a", "b")]
    assert main(["report", *map(str, folders)]) == 0
    cards = read_page((folders[0] / "report.html").read_text()).all("section", class_="card")
    assert [card.one("h3").text() for card in cards] == [str(folder) for folder in folders]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "there is no folder of a run at nowhere"),
        (["empty"], "empty must be the folder of a run, with config.yaml or metrics.csv, but contains neither"),
        (["run", "./run"], "runs must all be different, got run, ./run"),
        (["run", "--speed", "3"], "unrecognized arguments: --speed"),
        (["run", "--out", "run"], "Is a directory: 'run'"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert main(["report", *options]) == 1
    errors = capfd.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
