"""A run that plays against its own past: its snapshots, its results, and that it resumes exactly."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pearl_lightning.agents.agent import load_agent
from pearl_lightning.cli import main
from pearl_lightning.derk.callbacks import SelfPlayPool

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

OVERLAY = """
trainer:
  max_steps: 8
  val_check_interval: 4
  callbacks: [{class_path: SelfPlayPool, init_args: {every_n_updates: 2, kept: 4}}]
evaluation: {episodes: 1, matches: 1}
collector: {every_n_updates: 2, tasks_per_iteration: 4, initial_iterations: 1}
data:
  env:
    class_path: DerkEnv
    init_args:
      arenas: 4
      backend_options: {threads: 1, episode_ticks: 40}
      tasks:
        class_path: OpponentTasks
        init_args: {styles: ["selves:uniform", idle], new_styles: [], train_tasks: 4, test_tasks: 2}
  updates_per_epoch: 8
"""


def fit(tiny_config: Path, folder: Path, *options: str) -> int:
    overlay = folder / "overlay.yaml"
    folder.mkdir(exist_ok=True)
    overlay.write_text(OVERLAY)
    runs = ["--runs_dir", str(folder), "--name", "run"]
    return main(["fit", "--config", str(tiny_config), "--config", str(overlay), *runs, *options])


CRASH = ["--trainer.callbacks+=probes.CrashAfter", "--trainer.callbacks.init_args.updates=5"]


@pytest.fixture(scope="module")
def whole_run(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the run that was not stopped."""
    runs = tmp_path_factory.mktemp("whole")
    assert fit(tiny_config, runs) == 0
    return runs / "run"


@pytest.fixture(scope="module")
def _crashed_runs(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("crashed")
    assert fit(tiny_config, runs, *CRASH) == 1
    return runs


@pytest.fixture
def crashed(_crashed_runs: Path, tmp_path: Path) -> Path:
    """Folder ``tmp_path / "b" / "run"`` of a run that crashed after five updates, a copy of the test's own."""
    return Path(shutil.copytree(_crashed_runs, tmp_path / "b")) / "run"


@pytest.fixture
def ended(tiny_config: Path, tmp_path: Path) -> Path:
    """Folder ``tmp_path / "b" / "run"`` of a run that ended after four updates."""
    assert fit(tiny_config, tmp_path / "b", "--trainer.max_steps=4") == 0
    return tmp_path / "b" / "run"


@pytest.mark.parametrize("stopped", ["crashed", "ended"])
def test_a_run_against_its_past_resumes_exactly(
    stopped: str, whole_run: Path, tiny_config: Path, request: pytest.FixtureRequest
) -> None:
    whole, resumed = whole_run, request.getfixturevalue(stopped)
    assert fit(tiny_config, resumed.parent, f"--ckpt_path={resumed / 'checkpoints' / 'last.ckpt'}") == 0
    snapshots = [f"update-{update:08d}.ckpt" for update in (2, 4, 6)]
    saved = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, resumed)]
    for name, value in saved[0]["state_dict"].items():
        assert torch.equal(value, saved[1]["state_dict"][name]), name
    pools = [pool_state(run, checkpoint) for run, checkpoint in zip((whole, resumed), saved, strict=True)]
    assert pools[0]["snapshots"] == pools[1]["snapshots"] == snapshots
    result, again = (pool["results"]["selves:uniform"] for pool in pools)
    assert torch.equal(result["played"], again["played"])
    # the collections after updates 4 and 6, of three episodes each in two arenas; the older results have faded once
    assert float(result["played"].sum()) == pytest.approx(0.9 * 6 + 6)
    with (whole / "metrics.csv").open() as file:
        scores = [row["league/score_against_past_selves"] for row in csv.DictReader(file)]
    assert any(scores)
    assert all(0 <= float(score) <= 1 for score in scores if score)


def pool_state(run: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Content of the pool in a checkpoint's side directory."""
    state = torch.load(
        run / "checkpoints" / checkpoint["pearl_replay"]["side"] / "rank-0" / "random.pt", weights_only=True
    )
    [pool] = [each for each in state["callbacks"] if "snapshots" in each]
    return pool


def test_a_snapshot_is_the_agent_as_it_was(tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path / "a", CRASH[0], "--trainer.callbacks.init_args.updates=4") == 1
    run = tmp_path / "a" / "run"
    last = load_agent(run / "checkpoints" / "last.ckpt").state_dict()
    same, earlier = (load_agent(run / "snapshots" / f"update-{n:08d}.ckpt").state_dict() for n in (4, 2))
    assert all(torch.equal(last[name], same[name]) for name in last)
    assert not all(torch.equal(last[name], earlier[name]) for name in last)


def test_a_run_resumed_without_its_pool_is_refused(
    crashed: Path, tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "overlay.yaml"
    pool = "  callbacks: [{class_path: SelfPlayPool, init_args: {every_n_updates: 2, kept: 4}}]\n"
    assert pool in OVERLAY
    overlay.write_text(OVERLAY.replace(pool, ""))
    last = crashed / "checkpoints" / "last.ckpt"
    assert main(["fit", f"--config={tiny_config}", f"--config={overlay}", f"--ckpt_path={last}"]) == 1
    assert "written with EpisodeCollector, SelfPlayPool among the callbacks; resume with" in capfd.readouterr().err


def test_a_smaller_pool_keeps_the_latest(crashed: Path, tiny_config: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(OVERLAY.replace("kept: 4", "kept: 1"))
    last = crashed / "checkpoints" / "last.ckpt"
    assert main(["fit", f"--config={tiny_config}", f"--config={overlay}", f"--ckpt_path={last}"]) == 0
    state = pool_state(crashed, torch.load(last, weights_only=True))
    assert state["snapshots"] == ["update-00000006.ckpt"]


def test_a_run_that_meets_no_past_self_is_refused(
    tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--trainer.callbacks+=SelfPlayPool", "--runs_dir", str(tmp_path)]
    assert main(["fit", "--config", str(tiny_config), *options]) == 1
    assert "SelfPlayPool needs tasks of Derk's Gym whose opponent is selves:hard" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["every_n_updates", "kept"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        SelfPlayPool(**{name: 0})
