"""``pearl fit|validate|test``: the Lightning CLI for an agent and its data."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from jsonargparse import Namespace
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import ReplayCheckpoint
from pearl_lightning.callbacks.progress import UpdateProgress
from pearl_lightning.checkpoints import checkpoint_file, load_checkpoint
from pearl_lightning.commands.config_files import with_config_files
from pearl_lightning.commands.fit_config import CALLBACKS, CLI_SETTINGS, ConfiguredCLI
from pearl_lightning.commands.parser import quiet
from pearl_lightning.commands.run_trainer import RunTrainer, SaveConfig
from pearl_lightning.commands.runs import (
    LOCK,
    SLURM_JOB,
    keep_place,
    limit_reached,
    lock_folder,
    make_folder,
    new_run_folder,
    remember_slurm_job,
    requeued_checkpoint,
    resumed_folder,
)
from pearl_lightning.commands.stored_tasks import STORED_TASKS
from pearl_lightning.hub import is_shared
from pearl_lightning.loggers import MetricsCsv, TensorBoardEvents


class PearlCLI(ConfiguredCLI):
    """Lightning's command line. The environment defines the sizes of the model; runs are in ``runs/<name>``."""

    run_folder: Path
    arguments: Sequence[str]
    """Command line, starting with the command."""
    lock: FileLock | None = None
    """Lock of the run's folder against other processes."""
    checkpoint: dict[str, Any] | None = None
    """Content of the checkpoint that ``--ckpt_path`` names."""
    _scratch: tempfile.TemporaryDirectory[str] | None = None
    """Temporary folder of a run with ``fast_dev_run``, which writes no files."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.arguments, self.config = args, parser.parse_args(args)
        config, is_fit = self.config[self.config.subcommand], self.config.subcommand == "fit"
        runs, given = Path(config.runs_dir), config.ckpt_path
        if given is None and is_fit and (requeued := requeued_checkpoint(runs, config.name, args)):
            print(f"pearl: SLURM has requeued this job: resuming {requeued}", file=sys.stderr)
            given = str(requeued)
        if given is not None and is_fit and is_shared(given):
            raise ValueError(
                f"ckpt_path must be a checkpoint of a run on this machine, got {given}: an agent on the Hub cannot be "
                "trained further, because it has neither replay nor optimizers"
            )
        if given is not None:
            path = checkpoint_file(given, runs / config.name)
            config.ckpt_path, self.checkpoint = str(path), load_checkpoint(path)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would replace the given model settings by the checkpoint's."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.threads < 0:
            raise ValueError(f"threads must be at least 0, got {config.threads}")
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.set_float32_matmul_precision(config.matmul_precision)
        _require_own_root(config)
        self.run_folder = self._run_folder(config)

    def _run_folder(self, config: Namespace) -> Path:
        """Folder that the command writes to. For training it is the resumed run's or a new one, and it is locked."""
        if config.trainer.fast_dev_run:
            self._scratch = tempfile.TemporaryDirectory(prefix="pearl-fast-dev-run-")
            return Path(self._scratch.name)
        runs = Path(config.runs_dir)
        if self.subcommand != "fit":
            folder = runs / config.name / str(self.subcommand)
            make_folder(folder, runs)
            return folder
        resumed = resumed_folder(Path(config.ckpt_path)) if config.ckpt_path else None
        if resumed is not None:
            keep_place(config, resumed, self.arguments)
            self.lock = lock_folder(resumed)
            return resumed
        folder = new_run_folder(runs, config.name)
        self.lock = lock_folder(folder)
        if self.lock is not None:
            remember_slurm_job(folder, self.arguments)
        return folder

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
            self.model.run_folder = str(self.run_folder.resolve())
        except BaseException:
            self._leave_folder()
            self._end_scratch()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Create the trainer. It writes to the run's folder; a custom progress bar replaces the default one."""
        trainer = self.config_init[self.subcommand].trainer
        kwargs["logger"] = self._loggers(trainer.logger)
        given = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        if any(isinstance(callback, ProgressBar) for callback in given):
            kwargs["enable_progress_bar"] = (
                True  # the setting refers to the default bar; Lightning does not accept both
            )
        elif trainer.enable_progress_bar is not False:
            self.trainer_defaults["callbacks"] = [UpdateProgress()]
        return super().instantiate_trainer(default_root_dir=str(self.run_folder), **kwargs)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback | None]) -> Trainer:  # type: ignore[override]
        """Create the trainer with the callbacks in the order of ``CALLBACKS``; custom ones precede the checkpoint."""
        evaluation, collector, checkpoint, summary = callbacks
        given = config["callbacks"] or []
        custom = given if isinstance(given, list) else [given]
        for key, kind in CALLBACKS.items():
            if any(isinstance(each, kind) for each in custom):
                raise ValueError(f"trainer.callbacks must not contain a {kind.__name__}: set {key} instead")
        ordered = (evaluation, collector, *custom, checkpoint, summary)
        config["callbacks"] = [callback for callback in ordered if callback is not None]
        return super()._instantiate_trainer(config, [])

    def _loggers(self, given: Logger | list[Logger] | bool | None) -> list[Logger]:
        """Return the loggers of the run's folder and those of ``trainer.logger``; none if that is False."""
        if given is False:
            return []
        config, folder = self.config[self.subcommand], str(self.run_folder)
        own: list[Logger] = []
        if config.log_csv:
            first_step = self.checkpoint["global_step"] if self.subcommand == "fit" and self.checkpoint else 0
            own.append(MetricsCsv(folder, first_step))
        if config.log_tensorboard:
            own.append(TensorBoardEvents(folder))
        return own + (given if isinstance(given, list) else [given] if isinstance(given, Logger) else [])

    def fit(self, **kwargs: Any) -> None:
        """Train; a run that is stopped prints the command that resumes it."""
        if self.checkpoint is not None and (limit := limit_reached(self.trainer, self.checkpoint)):
            print(f"pearl: nothing to do: {limit}", file=sys.stderr)
        try:
            self._run(self.trainer.fit, **kwargs)
        except (KeyboardInterrupt, SystemExit) as stop:
            if self.trainer.is_global_zero:
                sys.stderr.write(f"pearl: {self._how_to_resume()}\n")
            sys.exit(stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT)
        finally:
            self._leave_folder()

    def _leave_folder(self) -> None:
        """Delete the run's folder if the run never started, and release its lock."""
        if self.lock is None:
            return
        made_before_it_begins = {"config.yaml", STORED_TASKS, LOCK, SLURM_JOB}
        if {path.name for path in self.run_folder.glob("*")} <= made_before_it_begins:
            shutil.rmtree(self.run_folder, ignore_errors=True)
        self.lock.release()

    def validate(self, **kwargs: Any) -> None:
        """Play the validation tasks."""
        self._run(self.trainer.validate, **kwargs)

    def test(self, **kwargs: Any) -> None:
        """Play the test tasks."""
        self._run(self.trainer.test, **kwargs)

    def _run(self, loop: Any, **kwargs: Any) -> None:
        """Run a loop of Lightning and set the exit status after a signal, which Lightning does not do.

        The environment is closed even if Lightning skips its tear-down hooks after an error or a signal.
        """
        try:
            loop(weights_only=True, **kwargs)
        except SIGTERMException:
            sys.exit(128 + signal.SIGTERM if self.trainer.is_global_zero else 0)  # as in ReplayCheckpoint
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise stop.__context__ from None
            raise
        finally:
            self.datamodule.teardown(str(self.subcommand))
            self._end_scratch()

    def _end_scratch(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def _how_to_resume(self) -> str:
        """Line with the last saved update of a stopped run and the command that resumes it."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        checkpoint = next((c for c in callbacks if isinstance(c, ReplayCheckpoint)), None)
        if checkpoint is None:
            return "stopped; nothing was saved, because checkpoint is null"
        if checkpoint.last is None:
            return "stopped before anything was saved; start it again with the same command"
        command = ["pearl", "fit", "--config", self.run_folder / "config.yaml", "--ckpt_path", checkpoint.last]
        return f"stopped after update {checkpoint.saved_step}; resume with: {shlex.join(map(str, command))}"


def _require_own_root(config: Namespace) -> None:
    """Raise an error if ``default_root_dir`` is not the run's folder; remove it from the config that is saved."""
    root, config.trainer.default_root_dir = config.trainer.default_root_dir, None
    folders = [Path(config.runs_dir) / config.name]
    folders += [Path(config.ckpt_path).parent.parent] if config.ckpt_path else []
    if root is not None and Path(root).resolve() not in [folder.resolve() for folder in folders]:
        raise ValueError(
            f"trainer.default_root_dir must not be set, because a run's folder is runs_dir/name ({folders[0]}): "
            f"set --runs_dir or --name instead, got {root}"
        )


def fit(arguments: list[str]) -> None:
    """Train."""
    run("fit", arguments)


def validate(arguments: list[str]) -> None:
    """Play the validation tasks."""
    run("validate", arguments)


def test(arguments: list[str]) -> None:
    """Play the test tasks."""
    run("test", arguments)


def run(command: str, arguments: list[str]) -> None:
    """Parse the arguments of a command and run it."""
    quiet()
    PearlCLI(
        **CLI_SETTINGS,
        parser_kwargs={command: _help(command)},
        args=[command, *with_config_files(arguments)],
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        trainer_class=RunTrainer,
        trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False, "use_distributed_sampler": False},
    )


_WORK = {
    "fit": "Meta-train an agent.",
    "validate": "Play the validation tasks with a checkpoint.",
    "test": "Play the test tasks with a checkpoint.",
}


def _help(command: str) -> dict[str, str]:
    """First part of the help of a command."""
    return {
        "usage": f"pearl {command} --config NAME [--config NAME ...] [--ckpt_path FILE] [--OPTION VALUE ...]",
        "description": f"{_WORK[command]} NAME is a config file or the name of a ready-made config (see pearl "
        "configs). A config can contain all options; later configs override earlier ones. "
        f"To list the settings of a class: pearl {command} --model.help {PEARL.__name__}",
    }
