"""Evaluation of adaptation: the protocol, its results, and their statistics, text, files and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pearl_lightning.evaluation.belief_trace import BeliefTrace
from pearl_lightning.evaluation.files import read_history, write_history, write_json, write_matches
from pearl_lightning.evaluation.result import (
    AdaptationResult,
    AdaptationTable,
    EpisodeRow,
    Evaluation,
    KindRow,
)
from pearl_lightning.evaluation.statistics import Interval, Lead, compare
from pearl_lightning.evaluation.tables import (
    adaptation_sentence,
    format_comparison,
    format_interval,
    format_side_by_side,
    format_table,
)

if TYPE_CHECKING:
    from pearl_lightning.evaluation.protocol import evaluate_adaptation

__all__ = [
    "AdaptationResult",
    "AdaptationTable",
    "BeliefTrace",
    "EpisodeRow",
    "Evaluation",
    "Interval",
    "KindRow",
    "Lead",
    "adaptation_sentence",
    "compare",
    "evaluate_adaptation",
    "format_comparison",
    "format_interval",
    "format_side_by_side",
    "format_table",
    "read_history",
    "write_history",
    "write_json",
    "write_matches",
]


def __getattr__(name: str) -> Any:
    """Import the protocol at its first use, because it imports torch, which is not needed to read results."""
    if name != "evaluate_adaptation":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pearl_lightning.evaluation.protocol import evaluate_adaptation

    return evaluate_adaptation
