"""In which order a checkpoint is written, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv
from pytorch_lightning import Trainer
from tensordict import TensorDict

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import EpisodeCollector, ReplayCheckpoint
from pearl_lightning.cli import main
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.replay import TaskReplay

pytestmark = pytest.mark.slow

WHOLE = {"random.pt", "index.pt", "meta.json", "observation.memmap", "action.memmap", "reward.memmap"}


@pytest.fixture(scope="module")
def commits(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, set[str]]]]:
    """A run's checkpoint folder, and the files of the side directories there at the moment of each commit."""
    runs = tmp_path_factory.mktemp("runs")
    seen: list[dict[str, set[str]]] = []
    replace = os.replace

    def look_and_replace(source: Any, target: Any) -> None:
        if Path(target).name == "last.ckpt":
            sides = Path(target).parent.glob("last-*-*")
            seen.append({side.name: {p.name for p in side.rglob("*") if p.is_file()} for side in sides})
            assert torch.load(source, weights_only=True)["pearl_replay"]["side"] in seen[-1]
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", look_and_replace)
        options = ["--trainer.max_steps", "4", "--trainer.val_check_interval", "100"]
        assert main(["fit", "--config", str(tiny_config), "--runs_dir", str(runs), *options]) == 0
    return runs / "tiny" / "checkpoints", seen


def test_the_side_directory_is_whole_before_the_commit_and_the_old_one_goes_after_it(
    commits: tuple[Path, list[dict[str, set[str]]]],
) -> None:
    folder, seen = commits
    assert [len(sides) for sides in seen] == [1, 2, 2, 2]
    assert all(files >= WHOLE for sides in seen for files in sides.values())
    assert len(list(folder.glob("last-*-*"))) == 1


def test_a_checkpoint_without_its_side_directory_is_refused(
    commits: tuple[Path, list[dict[str, set[str]]]], tiny_config: Path, tmp_path: Path, capfd: Any
) -> None:
    moved = tmp_path / "run" / "checkpoints" / "last.ckpt"
    moved.parent.mkdir(parents=True)
    shutil.copy(commits[0] / "last.ckpt", moved)
    assert main(["fit", "--config", str(tiny_config), "--ckpt_path", str(moved)]) == 1
    errors = capfd.readouterr().err
    assert "replay directory" in errors
    assert "is missing: keep it next to the .ckpt" in errors


def test_a_replay_of_another_size_is_refused(
    commits: tuple[Path, list[dict[str, set[str]]]], tiny_config: Path, tmp_path: Path, capfd: Any
) -> None:
    shutil.copytree(commits[0], tmp_path / "run" / "checkpoints")
    resume = ["--ckpt_path", str(tmp_path / "run" / "checkpoints" / "last.ckpt"), "--data.episodes_per_task", "9"]
    assert main(["fit", "--config", str(tiny_config), *resume]) == 1
    assert "keep the number of tasks and episodes_per_task to resume" in capfd.readouterr().err


def test_a_replay_larger_than_the_free_space_is_refused_before_it_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = TaskReplay(tasks=1, episodes_per_task=2, horizon=3, recent_context=1, generator=torch.Generator())
    row = {"observation": torch.zeros(1, 4, 1, 2), "action": torch.zeros(1, 4, 1, 1)}
    row |= {name: torch.zeros(1, 4, 1) for name in ("reward", "training_reward")}
    row |= {"terminated": torch.zeros(1, 4, dtype=torch.bool), "task": torch.zeros(1, 4, dtype=torch.long)}
    row["played"] = torch.arange(4).unsqueeze(0) < 3
    replay.extend(TensorDict(row, [1, 4]), is_context=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50))
    with pytest.raises(OSError, match=r"No space left on device: the replay needs \d+ bytes, 50 are free"):
        replay.save(tmp_path / "replay")
    assert not (tmp_path / "replay" / "rows").exists()


def test_a_second_signal_stops_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    callback = ReplayCheckpoint()
    callback._ask_to_stop(signal.SIGINT, None)
    assert "saving a checkpoint after this update, then stopping (SIGINT)" in capfd.readouterr().err
    with pytest.raises(SystemExit) as stop:
        callback._ask_to_stop(signal.SIGTERM, None)
    assert stop.value.code == 143


@pytest.mark.parametrize("every", [0, -3])
def test_an_interval_below_one_is_refused(every: int) -> None:
    with pytest.raises(ValueError, match=f"every_n_updates must be at least 1, got {every}"):
        ReplayCheckpoint(every_n_updates=every)


class Training:
    """Three updates that a ``ReplayCheckpoint`` saves below a folder, to be started or resumed."""

    def __init__(self, folder: Path, max_steps: int = 3) -> None:
        torch.manual_seed(0)
        self.checkpoint = ReplayCheckpoint()
        self.trainer = Trainer(
            max_steps=max_steps,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            default_root_dir=str(folder),
            callbacks=[EpisodeCollector(every_n_updates=2, tasks_per_iteration=4), self.checkpoint],
        )
        self.agent = PEARL(FEATURES, SPACE)
        self.data = MetaBatchDataModule(CountingEnv(), meta_batch=2, transitions=4)

    def fit(self, ckpt_path: Path | None = None) -> dict[str, torch.Tensor]:
        """The networks' state when training has ended."""
        self.trainer.fit(self.agent, self.data, ckpt_path=ckpt_path, weights_only=True)
        return self.agent.state_dict()


def test_a_thread_trains_and_saves_as_the_main_one_does_and_leaves_its_signals_alone(tmp_path: Path) -> None:
    expected = Training(tmp_path / "main").fit()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    training = Training(tmp_path / "thread")
    errors: list[BaseException] = []

    def fit() -> None:
        try:
            training.fit()
        except BaseException as error:  # a thread's own is only printed
            errors.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert not errors
    saved = torch.load(tmp_path / "thread" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert all(torch.equal(value, saved["state_dict"][name]) for name, value in expected.items())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


CUDA_STATE = torch.zeros(16, dtype=torch.uint8)
"""The shape of a CUDA generator's state: seed and offset."""


def spoil(folder: Path, place: str) -> None:
    """Put a CUDA generator's state into a checkpoint, where one of its generators has its own."""
    (side,) = (folder / "checkpoints").glob("last-*-*")
    file = side / "rank-0" / ("replay/index.pt" if place == "the replay" else "random.pt")
    state = torch.load(file, weights_only=True)
    if place == "the replay":
        state["generator"] = CUDA_STATE
    elif place == "the updates":
        state["noise"] = CUDA_STATE
    elif place == "the collector":
        state["callbacks"][0]["generator"] = CUDA_STATE
    else:
        state["env"]["environment"] = CUDA_STATE
    torch.save(state, file)


@pytest.mark.parametrize(
    "place", ["the replay", "the updates", "the collector", "the environment's generator 'environment'"]
)
def test_a_random_state_of_another_device_is_replaced_by_a_fresh_one_and_named(tmp_path: Path, place: str) -> None:
    Training(tmp_path, max_steps=2).fit()
    shutil.copytree(tmp_path, tmp_path / "kept")
    spoil(tmp_path, place)
    resumed = Training(tmp_path)
    with pytest.warns(UserWarning, match="was saved on another type of device than cpu") as told:
        resumed.fit(tmp_path / "checkpoints" / "last.ckpt")
    assert [str(each.message) for each in told if f"the random state of {place} was" in str(each.message)]
    assert resumed.trainer.global_step == 3
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the random state of")
        Training(tmp_path / "kept").fit(
            tmp_path / "kept" / "checkpoints" / "last.ckpt"
        )  # of the same device: read as it is
