"""The config governs a resumed run: a changed setting acts, or is refused by name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_resume import assert_same_state, fit, resume

from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

Resume = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def half(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has made ten of its updates."""
    runs = tmp_path_factory.mktemp("half")
    assert fit(tiny_config, runs, "--name", "r", "--trainer.max_steps", "10") == 0
    return runs / "r"


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    """A copy of ``half`` to be resumed."""
    return Path(shutil.copytree(half, tmp_path / "runs" / "r"))


@pytest.fixture
def resumed(run: Path, capfd: pytest.CaptureFixture[str]) -> Resume:
    """Resumes ``run`` by its own config with some options; returns the exit status and what it printed to stderr."""

    def start(*options: str) -> tuple[int, str]:
        status = main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path", str(run), *options])
        return status, capfd.readouterr().err

    return start


def saved(run: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint


LONGER = ["--trainer.max_steps", "12"]


def test_changed_settings_of_an_optimizer_act_and_its_moments_stay(run: Path, resumed: Resume) -> None:
    before = saved(run)["optimizer_states"]
    changes = {"lr": 1e-5, "betas": (0.5, 0.9), "eps": 1e-6, "weight_decay": 0.1}
    options = [
        f"--model.optimizers.default.init_args.{name}={list(v) if isinstance(v, tuple) else v}"
        for name, v in changes.items()
    ]
    assert resumed("--trainer.max_steps", "11", *options)[0] == 0
    after = saved(run)["optimizer_states"]
    for old, new in zip(before, after, strict=True):
        assert {name: new["param_groups"][0][name] for name in changes} == changes
        for index, state in old["state"].items():  # Adam's own rule, from the restored moments
            moved = new["state"][index]
            assert moved["step"] == state["step"] + 1
            gradient = (moved["exp_avg"] - 0.5 * state["exp_avg"]) / 0.5
            expected = 0.9 * state["exp_avg_sq"] + 0.1 * gradient.square()
            torch.testing.assert_close(moved["exp_avg_sq"], expected, rtol=1e-3, atol=1e-9)


def test_the_step_of_a_resumed_run_has_the_size_of_its_new_learning_rate(run: Path, resumed: Resume) -> None:
    before = saved(run)["state_dict"]
    assert resumed("--trainer.max_steps", "11", "--model.optimizers.default.init_args.lr", "1e-7")[0] == 0
    after = saved(run)["state_dict"]
    moved = [(after[name] - before[name]).abs().max() for name in before if not name.startswith("sac.target")]
    assert 0 < max(moved) < 1e-5  # of 0.01 they moved by thousands of times that


def test_another_class_of_optimizer_is_refused_and_the_runs_config_stays(run: Path, resumed: Resume) -> None:
    config = (run / "config.yaml").read_text()
    status, errors = resumed(
        *LONGER, "--model.optimizers.default", "torch.optim.SGD", "--model.optimizers.default.init_args.lr", "0.1"
    )
    assert status == 1
    assert "written with the optimizer torch.optim.adam.Adam; resume with it, not with torch.optim.sgd.SGD" in errors
    assert (run / "config.yaml").read_text() == config


def test_a_setting_that_needs_state_which_was_not_kept_is_refused(resumed: Resume) -> None:
    status, errors = resumed(*LONGER, "--model.optimizers.default.init_args.amsgrad", "true")
    assert status == 1
    assert "amsgrad of torch.optim.adam.Adam cannot change on resume: the checkpoint has no max_exp_avg_sq" in errors


def fixed(value: float) -> list[str]:
    return ["--model.sac.temperature", "FixedTemperature", "--model.sac.temperature.value", str(value)]


def test_a_fixed_temperature_comes_from_the_config(tiny_config: Path, tmp_path: Path) -> None:
    for name, second in (("changed", 0.01), ("kept", 0.5)):
        assert fit(tiny_config, tmp_path, "--name", name, "--trainer.max_steps", "2", *fixed(0.5)) == 0
        resume(tiny_config, tmp_path / name, "--trainer.max_steps", "3", "--name", name, *fixed(second))
    first, second = (saved(tmp_path / name)["state_dict"] for name in ("changed", "kept"))
    actor = [name for name in first if name.startswith("sac.actor")]
    assert not all(torch.equal(first[name], second[name]) for name in actor)
    assert not any("temperature" in name for name in first)


@pytest.mark.parametrize("began_with", [[], fixed(0.5)], ids=["learned", "fixed"])
def test_another_kind_of_temperature_is_refused(
    began_with: list[str], tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fit(tiny_config, tmp_path, "--trainer.max_steps", "2", *began_with) == 0
    then = [] if began_with else fixed(0.5)
    last = ["--ckpt_path", str(tmp_path / "tiny"), "--trainer.max_steps", "3"]
    assert main(["fit", "--config", str(tiny_config), "--runs_dir", str(tmp_path), *last, *then]) == 1
    error = capfd.readouterr().err
    assert error.startswith("pearl: error: the checkpoint does not fit the model: ")
    assert "sac.temperature.log_temperatures" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed_everything", "7"], "seed_everything must be 3, as at the start of the run, got 7"),
        (["--model.sac.temperature.initial", "0.5"], "sac.temperature.initial must be 0.2, as at the start of the run"),
        (["--name", "other"], "name must be r, as in the run in "),
        (["--runs_dir", "elsewhere"], "runs_dir must be "),
        (["--data.env.init_args.tasks.init_args.seed", "1"], "the tasks of the config differ from those in "),
        (["--data.episodes_per_task", "9"], "the saved replay has "),
        (["--data.env.init_args.arenas", "3"], "tasks_per_iteration must divide the 3 arenas"),
        (["--model.encoder.init_args.latent_dim", "3"], "the checkpoint does not fit the model: size mismatch"),
        (["--model.belief.context.next_observation", "true"], "the checkpoint does not fit the model: size mismatch"),
    ],
)  # fmt: skip
def test_what_cannot_change_is_refused_by_name_and_the_runs_config_stays(
    options: list[str], message: str, run: Path, resumed: Resume
) -> None:
    config, metrics = (run / "config.yaml").read_text(), (run / "metrics.csv").read_text()
    status, errors = resumed(*LONGER, *options)
    assert status == 1
    assert errors.startswith("pearl: error: ")
    assert message in errors
    assert (run / "config.yaml").read_text() == config
    assert (run / "metrics.csv").read_text() == metrics


def test_a_collectors_first_iterations_cannot_change(run: Path, resumed: Resume) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["collector"]["init_args"]["initial_iterations"] = 3
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    status, errors = resumed(*LONGER)
    assert status == 1
    assert "initial_iterations must be 2, as at the start of the run, got 3" in errors


def test_more_episodes_per_evaluation_act_and_are_not_compared_with_fewer(run: Path, resumed: Resume) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["evaluation"]["init_args"]["episodes"] = 3
    content["trainer"]["max_steps"] = 20
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    assert resumed() == (0, "")
    history = yaml.safe_load((run / "adaptation.json").read_text())["history"]
    assert [len(point["table"]["episodes"]) for point in history] == [2, 2, 2, 3, 3]
    assert main(["report", str(run)]) == 0


def test_a_runs_config_makes_a_new_run_after_a_resume_as_well(run: Path, resumed: Resume, tmp_path: Path) -> None:
    assert resumed(*LONGER)[0] == 0
    old = saved(run)
    assert yaml.safe_load((run / "config.yaml").read_text())["ckpt_path"] is None
    new = ["--name", "fresh", "--runs_dir", str(run.parent), "--seed_everything", "7", "--trainer.max_steps", "2"]
    assert main(["fit", "--config", str(run / "config.yaml"), *new]) == 0
    assert saved(run.parent / "fresh")["global_step"] == 2
    assert saved(run)["pearl_replay"] == old["pearl_replay"]


@pytest.mark.parametrize("given", ["folder", "checkpoints", "last"])
def test_a_runs_folder_means_its_last_checkpoint(
    given: str, half: Path, run: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = {"folder": run, "checkpoints": run / "checkpoints", "last": "last"}[given]
    assert (
        main(["fit", "--config", str(run / "config.yaml"), "--runs_dir", "runs", "--ckpt_path", str(path), *LONGER])
        == 0
    )
    assert fit(tiny_config, tmp_path / "whole", "--name", "r") == 0
    assert_same_state(tmp_path / "whole" / "r", run)


def test_commands_that_play_take_a_runs_folder(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--episodes", "1", "--matches", "1"]) == 0
    assert f"{run}/evaluation-last" in capfd.readouterr().out
    assert main(["evaluate", str(run.parent)]) == 1
    assert capfd.readouterr().err == f"pearl: error: there is no checkpoint {run.parent}/checkpoints/last.ckpt\n"


def test_best_names_the_best_checkpoint_which_is_played_and_not_resumed(run: Path, resumed: Resume) -> None:
    here = ["--config", str(run / "config.yaml"), "--runs_dir", str(run.parent), "--ckpt_path", "best"]
    assert main(["validate", *here]) == 0
    status = main(["fit", *here, *LONGER])
    assert status == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the run has made 10 of max_steps 10 updates: raise --trainer.max_steps"),
        (["--trainer.max_steps=-1", "--trainer.max_epochs=1"],
         "the run has made 1 of max_epochs 1 epochs: raise --trainer.max_epochs"),
    ],
)  # fmt: skip
def test_a_run_that_has_used_up_its_limit_says_which_to_raise(
    options: list[str], message: str, half: Path, run: Path, resumed: Resume
) -> None:
    assert resumed(*options) == (0, f"pearl: nothing to do: {message}\n")
    assert_same_state(half, run)


def test_a_run_that_ended_with_its_epochs_says_so(tiny_config: Path, tmp_path: Path, capfd: Any) -> None:
    limits = ["--trainer.max_steps=-1", "--trainer.max_epochs=1"]
    assert fit(tiny_config, tmp_path, *limits) == 0
    capfd.readouterr()
    resume(tiny_config, tmp_path / "tiny", *limits)
    said = "pearl: nothing to do: the run has made 1 of max_epochs 1 epochs: raise --trainer.max_epochs\n"
    assert capfd.readouterr().err == said


@pytest.mark.parametrize("place", ["runs/r/checkpoints", "runs/r"])
def test_a_checkpoint_named_from_within_its_folder_resumes_its_run(
    place: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / place)
    given = "last.ckpt" if place.endswith("checkpoints") else "."
    assert main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path", given, *LONGER]) == 0
    assert saved(run)["global_step"] == 12
    assert [path.name for path in run.parent.iterdir()] == ["r"]


def test_a_run_that_has_used_up_its_time_says_so(tiny_config: Path, tmp_path: Path, capfd: Any) -> None:
    limits = ["--trainer.max_steps=-1", "--trainer.max_time", "00:00:00:02"]
    assert fit(tiny_config, tmp_path, *limits) == 0
    capfd.readouterr()
    resume(tiny_config, tmp_path / "tiny", *limits)
    said = r"pearl: nothing to do: the run has trained \d+ of max_time 2 seconds: raise --trainer.max_time\n"
    assert re.fullmatch(said, capfd.readouterr().err)
