"""Each wrong input gives an error of one line that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pearl_lightning import commands
from pearl_lightning.cli import main, readable
from pearl_lightning.derk import commands as derk_commands

FitError = Callable[..., str]


@pytest.fixture
def fit_error(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> FitError:
    """The one line on stderr of a ``pearl fit`` that fails."""
    monkeypatch.chdir(tmp_path)

    def error(*options: str) -> str:
        assert main(["fit", "--config", str(tiny_config), *options]) == 1
        errors = capfd.readouterr().err
        assert re.fullmatch(r"pearl: error: [^\n]+\n", errors)
        return errors.removeprefix("pearl: error: ").rstrip()

    return error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_stepz", "4"], "unrecognized arguments: --trainer.max_stepz 4"),
        (["--optimizer", "Adam"], "unrecognized arguments: --optimizer Adam"),
        (["--data.meta_batch", "many"], "data.meta_batch: Expected int. Got value: many"),
        (["--data.meta_batch", "0"], "meta_batch must be at least 1, got 0"),
        (["--model.sac.discount", "7"], "discount must be in (0, 1], got 7.0"),
        (
            [
                "--model.auxiliary+=TaskInference",
                "--model.auxiliary.init_args.informed_share=2",
            ],
            "informed_share must be in [0, 1], got 2.0",
        ),
        (["--model.kl_weight", "-1"], "kl_weight must be at least 0 and finite, got -1.0"),
        (["--checkpoint.every_n_updates", "0"], "every_n_updates must be at least 1, got 0"),
        (["--trainer.max_steps", "-5"], "You passed in -5"),
        (["--threads", "-1"], "threads must be at least 0, got -1"),
        (["--model.encoder.init_args.hiden", "[8]"], "model.encoder: Option 'hiden' is not accepted"),
        (["--model.encoder.class_path", "foo.Bar"], "model.encoder: No module named 'foo'"),
        (
            ["--data.env.class_path", "torch.nn.Linear"],
            "torch.nn.Linear does not correspond to a subclass of MetaEnv",
        ),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--ckpt_path", "missing.ckpt"], "there is no checkpoint missing.ckpt"),
    ],
)
def test_a_wrong_setting_is_named_on_one_line(fit_error: FitError, options: list[str], message: str) -> None:
    assert message in fit_error(*options)
    assert not list(Path().rglob("*.csv"))
    assert not list(Path("runs").glob("*"))


def test_an_unknown_key_in_a_config_is_named(fit_error: FitError, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("data:\n  meta_bach: 3\n")
    assert fit_error("--config", "wrong.yaml") == "data: Option 'meta_bach' is not accepted"


@pytest.mark.parametrize("content", [b"junk", b"", b"data: [1, 2]\n"])
def test_a_file_that_is_no_checkpoint_is_refused(fit_error: FitError, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "junk.ckpt").write_bytes(content)
    assert fit_error("--ckpt_path", "junk.ckpt").startswith("junk.ckpt is not a checkpoint")


def test_a_checkpoint_of_something_else_is_refused(fit_error: FitError, tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    assert fit_error("--ckpt_path", "other.ckpt").startswith("other.ckpt is not a checkpoint of an agent")


def test_losses_that_are_not_finite_end_the_run_on_one_line(fit_error: FitError) -> None:
    options = ["--trainer.callbacks+=probes.NotANumber", "--trainer.callbacks.init_args.updates=2"]
    assert fit_error(*options).startswith("the losses of update 2 are not finite: loss/critic=")


def test_a_family_without_validation_tasks_is_refused_before_anything_is_played(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).parents[2] / "configs" / "derk.yaml"
    none = ["--data.env.init_args.tasks.init_args.validation_tasks", "0"]
    assert main(["fit", "--config", str(config), "--runs_dir", str(tmp_path / "runs"), *none]) == 1
    assert "requires validation tasks, but LoadoutTasks has none" in capfd.readouterr().err
    assert not list((tmp_path / "runs").iterdir())


def test_an_unknown_command_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fti"]) == 2
    assert capfd.readouterr().err == "pearl: error: unknown command 'fti'; see pearl --help\n"


def test_a_traceback_is_shown_on_demand(tiny_config: Path) -> None:
    with pytest.raises(ValueError, match="threads must be at least 0"):
        main(["fit", "--config", str(tiny_config), "--traceback", "--threads", "-1"])


def test_help_lists_every_command_that_runs_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """A command runs if it refuses an unknown option by itself; the candidates are the names of all modules."""
    folders = [Path(package.__file__).parent for package in (commands, derk_commands)]
    assert main([]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if re.match(r"  \w", line)}
    modules = {path.stem for folder in folders for path in folder.glob("*.py")}
    runs = {name for name in modules | listed if main([name, "--no-such-option"]) == 1}
    assert listed == runs
    assert {"fit", "validate", "test", "evaluate", "doctor"} <= runs


def test_a_checkpoint_that_does_not_fit_is_told_by_its_first_difference() -> None:
    told = "Error(s) in loading state_dict for PEARL:\n\tsize mismatch for a: shape [8] from checkpoint.\n\tsize b."
    assert readable(told) == "the checkpoint does not fit the model: size mismatch for a: shape [8] from checkpoint"
