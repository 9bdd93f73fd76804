"""A run that plays against its own past: its snapshots, its results, and that it resumes exactly."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from pearl_lightning.agent import load_agent
from pearl_lightning.callbacks import SelfPlayPool
from pearl_lightning.cli import main

pytestmark = pytest.mark.no_cover

OVERLAY = """
trainer:
  max_steps: 8
  val_check_interval: 4
  callbacks:
    - class_path: pearl_lightning.callbacks.AdaptationEvaluation
      init_args: {episodes: 1, matches: 1}
    - class_path: pearl_lightning.callbacks.EpisodeCollector
      init_args: {every_n_updates: 2, tasks_per_iteration: 4}
    - class_path: pearl_lightning.callbacks.SelfPlayPool
      init_args: {every_n_updates: 2, kept: 4}
    - class_path: pearl_lightning.callbacks.ReplayCheckpoint
      init_args: {every_n_updates: 1}
data:
  init_args:
    env:
      class_path: pearl_lightning.envs.derk.env.DerkEnv
      init_args:
        arenas: 4
        backend_options: {threads: 1, episode_ticks: 40}
        tasks:
          class_path: pearl_lightning.envs.derk.tasks.OpponentTasks
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


@pytest.mark.parametrize("stop", [CRASH, ["--trainer.max_steps=4"]], ids=["killed", "ended and made longer"])
def test_a_run_against_its_past_resumes_exactly(stop: list[str], tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path / "a") == 0
    assert fit(tiny_config, tmp_path / "b", *stop) == (1 if stop is CRASH else 0)
    assert fit(tiny_config, tmp_path / "b", f"--ckpt_path={tmp_path / 'b' / 'run' / 'checkpoints' / 'last.ckpt'}") == 0
    whole, resumed = (tmp_path / name / "run" for name in "ab")
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
    """What a checkpoint's side directory holds of the pool."""
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
    tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(tiny_config, tmp_path / "b", *CRASH) == 1
    overlay = tmp_path / "overlay.yaml"
    pool = "    - class_path: pearl_lightning.callbacks.SelfPlayPool\n      init_args: {every_n_updates: 2, kept: 4}\n"
    overlay.write_text(OVERLAY.replace(pool, ""))
    last = tmp_path / "b" / "run" / "checkpoints" / "last.ckpt"
    assert main(["fit", f"--config={tiny_config}", f"--config={overlay}", f"--ckpt_path={last}"]) == 1
    assert "written with EpisodeCollector, SelfPlayPool among the callbacks; resume with" in capfd.readouterr().err


def test_a_smaller_pool_keeps_the_latest(tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path / "b", *CRASH) == 1
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(OVERLAY.replace("kept: 4", "kept: 1"))
    last = tmp_path / "b" / "run" / "checkpoints" / "last.ckpt"
    assert main(["fit", f"--config={tiny_config}", f"--config={overlay}", f"--ckpt_path={last}"]) == 0
    state = pool_state(tmp_path / "b" / "run", torch.load(last, weights_only=True))
    assert state["snapshots"] == ["update-00000006.ckpt"]


def test_a_run_that_meets_no_past_self_is_refused(
    tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--trainer.callbacks+=pearl_lightning.callbacks.SelfPlayPool", "--runs_dir", str(tmp_path)]
    assert main(["fit", "--config", str(tiny_config), *options]) == 1
    assert "SelfPlayPool needs tasks of Derk's Gym whose opponent is selves:hard" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["every_n_updates", "kept"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        SelfPlayPool(**{name: 0})
