"""Output paths of commands: a path that cannot be written is refused before anything is played."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pearl_lightning.cli import main
from pearl_lightning.commands.entrants import run_of
from pearl_lightning.commands.outputs import output_file


def test_a_file_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    written = tmp_path / "written.json"
    written.write_text("{}")
    assert output_file("json", written, ".json") == written
    assert written.read_text() == "{}"
    new = output_file("json", tmp_path / "folder" / "new.json")
    assert new.parent.is_dir()
    assert not new.exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "--json", "here.json"], "json must name a file, but here.json is a folder"),
        (["evaluate", "--png", "figure"], "png must end in .png, got figure"),
        (["watch", "--out", "here.html"], "out must name a file, but here.html is a folder"),
        (["league", "idle", "random", "--png", "table.svg"], "png must end in .png, got table.svg"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_match(
    command: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("here.json", "here.html"):
        Path(name).mkdir()
    monkeypatch.setattr("pearl_lightning.experience.rollout._play_once", lambda *_: pytest.fail("a match was played"))
    assert main(command) == 1
    assert capsys.readouterr().err == f"pearl: error: {message}\n"


def test_a_snapshot_of_self_play_is_of_its_run(tmp_path: Path) -> None:
    snapshot = tmp_path / "strong" / "snapshots" / "update-00000500.ckpt"
    assert run_of(snapshot) == ("strong", tmp_path / "strong", tmp_path / "strong" / "config.yaml")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = "import sys; from pearl_lightning.cli import main; sys.exit(main(['configs']))"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, b"")


def test_a_resume_that_is_refused_leaves_no_folder(
    one_update: Path, tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path), "--trainer.max_steps"]
    moved = (one_update / "checkpoints" / "last.ckpt").rename(tmp_path / "moved.ckpt")
    assert main([*fit, "2", "--ckpt_path", str(moved)]) == 1
    assert "replay directory" in capsys.readouterr().err
    assert not (tmp_path / "tiny-2").exists()
