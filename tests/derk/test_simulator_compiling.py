"""The first compilation of the simulator: what a user sees of it, and where its result is kept."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pearl_processes import without_coverage

from pearl_lightning.derk.backends.simulator import compiling
from pearl_lightning.derk.backends.simulator.compiling import CompilationNotice

PROGRAM = """
import numba.core.caching as caching

def fail(self):
    raise OSError("read-only")

for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator):
    locator.ensure_cache_path = fail
from pearl_lightning.derk.backends.simulator import cpu
from pearl_lightning.derk.backends.simulator.rules import Settings
from pearl_lightning.derk.backends.simulator.state import MatchState
from pearl_lightning.derk.backends.simulator.terrain import flat_terrain
import torch
settings = Settings(8, 1200, False, True, False, False)
cpu.CpuRunner(flat_terrain(), settings, 1).face(MatchState(1, torch.device("cpu"), False))
print(cpu._face.stats.cache_path, sum(cpu._face.stats.cache_hits.values()))
"""


class Screen(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def shown(monkeypatch: pytest.MonkeyPatch, is_terminal: bool, parts: dict[str, float]) -> tuple[str, float]:
    """Messages while parts take some seconds each, and the seconds in the last message."""
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(compiling, "PATIENCE", 0.05)
    with CompilationNotice() as notice:
        for part, seconds in parts.items():
            notice.begin(part)
            time.sleep(seconds)
    return screen.getvalue(), notice.seconds


def test_a_terminal_gets_one_line_that_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    text, seconds = shown(monkeypatch, True, {"face (1 of 2)": 0.3, "step (2 of 2)": 0.9})
    *states, last = text.split("\r\x1b[K")[1:]
    assert len(states) > 4  # of the line, about one in 0.05 s
    assert states[0] == "compiling the simulator, once per installation: face (1 of 2), 0 s"
    assert states[-1].startswith("compiling the simulator, once per installation: step (2 of 2), ")
    assert 1 <= int(states[-1].split()[-2]) <= round(seconds)
    assert last == f"compiled the simulator in {seconds:.0f} s\n"
    assert 1.2 <= seconds < 10


def test_a_file_gets_a_line_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    text, seconds = shown(monkeypatch, False, {"face (1 of 2)": 0.3, "step (2 of 2)": 0.3})
    face, step, end = text.splitlines()
    assert face == "compiling the simulator, once per installation: face (1 of 2), 0 s"
    before, elapsed = step.rsplit(", ", 1)
    assert before == "compiling the simulator, once per installation: step (2 of 2)"
    assert 0 <= int(elapsed.removesuffix(" s")) <= round(seconds)  # a busy machine sleeps longer than it is told to
    assert end == f"compiled the simulator in {seconds:.0f} s"


def test_what_is_only_loaded_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(is_terminal=True)
    monkeypatch.setattr(sys, "stderr", screen)
    with CompilationNotice() as notice:
        notice.begin("face (1 of 1)")
    assert (screen.getvalue(), notice.seconds) == ("", 0.0)


def run(temporary: Path) -> subprocess.CompletedProcess[str]:
    """A process that can write its compiled code into the temporary folder only."""
    environment = {name: value for name, value in without_coverage().items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
def test_without_a_cache_folder_a_temporary_one_is_named_and_found_again(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    (folder,) = tmp_path.glob("pearl-lightning-*")
    assert f"the compiled simulator is stored in {folder}; set NUMBA_CACHE_DIR to change this" in first.stderr
    assert first.stdout.split() == [str(next(folder.iterdir())), "0"]
    assert (second.stderr, second.stdout.split()[1]) == ("", "1")  # loaded, without another word


@pytest.mark.slow
def test_a_temporary_folder_that_others_can_write_to_is_not_read(tmp_path: Path) -> None:
    """A cache is unpickled."""
    planted = tmp_path / f"pearl-lightning-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    used = run(tmp_path).stdout.split()[0]
    assert not Path(used).is_relative_to(planted)
    assert Path(used).is_relative_to(tmp_path)
    assert not list(planted.iterdir())
