"""The example that searches settings scores runs by what they wrote, and goes on where it was."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from examples import sweep

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


@pytest.fixture
def search(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the example over a tiny training."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def run(*options: str) -> None:
        given = ["sweep.py", "--config", str(tiny_config), "--runs", str(tmp_path / "runs"), *options]
        monkeypatch.setattr("sys.argv", given)
        sweep.main()

    return run


def last_return(run: Path) -> float:
    history = json.loads((run / "adaptation.json").read_text())["history"]
    return history[-1]["table"]["episodes"][-1]["return_mean"]


def test_the_best_of_two_trials_is_the_run_with_the_highest_validation_return(
    search: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search("--trials", "2")
    best = ast.literal_eval(capsys.readouterr().out.splitlines()[-1])
    runs = [tmp_path / "runs" / f"trial-{number}" for number in range(2)]
    model = yaml.safe_load((max(runs, key=last_return) / "config.yaml").read_text())["model"]["init_args"]
    assert best["lr"] == model["optimizers"]["default"]["init_args"]["lr"]
    assert best["kl_weight"] == model["kl_weight"]
    assert best["latent_dim"] == model["encoder"]["init_args"]["latent_dim"]


def test_a_failed_trial_does_not_end_the_search(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "suggest", lambda trial: {"model.sac.discount": 7})
    search("--trials", "2")
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "no trial succeeded"
    assert printed.err.count("discount must be in (0, 1], got 7.0") == 2


def test_an_earlier_searchs_runs_are_not_taken_for_new_ones(
    search: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "trial-0").mkdir(parents=True)
    with pytest.raises(SystemExit):
        search("--trials", "1")
    assert "contains an earlier search: give another folder with --runs" in capsys.readouterr().err


def test_a_stored_search_goes_on(search: Any, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'sweep.db'}"
    for _ in range(2):
        search("--trials", "1", "--updates", "2", "--storage", storage)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"trial-0", "trial-1"}
