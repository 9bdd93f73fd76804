"""The trainer of a run, and the callback that saves its config and its tasks."""

from __future__ import annotations

from pathlib import Path

import yaml
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.utilities import rank_zero_warn

from pearl_lightning.commands.stored_tasks import STORED_TASKS, check_tasks, store_tasks
from pearl_lightning.experience.data import env_data


class RunTrainer(Trainer):
    """Lightning's trainer, whose callbacks write to the run's folder regardless of the loggers."""

    @property
    def log_dir(self) -> str:
        """Folder of the run as chosen by the first process. All processes must read it at the same time."""
        return self.strategy.broadcast(self.default_root_dir)


class SaveConfig(SaveConfigCallback):
    """Saves ``config.yaml`` and the tasks: before a new run starts, or after the checks of a resumed run have passed.

    Every logger gets the content of ``config.yaml`` as hyperparameters. The saved config does not contain the
    checkpoint of a resumed run, so it can be used for a new run.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.config = self.config.clone()
        self.config.ckpt_path = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # the first process's folder, in all processes
        tasks = env_data(trainer).env.tasks
        check_tasks(tasks, folder)
        if trainer.ckpt_path is None:
            super().setup(trainer, pl_module, "fit")
        if trainer.is_global_zero and not (folder / STORED_TASKS).is_file():
            store_tasks(tasks, folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None:
            super().setup(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config = yaml.safe_load(Path(trainer.default_root_dir, self.config_filename).read_text(encoding="utf-8"))
        for logger in trainer.loggers:
            try:
                logger.log_hyperparams(config)
            except Exception as error:
                if trainer.ckpt_path is None:
                    raise
                # for example, MLflow does not allow changes of a setting
                rank_zero_warn(f"{type(logger).__name__} did not take the settings of the resumed run: {error}")
