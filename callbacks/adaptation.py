"""Evaluates the agent on held-out tasks before, during and after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pytorch_lightning import LightningModule, Trainer

from pearl_lightning.agents.agent import Agent
from pearl_lightning.callbacks.collector import require_experience
from pearl_lightning.callbacks.per_agent import PerAgent
from pearl_lightning.callbacks.timing import timed
from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.evaluation import (
    AdaptationResult,
    AdaptationTable,
    Evaluation,
    adaptation_sentence,
    format_table,
    write_history,
)
from pearl_lightning.evaluation.plots import plot_adaptation, plot_belief, plot_curve, protocol_suffix
from pearl_lightning.evaluation.protocol import check_protocol, evaluate_adaptation
from pearl_lightning.evaluation.result import ProtocolName
from pearl_lightning.experience.data import env_data
from pearl_lightning.experience.progress import Progress
from pearl_lightning.media import log_figure, takes_figures
from pearl_lightning.progress_bar import progress_bar


class AdaptationEvaluation(PerAgent):
    """Evaluates the agent on the validation tasks: return (and win or success rate) by number of episodes seen before.

    Use the validation tasks to choose settings and checkpoints; ``pearl test`` plays the test tasks. There is an
    evaluation before the first update and one every ``val_check_interval`` updates (a setting of the trainer). Tasks
    and random state of the environment are restored afterwards, so evaluations do not change a run. ``Progress``
    contains the evaluations. When training ends, ``adaptation.json``, ``adaptation.png``, ``belief.png`` and
    ``curve.png`` are written to the run's folder.

    Args:
        episodes: Number of episodes per task, at least 1.
        matches: Number of independent adaptations per task, at least 1.
        deterministic: Whether to play the policy's mode instead of a sample; true in the protocol ``pearl``.
        seed: Seed of initial states and samples, which are the same in every evaluation.
        figures: Whether to draw figures: for the loggers at every evaluation, and in the run's folder at the end. This
            can take longer than a short evaluation.
        protocol: ``adaptive``: the belief is updated after each episode, or as often as the agent does. ``pearl``: the
            protocol of Rakelly et al. 2019, to compare returns with published ones. All episodes but the last one
            explore with z from the prior; then the belief is updated with all of them, and the last episode's return is
            the result.

    Raises:
        ValueError: A number is below 1, or a setting contradicts the protocol.
    """

    def __init__(
        self,
        episodes: int = 3,
        matches: int = 4,
        deterministic: bool = True,
        seed: int = 0,
        figures: bool = True,
        protocol: ProtocolName = "adaptive",
    ) -> None:
        for name, value in (("episodes", episodes), ("matches", matches)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.episodes, self.matches, self.deterministic, self.seed = episodes, matches, deterministic, seed
        check_protocol(protocol, episodes, deterministic)
        self.figures, self.protocol = figures, protocol
        self.progress = Progress()  # replaced by that of the data module in setup
        self.start_afresh()

    def start_afresh(self) -> None:
        self.last: AdaptationResult | None = None

    @timed("evaluation")
    def evaluate(self, trainer: Trainer, pl_module: LightningModule, split: str = "validation") -> dict[str, float]:
        """Play the tasks of a split, ``validation`` or ``test``; return the metrics."""
        env, progress = env_data(trainer).env, env_data(trainer).progress
        watched = trainer.progress_bar_callback is not None and trainer.is_global_zero
        with progress_bar(f"{split} tasks", "episodes", watched) as bar:
            self.last = evaluate_adaptation(
                env,
                cast(Agent, pl_module),
                self._tasks(trainer, split),
                episodes=self.episodes,
                matches=self.matches,
                deterministic=self.deterministic,
                protocol=self.protocol,
                seed=self.seed,
                progress=bar,
            )
        progress.evaluation_env_steps += self.last.env_steps
        table = self.last.table()
        metrics = {"evaluation/gain": table.gain.mean, "evaluation/env_steps": float(progress.evaluation_env_steps)}
        metrics |= _metrics(table)
        self._draw(trainer, table)
        if split == "validation":  # curves and the best checkpoint depend on the validation tasks only
            progress.history.append(Evaluation(trainer.global_step, progress.env_steps, table))
        return metrics

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.progress = env_data(trainer).progress
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        if sum(isinstance(callback, AdaptationEvaluation) for callback in callbacks) > 1:
            raise ValueError("callbacks must contain only one AdaptationEvaluation, because a run has one history")
        split = "test" if stage == "test" else "validation"
        if not self._tasks(trainer, split):
            family = type(env_data(trainer).env.tasks).__name__
            raise ValueError(
                f"AdaptationEvaluation requires {split} tasks, but {family} has none (past selves are never among "
                "them): add some, or set evaluation to null"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        require_experience(trainer)  # before an evaluation, which may take long
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
        log_dir = trainer.log_dir  # all processes must read it
        if not trainer.is_global_zero or log_dir is None or not self.progress.history or is_trial(trainer):
            return
        folder = Path(log_dir)
        table = self.progress.history[-1].table
        write_history(self.progress.history, folder / "adaptation.json")
        hidden = env_data(trainer).env.tasks.hidden
        print(f"\nAdaptation on validation tasks:\n{format_table(table)}\n\n{adaptation_sentence(table, hidden)}")
        if self.figures:
            self._save_figures(folder, table)
            print(f"Curve: {folder / 'curve.png'}")

    def _save_figures(self, folder: Path, table: AdaptationTable) -> None:
        plot_adaptation(table).savefig(folder / "adaptation.png")
        if self.last is not None and self.last.trace is not None:
            plot_belief(self.last).savefig(folder / "belief.png")
        points = self.progress.comparable()
        steps = [point.env_steps for point in points]
        series = {
            f"after {row.episode} episodes": [point.table.episodes[row.episode].return_mean for point in points]
            for row in table.episodes
        }
        y_label = f"return on validation tasks{protocol_suffix(table.protocol)}"
        plot_curve(steps, series, x_label="environment steps", y_label=y_label).savefig(folder / "curve.png")

    def state_dict(self) -> dict[str, Any]:
        history = [evaluation.to_json() for evaluation in self.progress.history]
        return {"env_steps": self.progress.evaluation_env_steps, "history": history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.progress.evaluation_env_steps = state_dict["env_steps"]
        self.progress.history = [Evaluation.from_json(entry) for entry in state_dict["history"]]

    def _evaluate_and_log(self, trainer: Trainer, pl_module: LightningModule, split: str = "validation") -> None:
        metrics = self.evaluate(trainer, pl_module, split)
        pl_module.log_dict(metrics | {"env_steps": float(self.progress.env_steps)}, sync_dist=True)

    @staticmethod
    def _tasks(trainer: Trainer, split: str) -> range:
        tasks = env_data(trainer).env.tasks
        return tasks.test_indices if split == "test" else tasks.validation_indices

    def _draw(self, trainer: Trainer, table: AdaptationTable) -> None:
        """Send the figures to every logger that takes figures."""
        if not self.figures or not trainer.is_global_zero or not any(map(takes_figures, trainer.loggers)):
            return
        figures = {"evaluation/adaptation": plot_adaptation(table)}
        if self.last is not None and self.last.trace is not None:
            figures["evaluation/belief"] = plot_belief(self.last)
        for name, figure in figures.items():
            log_figure(trainer.loggers, name, figure, max(trainer.global_step - 1, 0))


def _metrics(table: AdaptationTable) -> dict[str, float]:
    """Scores by the names of their metrics, such as ``evaluation/return_0`` for the first episode."""
    metrics: dict[str, float] = {}
    for row in table.episodes:
        scores = {"return": row.return_mean, "win_rate": row.win_rate, "success_rate": row.success_rate}
        scores |= {"z_std": row.z_std, "coverage": row.coverage}
        metrics |= {f"evaluation/{name}_{row.episode}": score for name, score in scores.items() if score is not None}
    return metrics
