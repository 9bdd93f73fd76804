"""Progress bars of long work: a terminal shows them with the time left; other outputs do not."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.cli import main
from pearl_lightning.envs.point_robot import PointRobot
from pearl_lightning.evaluation import evaluate_adaptation

pytestmark = pytest.mark.slow


class Terminal(io.StringIO):
    """A screen whose every line is kept, overwritten or not."""

    def isatty(self) -> bool:
        return True

    def bars(self, name: str) -> list[str]:
        """Counts that a bar with rate and time left showed, as ``done/total``."""
        time_left = r"\[\d\d:\d\d(?:<(?:\?|\d\d:\d\d), | spent, (?:\?|\d\d:\d\d) left)"
        return re.findall(rf"{name}: +\d+%\|[^|]*\| (\d+/\d+) {time_left}", self.getvalue())


def watch(*arguments: str) -> Terminal:
    """The terminal output of ``pearl``."""
    with contextlib.redirect_stderr(Terminal()) as screen:
        assert main(list(arguments)) == 0
    return screen


def test_an_evaluation_tells_how_many_episodes_are_played() -> None:
    torch.manual_seed(0)
    told: list[tuple[int, int]] = []
    world = CountingEnv(arenas=4)
    evaluate_adaptation(
        world, PEARL(FEATURES, SPACE), [6, 7, 8], episodes=2, matches=2, progress=lambda *counts: told.append(counts)
    )
    assert told == [(0, 12), (4, 12), (8, 12), (10, 12), (12, 12)]  # six matches: four side by side, then two


def test_evaluate_shows_its_episodes(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    screen = watch("evaluate", "random", "--config", str(tiny_config), "--episodes", "2", "--matches", "3")
    assert list(dict.fromkeys(screen.bars("evaluation-random"))) == ["0/12", "4/12", "8/12", "10/12", "12/12"]
    assert screen.getvalue().endswith("\r")  # the bar is wiped: the table follows


def test_a_league_shows_its_matches() -> None:
    screen = watch("league", "idle", "random", "--matches", "3", "--arenas", "4")
    assert list(dict.fromkeys(screen.bars("league"))) == ["0/6", "4/6", "6/6"]


def test_fit_shows_updates_and_evaluations(tiny_config: Path, tmp_path: Path) -> None:
    shown = ["--trainer.enable_progress_bar", "true", "--trainer.max_steps", "5"]
    screen = watch("fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path), *shown)
    assert screen.bars("updates")[-1] == "5/5"
    evaluations = screen.bars("validation tasks")
    assert evaluations.count("0/8") >= 2  # before the first update and after the fifth: two tasks, matches and episodes
    assert set(evaluations) == {"0/8", "4/8", "8/8"}


def test_a_notebook_shows_the_bars_too(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    monkeypatch.setattr(Terminal, "__module__", "ipykernel.iostream")  # of the output of a cell
    monkeypatch.chdir(tmp_path)
    screen = watch("evaluate", "random", "--config", str(tiny_config), "--episodes", "1", "--matches", "1")
    assert screen.bars("evaluation-random")[-1] == "2/2"


def test_bars_start_once_the_environment_is_prepared(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilation takes a minute at the first start: a bar that counted it would be wrong about the time left."""

    def prepare(env: PointRobot) -> float:
        print("prepared", file=sys.stderr)
        return 0.0

    monkeypatch.setattr(PointRobot, "prepare", prepare)
    monkeypatch.chdir(tmp_path)
    evaluated = watch("evaluate", "random", "--config", str(tiny_config), "--episodes", "1", "--matches", "1")
    assert 0 <= evaluated.getvalue().find("prepared") < evaluated.getvalue().find("evaluation-random:")
    shown = ["--trainer.enable_progress_bar", "true", "--trainer.max_steps", "1"]
    trained = watch("fit", "--config", str(tiny_config), *shown).getvalue()
    assert 0 <= trained.find("prepared") < min(trained.find("updates:"), trained.find("validation tasks:"))


def test_without_a_terminal_an_evaluation_shows_nothing(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "random", "--config", str(tiny_config), "--episodes", "1", "--matches", "1"]) == 0
    assert capfd.readouterr().err == ""
