"""Plays tasks that are not trained on before, during and after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.agent import Agent
from pearl_lightning.callbacks.collector import collectors
from pearl_lightning.callbacks.timing import Timed, timed
from pearl_lightning.data import world_data
from pearl_lightning.evaluation import AdaptationResult, evaluate_adaptation, format_table, write_json
from pearl_lightning.loggers import TensorBoardEvents
from pearl_lightning.plots import plot_adaptation, plot_belief, plot_curve
from pearl_lightning.progress_bar import progress_bar


class AdaptationEvaluation(Timed, Callback):
    """Return (and win rate) on the validation tasks by number of episodes seen, at every validation.

    Settings and checkpoints may be chosen by them; ``pearl test`` plays the test tasks. The trainer's
    ``val_check_interval`` says how often; an evaluation before the first update is always made. It plays in the data
    module's environment, whose tasks and random state are put back, so that evaluating changes no run. At the end,
    ``adaptation.json``, ``adaptation.png``, ``belief.png`` and ``curve.png`` lie in the run's folder.

    Args:
        episodes: Episodes per task, at least 1.
        matches: Independent adaptations per task, at least 1.
        deterministic: Play the policy's mode rather than a sample.
        seed: Fixes the evaluation: starts and draws are the same each time.
    """

    def __init__(self, episodes: int = 3, matches: int = 4, deterministic: bool = True, seed: int = 0) -> None:
        for name, value in (("episodes", episodes), ("matches", matches)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.episodes, self.matches, self.deterministic, self.seed = episodes, matches, deterministic, seed
        self.env_steps = 0  # played by evaluations, beside those of the collector
        self.history: list[dict[str, Any]] = []
        self.last: AdaptationResult | None = None

    @timed
    def evaluate(self, trainer: Trainer, pl_module: LightningModule, split: str = "validation") -> dict[str, float]:
        """Play the tasks of a split, ``validation`` or ``test``; returns the metrics."""
        env = world_data(trainer).env
        watched = trainer.progress_bar_callback is not None and trainer.is_global_zero
        with progress_bar(f"{split} tasks", "episodes", watched) as progress:
            self.last = evaluate_adaptation(
                env,
                cast(Agent, pl_module),
                self._tasks(trainer, split),
                episodes=self.episodes,
                matches=self.matches,
                deterministic=self.deterministic,
                seed=self.seed,
                progress=progress,
            )
        self.env_steps += self.last.env_steps
        table = self.last.table()
        metrics = {"evaluation/gain": table["gain"]["mean"], "evaluation/env_steps": float(self.env_steps)}
        for row in table["episodes"]:
            metrics[f"evaluation/return_{row['episode']}"] = row["return_mean"]
            for name in ("win_rate", "z_std", "coverage"):
                if name in row:
                    metrics[f"evaluation/{name}_{row['episode']}"] = row[name]
        self._draw(trainer, table)
        if split == "validation":  # what curves and the best checkpoint go by
            self.history.append({"update": trainer.global_step, "env_steps": self._collected(trainer), "table": table})
        return metrics

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        split = "test" if stage == "test" else "validation"
        if not self._tasks(trainer, split):
            family = type(world_data(trainer).env.tasks).__name__
            raise ValueError(
                f"AdaptationEvaluation plays the {split} tasks, of which {family} has none (past selves give none): "
                "let it have some, or leave the callback out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            metrics = self.evaluate(trainer, pl_module)
            for logger in trainer.loggers:
                logger.log_metrics(metrics | {"env_steps": 0.0}, step=0)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._evaluate_and_log(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluate_and_log(trainer, pl_module, "test")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_dir = trainer.log_dir  # asks every process
        if not trainer.is_global_zero or log_dir is None or not self.history:
            return
        folder = Path(log_dir)
        table = self.history[-1]["table"]
        write_json({"history": self.history}, folder / "adaptation.json")
        plot_adaptation(table).savefig(folder / "adaptation.png")
        if self.last is not None and self.last.trace is not None:
            plot_belief(self.last).savefig(folder / "belief.png")
        steps = [point["env_steps"] for point in self.history]
        series = {
            f"after {row['episode']} episodes": [
                p["table"]["episodes"][row["episode"]]["return_mean"] for p in self.history
            ]
            for row in table["episodes"]
        }
        plot_curve(steps, series, x_label="environment steps", y_label="return on validation tasks").savefig(
            folder / "curve.png"
        )
        print("\nAdaptation on validation tasks:\n" + format_table(table))

    def state_dict(self) -> dict[str, Any]:
        return {"env_steps": self.env_steps, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.env_steps, self.history = state_dict["env_steps"], state_dict["history"]

    def _evaluate_and_log(self, trainer: Trainer, pl_module: LightningModule, split: str = "validation") -> None:
        metrics = self.evaluate(trainer, pl_module, split)
        pl_module.log_dict(metrics | {"env_steps": float(self._collected(trainer))}, sync_dist=True)

    @staticmethod
    def _tasks(trainer: Trainer, split: str) -> range:
        tasks = world_data(trainer).env.tasks
        return tasks.test_indices if split == "test" else tasks.validation_indices

    def _draw(self, trainer: Trainer, table: dict[str, Any]) -> None:
        """The figures, for loggers that take any."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardEvents)]
        if not loggers:
            return
        figures = {"evaluation/adaptation": plot_adaptation(table)}
        if self.last is not None and self.last.trace is not None:
            figures["evaluation/belief"] = plot_belief(self.last)
        for logger in loggers:
            for name, figure in figures.items():
                logger.log_figure(name, figure, max(trainer.global_step - 1, 0))

    @staticmethod
    def _collected(trainer: Trainer) -> int:
        return sum(c.env_steps for c in collectors(trainer))
