"""Content of the tables of the runs' evaluations, times and machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from pearl_lightning.evaluation.result import AdaptationTable, EpisodeRow
from pearl_lightning.report.charts import Line, line_chart
from pearl_lightning.report.records import RunRecord

PARTS = {
    "compilation": "compiling the simulator before training; once per installation",
    "collection": "playing the train tasks",
    "updates": "learning, and everything else",
    "evaluation": "playing the validation tasks; the first time includes the start of the environment",
    "checkpoints": "writing checkpoints",
}
"""Parts of a run's time, in the order of the bars."""
OPTIONS = ("checkpoint", "config", "split", "backend", "side", "protocol", "sampled", "wrong_context", "seed")
"""Options of ``pearl evaluate`` that the page shows."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of a run.

    Args:
        title: Title of the evaluation.
        table: Results of the evaluation.
        options: Options of ``pearl evaluate``, by name.
    """

    title: str
    table: AdaptationTable
    options: Mapping[str, Any] = field(default_factory=dict)

    def belief_chart(self, colour: int) -> Markup | None:
        """Draw the posterior's entropy over the episodes; None for an agent without a latent.

        Args:
            colour: Index of the run, which selects the colour.
        """
        if (curve := self.table.entropy) is None:
            return None
        line = Line(
            label="median of the matches",
            colour=colour,
            dash=0,
            points=list(zip(curve.transitions, curve.median, strict=True)),
            band=list(zip(curve.transitions, curve.low, curve.high, strict=True)),
        )
        return line_chart([line], title="Entropy of the belief over transitions read", x_label="transitions read")

    @property
    def first_episode_ends(self) -> int:
        """Number of transitions read when the first episode ends, if there is a belief."""
        transitions = () if self.table.entropy is None else self.table.entropy.transitions
        return transitions[(len(transitions) - 1) // len(self.table.episodes)] if transitions else 0

    @property
    def others(self) -> list[str]:
        """Names of the numbers of an episode that have no fixed column: those of the belief and the environment."""
        return list(self.other_numbers(self.table.episodes[0]))

    def other_numbers(self, row: EpisodeRow) -> dict[str, float]:
        """The numbers of an episode that have no fixed column, by name."""
        belief = {"z_std": row.z_std, "coverage": row.coverage}
        return {name: value for name, value in belief.items() if value is not None} | dict(row.statistics)

    @property
    def rates(self) -> list[str]:
        """Names of the rates in the table: win rate and success rate, as far as the environment has them."""
        return list(self.table.episodes[0].rates)

    @property
    def kind_rates(self) -> list[str]:
        """Names of the rates in the results of the kinds of tasks, as attributes of a row."""
        first = next(iter(self.table.kinds.values()))[0]
        return [name for name in ("win_rate", "success_rate") if getattr(first, name) is not None]

    @property
    def kind_columns(self) -> list[str]:
        """Return, and win or success rate, after each number of episodes."""
        seen = range(len(next(iter(self.table.kinds.values()))))
        words = ["return", *({"win_rate": "won", "success_rate": "success"}[name] for name in self.kind_rates)]
        return [f"{word} after {episodes}" for word in words for episodes in seen]


@dataclass(frozen=True)
class Time:
    """Time of one run.

    Args:
        name: Name of the run.
        seconds: Total time; None if unknown.
        parts: Seconds of each part; empty if unknown.
    """

    name: str
    seconds: Any
    parts: Mapping[str, float]

    def bar(self) -> Iterator[tuple[str, float, float]]:
        """Each part with its start and its width, in percent of the whole; nothing if the whole is zero."""
        whole = sum(self.parts.values())
        start = 0.0
        for part in PARTS:
            if whole and part in self.parts:
                width = 100 * self.parts[part] / whole
                yield part, start, width
                start += width


def evaluations(run: RunRecord) -> list[Evaluated]:
    """The last evaluation during training, and all evaluations by ``pearl evaluate``."""
    found = []
    if run.history:
        last = run.history[-1]
        title, protocol = f"Last evaluation during training, after {last.update:,} updates", last.table.protocol
        found.append(Evaluated(title, last.table, {} if protocol == "adaptive" else {"protocol": protocol}))
    for name, played in run.evaluations.items():
        options = {option: played.settings[option] for option in OPTIONS if played.settings.get(option) is not None}
        found.append(Evaluated(name, played.table, options))
    return found


def times(runs: Sequence[RunRecord]) -> list[Time]:
    """Time of each run."""
    return [Time(run.name, run.summary.get("seconds"), run.summary.get("seconds_by_part") or {}) for run in runs]


def parts(found: Sequence[Time]) -> dict[str, str]:
    """Parts of the time to show, with descriptions; compilation only if a run compiled."""
    return {
        part: text for part, text in PARTS.items() if part != "compilation" or any(part in each.parts for each in found)
    }


def facts(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    """Data needed to repeat a run: seed, versions, hardware and the environment's report, with a value for each run."""
    found = {"seed": [run.setting("seed_everything") for run in runs]}
    for group in ("versions", "hardware"):
        for name in dict.fromkeys(name for run in runs for name in run.summary.get(group, {})):
            found[name] = [run.summary.get(group, {}).get(name) for run in runs]
    counted = {"updates", "seconds", "env_steps"}
    plain = [{k: v for k, v in run.summary.items() if k not in counted and not isinstance(v, dict)} for run in runs]
    for name in dict.fromkeys(name for each in plain for name in each):
        found[name.replace("_", " ")] = [each.get(name) for each in plain]
    return found
