import importlib.metadata
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pearl_processes import without_coverage

from pearl_lightning.cli import main
from pearl_lightning.derk.backends.game import install
from pearl_lightning.derk.backends.game.install import APT_INSTALL, PIP_INSTALL
from pearl_lightning.derk.commands import doctor


def line_of(name: str, printed: str) -> str:
    """The line of a check and the install line below it, with single spaces."""
    lines = printed.splitlines()
    [number] = [
        number for number, line in enumerate(lines) if line[:8].strip() != "..." and line[9:].startswith(f"{name} ")
    ]
    following = lines[number + 1] if "install:" in lines[number + 1] else ""
    return " ".join(f"{lines[number]} {following}".split())


@pytest.fixture
def broken_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An executable in the browser's place that ends at once."""
    script = tmp_path / "browser"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", str(script))
    return script


def without(package: str, monkeypatch: pytest.MonkeyPatch, version: str | None = None) -> None:
    installed = importlib.metadata.version

    def told(name: str) -> str:
        if name != package:
            return installed(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", told)


@pytest.mark.game
def test_where_all_is_well_the_game_is_played_and_nothing_else_is_said() -> None:
    program = "import sys; from pearl_lightning.cli import main; sys.exit(main(['doctor']))"
    result = subprocess.run(
        [sys.executable, "-c", program], env=without_coverage(), capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stdout
    assert result.stderr == ""
    for name in (*doctor.CHECKS, "game"):
        assert line_of(name, result.stdout).startswith(f"ok {name}")
    assert "missing" not in result.stdout
    assert "WebGL renderer: ANGLE" in result.stdout
    assert "gym-derk: 1.1.1\n" in result.stdout
    assert result.stdout.endswith("This machine can play the real game.\n")


def test_a_missing_browser_is_told_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DERK_CHROME_EXECUTABLE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert line_of("browser", printed).startswith("missing browser no browser found (chromium, ")
    assert line_of("browser", printed).endswith(f"install: {APT_INSTALL}")
    assert line_of("game", printed) == "missing game not started, see above"
    assert printed.endswith("This machine cannot play the real game.\n")


def test_a_wrong_path_of_the_browser_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DERK_CHROME_EXECUTABLE", "/nowhere/chromium")
    assert doctor.main([]) == 1
    message = "missing browser DERK_CHROME_EXECUTABLE must be the path of an executable, got '/nowhere/chromium'"
    assert message in line_of("browser", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("package", "version", "message"),
    [
        ("gym-derk", None, "missing gym-derk gym-derk is not installed"),
        ("gym-derk", "1.0.0", "missing gym-derk version must be 1.1.1, got 1.0.0"),
        ("psutil", None, "missing psutil psutil is not installed"),
    ],
)
def test_a_missing_package_is_told_with_its_install_line(
    package: str,
    version: str | None,
    message: str,
    broken_browser: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without(package, monkeypatch, version)
    assert doctor.main([]) == 1
    printed = capsys.readouterr().out
    assert line_of(package, printed) == f"{message} install: {PIP_INSTALL}"
    assert line_of("browser", printed) == f"ok browser {broken_browser}"
    assert line_of("game", printed) == "missing game not started, see above"


def test_missing_gl_libraries_and_fonts_are_told_and_the_game_is_tried_all_the_same(
    broken_browser: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "GL_LIBRARIES", ("libnowhere.so.1",))
    monkeypatch.setenv("LIBGL_DRIVERS_PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_FONT_FOLDERS", (str(tmp_path),))
    assert doctor.main([]) == 1
    printed = capsys.readouterr().out
    absent = "libnowhere.so.1, a Mesa driver (dri/*_dri.so)"
    assert line_of("GL libraries", printed) == f"missing GL libraries {absent} install: {APT_INSTALL}"
    assert line_of("fonts", printed) == f"missing fonts none in {tmp_path} install: {APT_INSTALL}"
    assert line_of("game", printed) == "missing game the game did not start: the browser died (exit status 3)"


def test_a_browser_that_hangs_does_not_hang_the_doctor(
    broken_browser: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_browser.write_text("#!/bin/sh\nexec sleep 1000\n")
    monkeypatch.setattr(doctor, "GAME_TIMEOUT", 1.0)
    start = time.monotonic()
    assert doctor.main([]) == 1
    assert time.monotonic() - start < 15.0
    assert re.fullmatch(  # the second is that of a busy machine, whose process has not yet asked for the browser
        "missing game the game did not start: (no answer within 1 s|its process did not answer within 4 s)",
        line_of("game", capsys.readouterr().out),
    )


def test_a_check_that_fails_unexpectedly_is_a_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def odd() -> str:
        raise PermissionError("no access")

    monkeypatch.setitem(doctor.CHECKS, "browser", odd)
    assert doctor.main([]) == 1
    assert line_of("browser", capsys.readouterr().out) == "missing browser PermissionError: no access"


def test_help_says_what_the_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main(["--help"])
    assert ended.value.code == 0
    assert "The exit status is 0 if the game can be played" in " ".join(capsys.readouterr().out.split())
