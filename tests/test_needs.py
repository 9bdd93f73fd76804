"""Tests that need a browser are skipped or fail, as the environment says, and are named at the end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pearl_processes import without_coverage

from pearl_lightning.derk.backends.game import install
from pearl_lightning.derk.backends.game.install import APT_INSTALL

pytest_plugins = ("pytester",)

ROOT = Path(__file__).parent.parent
SUITE = """
import pytest

def test_plain():
    pass

@pytest.fixture
def browser():
    raise AssertionError("a fixture was made")

@pytest.mark.page
def test_page(browser_used):
    pass

@pytest.mark.game
@pytest.mark.parametrize("number", [1, 2])
def test_game(number, browser_used):
    pass

@pytest.fixture
def browser_used():
    {fixture}
"""
STARTS = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of one plain test, one of a page and two of the game, on a machine that has everything."""
    for name in ("REQUIRE_GAME", "CI", "BUILD_NUMBER"):  # with the latter two, pytest shortens no line
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(install, "missing_gl_libraries", list)
    put_browser(pytester.path, monkeypatch, STARTS)
    pytester.makeini("[pytest]\nmarkers =\n    page: x\n    game: x\naddopts = -p no:cacheprovider")
    pytester.makeconftest("pytest_plugins = ['tests.needs']")
    pytester.makepyfile(SUITE.format(fixture="pass"))
    return pytester


def put_browser(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    browser = folder / "browser"
    browser.write_text(script)
    browser.chmod(0o755)
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", str(browser))


def last_line(result: pytest.RunResult) -> str:
    """The line above pytest's count of outcomes."""
    return result.outlines[-2]


def test_with_browser_and_libraries_every_test_runs_and_nothing_is_said(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=4)
    assert "Install with" not in result.stdout.str()


def test_without_a_browser_its_tests_are_skipped_and_named_with_the_install_command(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", "/nowhere/chromium")
    suite.makepyfile(SUITE.format(fixture="raise AssertionError('a fixture was made')"))
    result = suite.runpytest_inprocess("-ra")
    result.assert_outcomes(passed=1, skipped=3)
    assert result.ret == 0
    assert last_line(result) == (
        "Skipped 3 tests (2 of the real game and 1 of pages in a browser): DERK_CHROME_EXECUTABLE must be the path of "
        f"an executable, got '/nowhere/chromium'. Install with: make game-deps, or as root: {APT_INSTALL}"
    )


def test_a_module_that_is_skipped_for_another_reason_is_not_named(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_other="import pytest\n\npytest.importorskip('nowhere')")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=4, skipped=1)
    assert "Install with" not in result.stdout.str()


def test_a_browser_that_does_not_start_is_none(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    put_browser(suite.path, monkeypatch, "#!/bin/sh\nexit 4\n")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=3)
    assert re.search(r"the browser \S+/browser does not start: exit status 4\. Install", last_line(result))


def test_without_gl_libraries_pages_are_opened_and_the_game_is_skipped(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "missing_gl_libraries", lambda: ["libEGL.so.1"])
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)
    assert last_line(result).startswith("Skipped 2 tests (2 of the real game): GL libraries are missing: libEGL.so.1.")


def test_where_the_game_is_required_its_tests_fail(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_GAME", "1")
    suite.runpytest_inprocess().assert_outcomes(passed=4)
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", "/nowhere/chromium")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=3)
    assert result.ret == 1
    sections, _ = result.stdout.str().split("short test summary info")
    assert sections.count(f"install: {APT_INSTALL}") == 3


def test_workers_count_their_skipped_tests_together(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", "/nowhere/chromium")
    result = suite.runpytest_subprocess("--numprocesses", "2")
    assert last_line(result).startswith("Skipped 3 tests (2 of the real game and 1 of pages in a browser): ")


@pytest.mark.slow
def test_this_suites_own_tests_of_game_and_page_follow_the_rule(tmp_path: Path) -> None:
    chosen = ["tests/derk/test_game_pictures.py::test_a_picture_of_every_step_shows_that_the_match_goes_on"]
    chosen += ["tests/watching/test_match_page.py::test_a_browser_plays_scrubs_and_shows_the_final_score"]
    environment = without_coverage() | {"PYTEST_ADDOPTS": ""}
    environment |= {"DERK_CHROME_EXECUTABLE": str(tmp_path / "nowhere"), "REQUIRE_GAME": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "2 errors" in result.stdout.splitlines()[-1]


@pytest.mark.no_cover
def test_tests_that_are_not_counted_are_not_traced() -> None:
    """In a worker of xdist, too: pytest-cov pauses only one of the tracers that it starts there."""
    assert sys.gettrace() is None
