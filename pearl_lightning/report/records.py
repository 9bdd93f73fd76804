"""Reader of a run's folder for a report. The run may still be running or may have been killed."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pearl_lightning.evaluation.result import AdaptationTable, Evaluation

MARKS = ("config.yaml", "metrics.csv")
"""A folder without any of these files is not the folder of a run."""
COUNTERS = ("step", "env_steps", "epoch")
"""Columns with the time at which a row was written, as opposed to metrics."""


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Args:
        update: Number of updates before the measurement.
        env_steps: Number of environment steps collected before the measurement; NaN if unknown.
        value: Value of the metric; it may not be finite.
    """

    update: int
    env_steps: float
    value: float


@dataclass(frozen=True)
class PlayedTable:
    """A file of ``pearl evaluate``.

    Args:
        table: The scores.
        settings: All entries of the file, also the options of ``pearl evaluate``.
    """

    table: AdaptationTable
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of a run's folder.

    Args:
        name: Name of the folder.
        folder: The folder.
        config: All settings; empty if unknown.
        metrics: Points of each metric, in the order of the file.
        updates: Number of updates in the files; the run may have done more since they were written.
        env_steps: Number of environment steps collected.
        history: Results of ``AdaptationEvaluation`` on validation tasks.
        evaluations: Results of ``pearl evaluate``, by the name of their file.
        summary: Content of the file of ``RunSummary``; empty if the run has not ended.
        notes: Defects of the files: missing, incomplete or not finite data.
    """

    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, list[Point]] = field(default_factory=dict)
    updates: int = 0
    env_steps: int = 0
    history: list[Evaluation] = field(default_factory=list)
    evaluations: Mapping[str, PlayedTable] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def setting(self, path: str) -> Any:
        """Return a setting by its dotted name without ``init_args``, such as ``data.env.arenas``; None if missing."""
        value: Any = self.config
        for key in path.split("."):
            if not isinstance(value, dict):
                return None
            inner = value.get("init_args")
            value = value[key] if key in value else inner.get(key) if isinstance(inner, dict) else None
        return value

    def class_name(self, path: str) -> str | None:
        """Class name in a setting, without its module; None if the setting names no class."""
        value = self.setting(path)
        value = value.get("class_path") if isinstance(value, dict) else value
        return value.rpartition(".")[2] if isinstance(value, str) else None


def read_run(folder: Path) -> RunRecord:
    """Read a run's folder.

    Raises:
        FileNotFoundError: The folder does not exist or is not the folder of a run.
        ValueError: A file in the folder is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of a run at {folder}")
    if not any((folder / name).is_file() for name in MARKS):
        raise FileNotFoundError(
            f"{folder} must be the folder of a run, with {' or '.join(MARKS)}, but contains neither"
        )
    notes: list[str] = []
    config = _config(folder / "config.yaml", notes)
    rows = list(_rows(folder / "metrics.csv", notes))
    metrics = _series(rows)
    notes += [_not_finite(name, points) for name, points in metrics.items() if not _all_finite(points)]
    summary = _json(folder / "summary.json") or {}
    if not isinstance(summary.get("updates", 0), int):
        raise ValueError(f"{folder / 'summary.json'} must count updates, got {summary['updates']!r}")
    history = _history(folder / "adaptation.json")
    updates = max([summary.get("updates", 0), *(point.update for each in metrics.values() for point in each)])
    env_steps = max([0, *(row["env_steps"] for row in rows if row.get("env_steps", math.nan) >= 0)])
    if not summary or summary.get("updates", 0) < updates or len(history) < len(metrics.get("evaluation/gain", ())):
        history, summary = _from_checkpoint(folder / "checkpoints" / "last.ckpt", history, summary, notes)
    return RunRecord(
        name=folder.resolve().name,
        folder=folder,
        config=config,
        metrics=metrics,
        updates=updates,
        env_steps=int(env_steps),
        history=history,
        evaluations=_evaluations(folder),
        summary=summary,
        notes=tuple(notes),
    )


def _config(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.is_file():
        notes.append("There is no config.yaml, so the settings are unknown.")
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must contain a mapping of settings, got {type(content).__name__}")
    return content


def _rows(path: Path, notes: list[str]) -> Iterator[dict[str, float]]:
    """Yield the non-empty cells of every complete row as numbers."""
    text = path.read_text(errors="replace", encoding="utf-8") if path.is_file() else ""
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        notes.append("The last line of metrics.csv is incomplete, as after a killed process. It is ignored.")
        del lines[-1]
    if len(lines) < 2:
        notes.append("No metrics have been logged yet: metrics.csv is missing or contains no complete row.")
    for row in (reader := csv.DictReader(lines)):
        try:
            measured = {name: float(cell) for name, cell in row.items() if cell}
            if not all(math.isfinite(measured.get(name, 0.0)) for name in COUNTERS):
                raise ValueError(f"{' and '.join(COUNTERS)} must be finite")
            yield measured
        except (TypeError, ValueError) as error:  # also for a row with more cells than columns
            raise ValueError(f"line {reader.line_num} of {path} must contain only numbers: {error}") from error


def _series(rows: list[dict[str, float]]) -> dict[str, list[Point]]:
    metrics: dict[str, list[Point]] = {}
    for row in rows:
        update, env_steps = _updates_done(row), row.get("env_steps", math.nan)
        for name, value in row.items():
            if name not in COUNTERS:
                metrics.setdefault(name, []).append(Point(update, env_steps, value))
    return metrics


def _updates_done(row: Mapping[str, float]) -> int:
    """Number of updates before a row was written. Steps count updates from 0; rows before the first have step 0 too."""
    step = int(row.get("step", 0))
    is_before_all = step == 0 and (row.get("env_steps") == 0 or "collect/iterations" in row)
    return 0 if is_before_all else step + 1


def _all_finite(points: list[Point]) -> bool:
    return all(math.isfinite(point.value) for point in points)


def _not_finite(name: str, points: list[Point]) -> str:
    wrong = [point.update for point in points if not math.isfinite(point.value)]
    return (
        f"{len(wrong)} of {len(points)} values of {name} are not finite (NaN or infinite), first at update "
        f"{wrong[0]:,}; the curve has gaps there."
    )


def _json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object from a file; None if the file does not exist."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also for bytes that are not text
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must contain a JSON object, got {type(content).__name__}")
    return content


def _history(path: Path) -> list[Evaluation]:
    """The evaluations on validation tasks; none if there is no file."""
    found = (_json(path) or {}).get("history", [])
    try:
        return [Evaluation.from_json(entry) for entry in found]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must contain a history of evaluations, got {found!r:.80}") from error


def _evaluations(folder: Path) -> dict[str, PlayedTable]:
    """Results of ``pearl evaluate`` in the folder."""
    tables = {}
    for path in sorted(folder.glob("evaluation*.json")):
        content = _json(path) or {}
        try:
            tables[path.stem] = PlayedTable(AdaptationTable.from_json(content), content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} must contain a table of pearl evaluate, with episodes and gain") from error
    return tables


def _from_checkpoint(
    path: Path, history: list[Evaluation], summary: dict[str, Any], notes: list[str]
) -> tuple[list[Evaluation], dict[str, Any]]:
    """Evaluations and times in the last checkpoint of a run that has not ended and so has no other file with them."""
    if not path.is_file():
        return history, summary
    from pearl_lightning.callbacks.summary import split  # slow to import and rarely needed
    from pearl_lightning.checkpoints import load_checkpoint

    try:
        checkpoint = load_checkpoint(path)
    except ValueError as error:
        notes.append(f"The checkpoint could not be read: {error}.")
        return history, summary
    callbacks = checkpoint.get("callbacks", {})
    saved = [Evaluation.from_json(entry) for entry in callbacks.get("AdaptationEvaluation", {}).get("history", [])]
    spent = callbacks.get("RunSummary")
    if spent is not None and summary.get("updates", -1) < checkpoint["global_step"]:
        parts = split(spent["seconds"], spent["parts"]) if "parts" in spent else {}
        known = {"updates": checkpoint["global_step"], "seconds": spent["seconds"], "seconds_by_part": parts}
        summary = summary | known
        notes.append(f"The run has not ended: times are up to its last checkpoint, at update {summary['updates']:,}.")
    return max(history, saved, key=len), summary
