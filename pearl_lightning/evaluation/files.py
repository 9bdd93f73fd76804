"""Results of evaluations as files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pearl_lightning.evaluation.result import AdaptationResult, Evaluation


def write_matches(result: AdaptationResult, path: Path) -> None:
    """Write every episode of every match as CSV, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = result.matches()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_history(history: Sequence[Evaluation], path: Path) -> None:
    """Write the evaluations of a run as JSON."""
    write_json({"history": [evaluation.to_json() for evaluation in history]}, path)


def read_history(path: Path) -> list[Evaluation]:
    """Read the evaluations of a run from a file of ``write_history``, such as ``adaptation.json`` in a run's folder."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Evaluation.from_json(entry) for entry in content["history"]]


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a dict as JSON, creating the folder; NaN becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
