"""``pearl fit|validate|test``: the Lightning CLI over PEARL and its data."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from pearl_lightning.data import MetaBatchDataModule
from pearl_lightning.pearl import PEARL


class PearlCLI(LightningCLI):
    """LightningCLI whose model takes its sizes from the data's environment, and whose runs lie in ``runs/<name>``."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="The run's folder below runs_dir.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Where runs are kept.")
        parser.add_argument("--threads", type=int, default=0, help="Threads of torch; 0 leaves its default.")
        parser.link_arguments("data.env", "model.observation_features", _features, apply_on="instantiate")
        parser.link_arguments("data.env", "model.action_space", _action_space, apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.threads < 0:
            raise ValueError(f"threads must be at least 0, got {config.threads}")
        if config.threads:
            torch.set_num_threads(config.threads)
        folder = run_folder(Path(config.runs_dir), config.name, config.get("ckpt_path"), str(self.subcommand))
        self.run_folder = folder
        place = {"save_dir": str(folder.parent), "name": folder.name, "version": ""}
        config.trainer.default_root_dir = str(folder)
        config.trainer.logger = [
            Namespace(
                class_path="pytorch_lightning.loggers.CSVLogger",
                init_args=Namespace(**place, flush_logs_every_n_steps=50),
            ),
            Namespace(class_path="pytorch_lightning.loggers.TensorBoardLogger", init_args=Namespace(**place)),
        ]


def run_folder(runs: Path, name: str, ckpt_path: str | None, command: str) -> Path:
    """Where a run writes: the folder of the checkpoint it resumes, or a new one, numbered if the name is taken."""
    if command == "fit" and ckpt_path and Path(ckpt_path).parent.name == "checkpoints":
        return Path(ckpt_path).parent.parent
    if command != "fit":
        return runs / name / command
    folder, number = runs / name, 1
    while folder.exists():
        number += 1
        folder = runs / f"{name}-{number}"
    return folder


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` (command first) and run them."""
    _quiet()
    PearlCLI(
        PEARL,
        MetaBatchDataModule,
        subclass_mode_model=False,
        args=arguments,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False, "use_distributed_sampler": False},
    )


def _features(env: Any) -> int:
    return env.features


def _action_space(env: Any) -> dict[str, Any]:
    return env.action_space.state()


def _quiet() -> None:
    """Keep notices that no user can act on off the screen."""
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*exists and is not empty.*",
        r".*Experiment logs directory.*",
        r".*number of training batches.*smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message)
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "off")
