"""A run that is stopped and resumed is, bit for bit, the run that was not stopped."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

UNEQUAL = {"epoch_progress"}
"""Lightning counts an epoch that a resumed run finds at its end in another way; ``epoch`` itself is compared."""


def fit(config: Path, runs: Path, *options: str) -> int:
    return main(["fit", "--config", str(config), "--runs_dir", str(runs), *options])


def resume(config: Path, run: Path, *options: str) -> None:
    assert fit(config, run.parent, "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), *options) == 0


def probe(name: str, **settings: Any) -> list[str]:
    options = [f"--trainer.callbacks+=probes.{name}"]
    return options + [f"--trainer.callbacks.init_args.{key}={value}" for key, value in settings.items()]


def assert_equal(first: Any, second: Any, where: str = "") -> None:
    """Every tensor, number and name the same, NaN equal to NaN."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first.keys() - UNEQUAL:
            assert_equal(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{where}/{index}")
    else:
        assert first == second or (first != first and second != second), f"{where}: {first} and {second}"


def assert_same_state(first: Path, second: Path, ignored: tuple[str, ...] = ()) -> None:
    """Checkpoints of two runs hold the same networks, optimizers, progress, random states, counters and replay."""
    saved = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (first, second)]
    for name in ("state_dict", "optimizer_states", "global_step", "epoch", "callbacks", "loops"):
        if name not in ignored:
            assert_equal(saved[0][name], saved[1][name], name)
    sides = [run / "checkpoints" / s["pearl_replay"]["side"] for run, s in zip((first, second), saved, strict=True)]
    files = [sorted(p.relative_to(side) for p in side.rglob("*") if p.is_file()) for side in sides]
    assert files[0] == files[1]
    assert {file.name for file in files[0]} >= {"random.pt", "index.pt", "observation.memmap", "action.memmap"}
    for file in files[0]:
        if file.suffix == ".pt":
            assert_equal(*(torch.load(side / file, weights_only=True) for side in sides), str(file))
        else:
            assert (sides[0] / file).read_bytes() == (sides[1] / file).read_bytes(), file


@pytest.mark.parametrize(
    "updates",
    [
        pytest.param(3, id="mid-epoch"),
        pytest.param(4, id="after a collection"),
        pytest.param(5, id="after an evaluation"),
        pytest.param(6, id="end of an epoch"),
    ],
)
def test_a_run_killed_and_resumed_equals_one_that_was_not(
    updates: int, whole: Path, tiny_config: Path, tmp_path: Path
) -> None:
    assert fit(tiny_config, tmp_path, *probe("CrashAfter", updates=updates)) == 1
    resume(tiny_config, tmp_path / "tiny")
    assert_same_state(whole, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


EVERYTHING = """
trainer: {precision: bf16-mixed}
collector: {demonstrated_episodes: 1, demonstrator: probes.Wanderer}
model:
  belief:
    context: {next_observation: true, stride: 2}
    condition: PosteriorCondition
    observe_every: 5
    resample_every: 3
  auxiliary:
    - {class_path: Reconstruction, init_args: {hidden: [8]}}
    - TaskInference
data: {n_steps: 3}
"""


def test_demonstrations_auxiliary_losses_and_beliefs_within_episodes_resume_exactly(
    tiny_config: Path, tmp_path: Path
) -> None:
    overlay = tmp_path / "everything.yaml"
    overlay.write_text(EVERYTHING)
    options = ["--config", str(overlay)]
    assert fit(tiny_config, tmp_path / "a", *options) == 0
    assert fit(tiny_config, tmp_path / "b", *options, *probe("CrashAfter", updates=5)) == 1
    resume(tiny_config, tmp_path / "b" / "tiny", *options)
    assert_same_state(tmp_path / "a" / "tiny", tmp_path / "b" / "tiny")


SHORT_LOCOMOTION = """
trainer: {max_steps: 8, val_check_interval: 4, enable_progress_bar: false}
collector: {every_n_updates: 3, tasks_per_iteration: 2, initial_iterations: 1}
checkpoint: {every_n_updates: 2}
evaluation: {episodes: 2, figures: false}
summary: null
model: {encoder: {hidden: [8]}, sac: {actor: {hidden: [8]}, critic: {hidden: [8]}}}
data: {env: {init_args: {arenas: 2, horizon: 12, threads: 2}}, meta_batch: 2, transitions: 4}
"""


@pytest.mark.parametrize("family", ["ant_dir", "hopper_params"])
def test_a_mujoco_run_killed_and_resumed_equals_one_that_was_not(family: str, tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the extra mujoco")
    overlay = tmp_path / "short.yaml"
    overlay.write_text(SHORT_LOCOMOTION)
    configs = ["--config", "locomotion", "--config", f"mujoco/{family}", "--config", str(overlay)]
    runs = [tmp_path / name for name in "ab"]
    assert main(["fit", *configs, "--runs_dir", str(runs[0])]) == 0
    assert main(["fit", *configs, "--runs_dir", str(runs[1]), *probe("CrashAfter", updates=5)]) == 1
    last = runs[1] / family / "checkpoints" / "last.ckpt"
    assert main(["fit", *configs, "--runs_dir", str(runs[1]), "--ckpt_path", str(last)]) == 0
    assert_same_state(runs[0] / family, runs[1] / family)
    assert len({(run / family / "metrics.csv").read_text() for run in runs}) == 1


GYMNASIUM = """
data:
  env:
    class_path: GymnasiumEnv
    init_args:
      id: CartPole-v1
      arenas: 4
      horizon: 20
      tasks:
        class_path: ParameterTasks
        init_args: {choices: {length: [0.2, 2.0]}, train_tasks: 4, validation_tasks: 2, test_tasks: 2}
"""


@pytest.fixture(scope="module")
def gymnasium_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("gymnasium") / "gymnasium.yaml"
    config.write_text(GYMNASIUM)
    return config


@pytest.fixture(scope="module")
def whole_gymnasium(tiny_config: Path, gymnasium_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("whole_gymnasium")
    assert fit(tiny_config, runs, "--config", str(gymnasium_config)) == 0
    return runs / "tiny"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param([], id="sync"),
        pytest.param(["--data.env.vectorization", "async", "--data.env.workers", "2"], id="async"),
    ],
)
def test_a_gymnasium_environment_resumes_exactly_in_one_process_and_in_workers(
    settings: list[str], whole_gymnasium: Path, tiny_config: Path, gymnasium_config: Path, tmp_path: Path
) -> None:
    options = ["--config", str(gymnasium_config), *settings]
    assert fit(tiny_config, tmp_path, *options, *probe("CrashAfter", updates=5)) == 1
    resume(tiny_config, tmp_path / "tiny", *options)
    assert_same_state(whole_gymnasium, tmp_path / "tiny")


def test_the_end_of_an_epoch_that_is_also_an_evaluation_resumes_exactly(tiny_config: Path, tmp_path: Path) -> None:
    schedule = ["--data.updates_per_epoch", "4", "--trainer.val_check_interval", "4", "--trainer.max_steps", "8"]
    assert fit(tiny_config, tmp_path / "a", *schedule) == 0
    assert fit(tiny_config, tmp_path / "b", *schedule, *probe("CrashAfter", updates=4)) == 1
    resume(tiny_config, tmp_path / "b" / "tiny", *schedule)
    assert_same_state(tmp_path / "a" / "tiny", tmp_path / "b" / "tiny")
    first, second = ((tmp_path / run / "tiny" / "metrics.csv").read_text() for run in "ab")
    assert first == second


@pytest.mark.parametrize("updates", [7, 8])
def test_a_finished_run_that_is_made_longer_equals_one_that_was_long_from_the_start(
    updates: int, whole: Path, tiny_config: Path, tmp_path: Path
) -> None:
    assert fit(tiny_config, tmp_path, "--trainer.max_steps", str(updates)) == 0
    resume(tiny_config, tmp_path / "tiny")
    assert_same_state(whole, tmp_path / "tiny")


def test_an_evaluation_changes_nothing_that_is_learned(whole: Path, tiny_config: Path, tmp_path: Path) -> None:
    assert fit(tiny_config, tmp_path, "--trainer.val_check_interval", "3") == 0
    assert_same_state(whole, tmp_path / "tiny", ignored=("callbacks", "loops"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_resumed_run_equals_one_that_was_not_stopped(
    number: signal.Signals, status: int, whole: Path, tiny_config: Path, tmp_path: Path, start_pearl: Any
) -> None:
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", tmp_path, *probe("Slow", seconds=0.2))
    pearl.wait_for_rows(tmp_path / "tiny" / "metrics.csv", 5)
    pearl.process.send_signal(number)
    returned, _, errors = pearl.finish()
    assert returned == status, errors
    saved = torch.load(tmp_path / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    assert 0 < saved["global_step"] < 12
    run = tmp_path / "tiny"
    assert [line for line in errors.splitlines() if line] == [
        f"saving a checkpoint after this update, then stopping ({number.name})",
        f"pearl: stopped after update {saved['global_step']}; resume with: "
        f"pearl fit --config {run}/config.yaml --ckpt_path {run}/checkpoints/last.ckpt",
    ]
    resume(tiny_config, tmp_path / "tiny")
    assert_same_state(whole, tmp_path / "tiny")
    assert (tmp_path / "tiny" / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


def test_a_run_killed_at_any_moment_leaves_a_checkpoint_that_resumes(
    whole: Path, tiny_config: Path, tmp_path: Path, start_pearl: Any, drawn: random.Random
) -> None:
    rows, seconds = drawn.randint(5, 9), 0.1 * drawn.random()
    pearl = start_pearl("fit", "--config", tiny_config, "--runs_dir", tmp_path, *probe("Slow", seconds=0.01))
    pearl.wait_for_rows(tmp_path / "tiny" / "metrics.csv", rows)
    time.sleep(seconds)
    pearl.process.kill()
    assert pearl.finish()[0] == -signal.SIGKILL
    resume(tiny_config, tmp_path / "tiny")
    assert_same_state(whole, tmp_path / "tiny", ignored=("callbacks", "loops"))


def test_a_full_disk_is_said_and_the_checkpoint_before_it_resumes(
    whole: Path, tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    full = probe("FullDiskAfter", updates=7, limit=20_000)  # bytes: less than last.ckpt has
    assert fit(tiny_config, tmp_path, "--trainer.logger", "false", *full) == 1
    errors = capfd.readouterr().err
    assert re.fullmatch(r"pearl: error: cannot write the checkpoint of update 8 to \S+ \(\d+ MiB free\): .*\n", errors)
    checkpoints = tmp_path / "tiny" / "checkpoints"
    saved = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 7
    assert {p.name for p in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt", saved["pearl_replay"]["side"]}
    resume(tiny_config, tmp_path / "tiny")
    assert_same_state(whole, tmp_path / "tiny")
