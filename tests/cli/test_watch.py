"""``pearl watch``: the shipped agent's match as a file, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from pearl_lightning.cli import main

pytestmark = pytest.mark.slow

ROBOT = Path(__file__).parent.parent.parent / "configs" / "point_robot.yaml"


def test_without_a_checkpoint_the_packages_own_agent_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "--episodes", "2"]) == 0
    printed = capfd.readouterr().out
    assert "episode 1: " in printed
    assert "Wrote match.html" in printed
    assert '"agent":"shipped"' in (tmp_path / "match.html").read_text()


def test_the_suffix_says_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new folder" / "match.gif"
    options = ["--tasks", "loadouts/test", "--task", "3", "--episodes", "1", "--side", "away", "--out", str(out)]
    assert main(["watch", *options]) == 0
    assert Image.open(out).format == "GIF"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "match.avi"], "out must end in .html or .gif or .mp4, got match.avi"),
        (["--backend", "game"], "out must end in .gif or .mp4, got match.html"),
        (["--task", "64"], "task must be an index in the split, in [0, 64), got 64"),
        (["--task", "-1"], "task must be an index in the split, in [0, 64), got -1"),
        (["--tasks", "nowhere/test"], "tasks must name one of the families"),
        (["--episodes", "0"], "episodes must be at least 1, got 0"),
        (["--config", str(ROBOT)], "pearl watch needs an environment that draws pictures, but PointRobot does not"),
        (["--config", str(ROBOT), "--backend", "simulator"], "--backend simulator requires Derk's Gym, but the env of"),
        (["missing.ckpt"], "there is no checkpoint missing.ckpt"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *options]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_video_without_its_encoder_is_refused_before_the_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["watch", "--out", str(tmp_path / "match.mp4")]) == 1
    assert "videos need PyAV: pip install 'pearl-lightning[video]'" in capsys.readouterr().err
