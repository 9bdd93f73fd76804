"""Content of the overview: a summary of each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pearl_lightning.evaluation.result import AdaptationTable
from pearl_lightning.report.records import RunRecord
from pearl_lightning.report.rendering import is_known

LEARNERS = {
    "PEARL": "infers the hidden task from experience and acts on that belief",
    "RL2": "adapts by a memory that lasts through all episodes of a task",
    "PPO": "a context-free policy-gradient baseline",
    "EvolutionStrategy": "a context-free search over weights, without gradients",
}
TASK_FAMILIES = {
    "GoalTasks": "the point robot with hidden goals",
    "LoadoutTasks": "Derk's Gym with different items in each task",
    "OpponentTasks": "Derk's Gym with hidden styles of the opponent",
    "BountyTasks": "Derk's Gym with hidden reward weights",
    "BlindLoadoutTasks": "Derk's Gym with hidden items of the agents",
}
"""Descriptions of task families. For other families the environment's class name is shown."""


@dataclass(frozen=True)
class Card:
    """Summary of one run.

    Args:
        colour: Index of the run, which selects the colour.
        run: The run.
    """

    colour: int
    run: RunRecord

    @property
    def learner(self) -> str:
        """Class of the learner; "without context" is added if its encoder reads no context."""
        name = self.run.class_name("model") or "an agent"
        is_context_free = self.run.class_name("model.encoder") == "ContextFreeEncoder"
        return f"{name} without context" if is_context_free else name

    @property
    def learner_text(self) -> str | None:
        """Description of the learner; None for an unknown one."""
        return LEARNERS.get(self.learner)

    @property
    def task_family(self) -> str | None:
        """Class of the task family; None if the environment has none."""
        return self.run.class_name(f"{self._env}.tasks")

    @property
    def task_family_text(self) -> str:
        """Description of the task family."""
        return TASK_FAMILIES.get(self.task_family or "", self.run.class_name(self._env) or "")

    @property
    def backend(self) -> str | None:
        """Name of the backend; None if the environment has none."""
        backend = self.run.setting(f"{self._env}.backend")
        return ("real game" if backend == "game" else backend) if isinstance(backend, str) else None

    @property
    def _env(self) -> str:
        """Dotted name of the environment's settings; with workers, those of one worker's environment."""
        return "data.env" if self.run.setting("data.env.env") is None else "data.env.env"

    @property
    def planned_updates(self) -> int | None:
        """Number of updates in the settings; None if there is no limit."""
        planned = self.run.setting("trainer.max_steps")
        return planned if isinstance(planned, int) and planned > 0 else None

    @property
    def seconds(self) -> Any:
        """Duration of the run; None if unknown."""
        return self.run.summary.get("seconds")

    @property
    def evaluations(self) -> tuple[AdaptationTable, AdaptationTable] | None:
        """Results of the first and of the last evaluation during training; None before the first one."""
        history = self.run.history
        return (history[0].table, history[-1].table) if history else None

    @property
    def is_first_evaluation(self) -> bool:
        """Whether the last evaluation is also the first one."""
        return len(self.run.history) == 1

    @property
    def effect(self) -> Literal["none", "unknown", "better", "worse", "unclear"]:
        """Effect of experience of a task on the return, as far as the interval of the gain supports a statement."""
        if self.evaluations is None or len(self.evaluations[1].episodes) == 1:
            return "none"
        gain = self.evaluations[1].gain
        if not is_known(gain.low, gain.high):
            return "unknown"
        return "better" if gain.low > 0 else "worse" if gain.high < 0 else "unclear"

    @property
    def gained_before_training(self) -> bool:
        """Whether the gain was above zero in the first of several evaluations."""
        if self.evaluations is None or self.is_first_evaluation:
            return False
        low = self.evaluations[0].gain.low
        return is_known(low) and low > 0
