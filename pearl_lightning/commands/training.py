"""``pearl fit|validate|test``: the Lightning CLI over an agent and its data."""

from __future__ import annotations

import contextlib
import logging
import shlex
import shutil
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from pearl_lightning.agent import Agent
from pearl_lightning.callbacks import ReplayCheckpoint
from pearl_lightning.callbacks.progress import UpdateProgress
from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.cli import readable
from pearl_lightning.commands.stored_tasks import STORED_TASKS, check_tasks, store_tasks
from pearl_lightning.data import WorldDataModule, world_data
from pearl_lightning.pearl import PEARL

OWN_LOGGERS = "pearl_lightning.loggers."


class PearlParser(LightningArgumentParser):
    """A parser that raises its complaints as one line, without pages of usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ValueError(readable(message)) from ex


class SaveConfig(SaveConfigCallback):
    """Saves ``config.yaml`` and the tasks once the checkpoint is loaded: a resume that is refused leaves both alone."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Nothing yet."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, tasks = Path(trainer.default_root_dir), world_data(trainer).env.tasks
        check_tasks(tasks, folder)
        super().setup(trainer, pl_module, "fit")
        if trainer.is_global_zero and not (folder / STORED_TASKS).is_file():
            store_tasks(tasks, folder)


class PearlCLI(LightningCLI):
    """LightningCLI whose model takes its sizes from the data's environment, and whose runs lie in ``runs/<name>``."""

    run_folder: Path
    checkpoint: dict[str, Any] | None = None
    """What ``--ckpt_path`` names."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        data = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule"}
        return {command: data | {"weights_only"} for command in ("fit", "validate", "test")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="The run's folder below runs_dir.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Where runs are kept.")
        parser.add_argument("--threads", type=int, default=0, help="Threads of torch; 0 leaves its default.")
        parser.link_arguments("data", "model.init_args.observation_features", _features, apply_on="instantiate")
        parser.link_arguments("data", "model.init_args.action_space", _action_space, apply_on="instantiate")
        parser.link_arguments("data", "model.init_args.descriptor_features", _descriptor, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        ckpt_path = self.config[self.config.subcommand].ckpt_path
        if ckpt_path is not None:
            self.checkpoint = load_checkpoint(Path(ckpt_path))

    def _parse_ckpt_path(self) -> None:
        """Lightning would put the checkpoint's model settings in place of the given ones: here the config governs."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.threads < 0:
            raise ValueError(f"threads must be at least 0, got {config.threads}")
        if config.threads:
            torch.set_num_threads(config.threads)
        self.run_folder = run_folder(Path(config.runs_dir), config.name, config.ckpt_path, str(self.subcommand))
        config.trainer.default_root_dir = str(self.run_folder)
        if config.trainer.logger is not False:
            given = config.trainer.logger if isinstance(config.trainer.logger, list) else [config.trainer.logger]
            others = [entry for entry in given if "class_path" in (entry or ()) and not _is_own(entry)]
            first_step = self.checkpoint["global_step"] if self.subcommand == "fit" and self.checkpoint else 0
            config.trainer.logger = [
                _component("MetricsCsv", folder=str(self.run_folder), first_step=first_step),
                _component("TensorBoardEvents", folder=str(self.run_folder)),
                *others,
            ]
        if config.trainer.enable_progress_bar is not False:
            self.trainer_defaults["callbacks"] = [UpdateProgress()]

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except BaseException:
            with contextlib.suppress(OSError):  # not empty: a folder that is resumed
                self.run_folder.rmdir()
            raise

    def fit(self, **kwargs: Any) -> None:
        """Train; who stops it is told how it goes on."""
        try:
            self._run(self.trainer.fit, **kwargs)
        except (KeyboardInterrupt, SystemExit) as stop:
            if self.trainer.is_global_zero:
                sys.stderr.write(f"pearl: {self._how_it_goes_on()}\n")
            sys.exit(stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT)
        except Exception:
            if {path.name for path in self.run_folder.glob("*")} <= {"config.yaml", STORED_TASKS}:  # it never began
                shutil.rmtree(self.run_folder, ignore_errors=True)  # another process may be at it, too
            raise

    def validate(self, **kwargs: Any) -> None:
        """Play the validation tasks."""
        self._run(self.trainer.validate, **kwargs)

    def test(self, **kwargs: Any) -> None:
        """Play the test tasks."""
        self._run(self.trainer.test, **kwargs)

    def _run(self, loop: Any, **kwargs: Any) -> None:
        """Run a loop of Lightning, which on a signal exits with a status that does not tell of it.

        The world is closed even where Lightning skips its tear-down hooks, after an error or a signal.
        """
        try:
            loop(weights_only=True, **kwargs)
        except SIGTERMException:
            sys.exit(128 + signal.SIGTERM if self.trainer.is_global_zero else 0)  # as ReplayCheckpoint does
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise stop.__context__ from None
            raise
        finally:
            self.datamodule.teardown(str(self.subcommand))

    def _how_it_goes_on(self) -> str:
        """What a run that was stopped has saved, and the command that takes it up."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        checkpoint = next((c for c in callbacks if isinstance(c, ReplayCheckpoint)), None)
        if checkpoint is None:
            return "stopped; nothing was saved, for there is no ReplayCheckpoint among the callbacks"
        if checkpoint.last is None:
            return "stopped; nothing was saved yet, so start it again as before"
        command = ["pearl", "fit", "--config", self.run_folder / "config.yaml", "--ckpt_path", checkpoint.last]
        return f"stopped after update {checkpoint.saved_step}; go on with: {shlex.join(map(str, command))}"


def run_folder(runs: Path, name: str, ckpt_path: str | None, command: str) -> Path:
    """Where a run writes: the folder of the checkpoint it resumes, or a new one, numbered if the name is taken.

    A new folder is made at once, so that of two runs started together each gets its own; processes beside the first one
    make none, as Lightning tells them the first one's.
    """
    if command == "fit" and ckpt_path and Path(ckpt_path).parent.name == "checkpoints":
        return Path(ckpt_path).parent.parent
    if command != "fit":
        return runs / name / command
    folder, number = runs / name, 1
    while getattr(rank_zero_only, "rank", 0) == 0:
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
            folder = runs / f"{name}-{number}"
    return folder


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` (command first) and run them."""
    quiet()
    PearlCLI(
        Agent,
        WorldDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        parser_class=PearlParser,
        parser_kwargs={command: _says_what_it_takes(command) for command in PearlCLI.subcommands()},
        args=arguments,
        seed_everything_default=0,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False, "use_distributed_sampler": False},
    )


def _says_what_it_takes(command: str) -> dict[str, str]:
    """The head of a command's help."""
    return {
        "usage": f"pearl {command} --config FILE [--config FILE ...] [--ckpt_path FILE] [--OPTION VALUE ...]",
        "description": "Every option may stand in a config, and later ones override. Ready-made ones: pearl configs. "
        f"The settings of a class: pearl {command} --model.help {PEARL.__module__}.{PEARL.__name__}",
    }


def _component(name: str, **init_args: Any) -> Namespace:
    return Namespace(class_path=OWN_LOGGERS + name, init_args=Namespace(**init_args))


def _is_own(entry: Any) -> bool:
    return entry["class_path"].startswith(OWN_LOGGERS)


def _features(data: WorldDataModule) -> int:
    return data.env.features


def _descriptor(data: WorldDataModule) -> int:
    descriptors = data.env.tasks.descriptors()
    return 0 if descriptors is None else descriptors.shape[1]


def _action_space(data: WorldDataModule) -> dict[str, Any]:
    return data.env.action_space.state()


def quiet() -> None:
    """Keep notices that no user can act on off the screen."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*number of training batches.*smaller than the logging interval.*",
        r"Grad strides do not match bucket view strides.*",
        r".*isinstance\(treespec, LeafSpec\).*",
    ):
        warnings.filterwarnings("ignore", message)
