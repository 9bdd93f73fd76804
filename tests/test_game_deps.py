"""``make game-deps`` installs the one list of packages where it can, and does nothing where they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pearl_lightning.derk.backends.game import install
from pearl_lightning.derk.backends.game.install import APT_INSTALL, APT_PACKAGES

ROOT = Path(__file__).parent.parent
WITH_BROWSER = "printf '#!/bin/sh\\n' > {0}/chromium; /bin/chmod +x {0}/chromium"
PutCommand = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutCommand:
    """Makes commands, the only ones on ``PATH``; each call becomes a line of the file ``calls``.

    The machine has GL libraries but no browser, and its user is not root.
    """
    for name in ("DERK_CHROME_EXECUTABLE", "REQUIRE_GAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install, "missing_gl_libraries", list)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "calls").touch()

    def put(name: str, commands: str) -> None:
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n{commands}\n')
        script.chmod(0o755)

    put("env", 'shift; exec "$@"')
    return put


def apt_calls(folder: Path) -> list[list[str]]:
    """Commands that apt-get was given, without its options."""
    calls = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return [[word for word in call[1:] if re.match(r"[a-z]", word)] for call in calls if call[0] == "apt-get"]


def test_root_gets_the_packages_and_a_second_call_does_nothing(
    put: PutCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put("apt-get", WITH_BROWSER.format(tmp_path))
    assert install.main() == 0
    assert apt_calls(tmp_path) == [["update"], ["install", *APT_PACKAGES]]
    assert install.main() == 0
    assert len(apt_calls(tmp_path)) == 2


def test_sudo_is_used_where_it_asks_for_no_password(put: PutCommand, tmp_path: Path) -> None:
    put("apt-get", WITH_BROWSER.format(tmp_path))
    put("sudo", "exit 1")
    assert install.main() == 0
    assert apt_calls(tmp_path) == []
    put("true", "exit 0")
    put("sudo", 'shift; exec "$@"')
    assert install.main() == 0
    assert apt_calls(tmp_path) == [["update"], ["install", *APT_PACKAGES]]


@pytest.mark.parametrize("failing", ["no apt-get", "no root", "no network"])
def test_what_cannot_be_installed_is_an_error_only_where_the_game_is_required(
    failing: str, put: PutCommand, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if failing != "no apt-get":
        put("apt-get", "exit 100")
    if failing != "no root":
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    reason = "apt-get update failed" if failing == "no network" else "no apt-get, or no root and no passwordless sudo"
    for required, status in (("0", 0), ("1", 1)):
        monkeypatch.setenv("REQUIRE_GAME", required)
        assert install.main() == status
        assert capfd.readouterr().err.endswith(f"{reason}\n")


def test_missing_gl_libraries_alone_are_installed(
    put: PutCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put("chromium", "exit 0")
    put("apt-get", f": > {tmp_path}/installed")
    monkeypatch.setattr(
        install, "missing_gl_libraries", lambda: [] if (tmp_path / "installed").exists() else ["libEGL.so.1"]
    )
    assert install.main() == 0
    assert apt_calls(tmp_path) == [["update"], ["install", *APT_PACKAGES]]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_test_installs_them_first_and_the_ci_requires_them() -> None:
    command = ["make", "--dry-run", "--assume-old=install", "test"]
    steps = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    installing, testing = (
        next(i for i, step in enumerate(steps) if word in step) for word in ("install.py", "/pytest ")
    )
    assert installing < testing
    assert "REQUIRE_GAME=1 make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_packages_are_listed_in_one_place() -> None:
    """Pages may show the whole command, which must be the one that ``pearl doctor`` prints."""
    for path in [ROOT / "Makefile", ROOT / ".ci" / "run", *(ROOT / "tests").rglob("*.py")]:
        assert APT_PACKAGES[-1] not in path.read_text(), path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for line in path.read_text().splitlines():
            assert APT_PACKAGES[-1] not in line or APT_INSTALL in line, path
