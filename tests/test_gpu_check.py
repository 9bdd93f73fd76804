"""``make gpu-check``: what it measures is compared with its goals, and without a GPU it says so."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="make gpu-check itself runs where there is a GPU")


def test_without_a_gpu_it_says_so_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = gpu_check.WRITTEN.exists()
    assert gpu_check.main([]) == 2
    assert "torch finds no CUDA GPU, so nothing was checked" in capsys.readouterr().err
    assert gpu_check.WRITTEN.exists() == before


def test_every_goal_is_compared_with_what_was_measured() -> None:
    figures = {
        "tests": {"passed": False},
        "updates": {
            "updates_per_second": {"fp32, CUDA graphs": 1001.0, "bf16, CUDA graphs": 900.0},
            "updates_per_second_with_lightning": {"derk": 599.0},
        },
        "simulator": {"million_agent_steps_per_second": {"64": 0.3, "65536": 85.0}},
        "sizes": {"agent_steps_per_second": {1024: 1.0}},
        "goals": {"seconds_to_reach": {"opponents": None, "cheetah_vel": 1200.0}},
    }
    verdicts = [line.partition(":")[0] for line in gpu_check.compared(figures)]
    assert verdicts == ["FAILED", "reached", "MISSED", "reached", "MISSED", "reached"]


def written(path: Path, returns: list[float]) -> None:
    """Metrics of a run: two evaluations of three episodes, with other lines between them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "evaluation/return_0", "evaluation/return_2", "loss/critic"])
        for last in returns:
            rows.writerow([0, 99.0, last, ""])
            rows.writerow([0, "", "", 5.0])


def test_the_return_of_a_run_is_that_of_the_last_episode_in_its_best_evaluation(tmp_path: Path) -> None:
    assert gpu_check.best_return(tmp_path / "metrics.csv") == -float("inf")
    written(tmp_path / "metrics.csv", [])
    assert gpu_check.best_return(tmp_path / "metrics.csv") == -float("inf")
    written(tmp_path / "metrics.csv", [-60.0, -39.5, -45.0])
    assert gpu_check.best_return(tmp_path / "metrics.csv") == -39.5


@pytest.mark.parametrize(("target", "is_reached"), [(-40.0, True), (-30.0, False)])
def test_a_training_is_stopped_when_it_reaches_its_return_or_its_time_is_over(
    tmp_path: Path, target: float, is_reached: bool
) -> None:
    written(tmp_path / "metrics.csv", [-39.5])
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    start = time.monotonic()
    seconds = gpu_check.seconds_to_reach(sleeping, tmp_path / "metrics.csv", target, 2.0)
    assert (seconds is not None) == is_reached
    assert time.monotonic() - start < 30


def test_a_training_that_fails_is_an_error(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    with pytest.raises(RuntimeError, match="the training ended with status 3"):
        gpu_check.seconds_to_reach(failing, tmp_path / "metrics.csv", 0.0, 20.0)


def test_the_error_of_a_part_is_reported_and_the_other_parts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("no memory")

    monkeypatch.setattr(gpu_check, "PARTS", {"sizes": broken, "tests": lambda: {"passed": True}})
    monkeypatch.setattr(gpu_check, "WRITTEN", tmp_path / "gpu.json")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_check, "write_figures", lambda path, figures: path.write_text(json.dumps(figures)))
    assert gpu_check.main(["--only", "sizes", "tests"]) == 1
    assert "FAILED: sizes: no memory\npassed: tests\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu.json").read_text())["tests"] == {"passed": True}


def test_collection_is_measured_in_agent_steps() -> None:
    assert 1e3 < gpu_check.rate_of_process(64, "cpu") < 1e7
