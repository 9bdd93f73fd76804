"""Progress of a run: counts of the collected experience, and results of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.evaluation.result import Evaluation

COUNTS = ("iterations", "episodes", "env_steps", "transitions")
"""Numbers that collectors add to."""


@dataclass(kw_only=True)
class Progress:
    """Counts and evaluations of one agent's training, held by the data module.

    Collectors and evaluations write it. Any callback may read it, as ``env_data(trainer).progress``, instead of
    looking for other callbacks. Counts are those of this process, summed over its collectors.

    ``ReplayCheckpoint`` saves the counts of each process. ``AdaptationEvaluation`` saves the evaluations of the first
    process, as Lightning does with the state of a callback; on resume, every process restores them.

    Args:
        iterations: Iterations of collection.
        episodes: Episodes collected, one per arena.
        env_steps: Environment steps collected.
        transitions: Agent steps collected.
        returns: Mean return of each kind of episode in the last iteration.
        evaluation_env_steps: Environment steps that evaluations played, not among ``env_steps``.
        history: Evaluations on validation tasks, in the order in which they were made.
        seconds: Time that callbacks of this process have spent on each part of the run. ``RunSummary`` clears it when
            training starts and keeps it over a resume; a state that must be equal bit for bit leaves it out.
    """

    iterations: int = 0
    episodes: int = 0
    env_steps: int = 0
    transitions: int = 0
    returns: dict[str, float] = field(default_factory=dict)
    evaluation_env_steps: int = 0
    history: list[Evaluation] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    def counts(self) -> dict[str, int]:
        """Counts by the names in ``COUNTS``."""
        return {name: getattr(self, name) for name in COUNTS}

    def collected(self) -> dict[str, Any]:
        """The state of this process: counts, and the returns of the last iteration."""
        return self.counts() | {"returns": self.returns}

    def load_collected(self, state: Mapping[str, Any]) -> None:
        """Restore the state that ``collected`` returned."""
        for name in (*COUNTS, "returns"):
            setattr(self, name, state[name])

    def comparable(self) -> list[Evaluation]:
        """Evaluations with the last one's protocol and number of episodes; a resumed run may have other settings."""
        kinds = [(each.table.protocol, len(each.table.episodes)) for each in self.history]
        return [each for each, kind in zip(self.history, kinds, strict=True) if kind == kinds[-1]]


def summed_counts(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Result of ``Progress.collected``, from the collectors' states in a checkpoint of an earlier version."""
    return {name: sum(state.get(name, 0) for state in states) for name in COUNTS} | {"returns": {}}
