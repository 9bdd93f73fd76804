"""What a run's folder holds, read for a report, also while the run is at work or after it was killed."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MARKS = ("config.yaml", "metrics.csv")
"""A folder that holds neither is no run's."""
COUNTERS = ("step", "env_steps", "epoch")
"""Columns that say when a row was written rather than what was measured."""


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Args:
        update: Updates done when it was measured.
        env_steps: Environment steps collected until then; NaN where nobody counted.
        value: May be not finite.
    """

    update: int
    env_steps: float
    value: float


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a report tells of a run.

    Args:
        name: Of its folder.
        folder: The folder.
        config: All settings; empty where unknown.
        metrics: Every metric's points, in the order of the file.
        updates: Updates done; as far as the file tells, which is written every so many updates.
        env_steps: Environment steps collected.
        history: Evaluations on validation tasks, as ``AdaptationEvaluation`` keeps them.
        evaluations: Tables of ``pearl evaluate`` by the name of their file.
        summary: What ``RunSummary`` wrote; empty where the run has not ended.
        notes: What a reader must know of the files: what is missing, cut off or not finite.
    """

    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, list[Point]] = field(default_factory=dict)
    updates: int = 0
    env_steps: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    evaluations: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def setting(self, path: str) -> Any:
        """A setting by its dotted name without ``init_args``, such as ``data.env.arenas``; None where there is none."""
        value: Any = self.config
        for key in path.split("."):
            if not isinstance(value, dict):
                return None
            inner = value.get("init_args")
            value = value[key] if key in value else inner.get(key) if isinstance(inner, dict) else None
        return value

    def class_name(self, path: str) -> str | None:
        """Name of the class that a setting names."""
        value = self.setting(path)
        value = value.get("class_path") if isinstance(value, dict) else value
        return value.rpartition(".")[2] if isinstance(value, str) else None


def read_run(folder: Path) -> RunRecord:
    """What a run's folder holds.

    Raises:
        FileNotFoundError: There is no such folder, or it is no run's.
        ValueError: A file in it is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run's folder {folder}")
    if not any((folder / name).is_file() for name in MARKS):
        raise FileNotFoundError(f"{folder} must be a run's folder, with {' or '.join(MARKS)}, but holds neither")
    notes: list[str] = []
    config = _config(folder / "config.yaml", notes)
    rows = list(_rows(folder / "metrics.csv", notes))
    metrics = _series(rows)
    notes += [_not_finite(name, points) for name, points in metrics.items() if not _all_finite(points)]
    summary = _json(folder / "summary.json") or {}
    if not isinstance(summary.get("updates", 0), int):
        raise ValueError(f"{folder / 'summary.json'} must count updates, got {summary['updates']!r}")
    history = (_json(folder / "adaptation.json") or {}).get("history", [])
    if not (isinstance(history, list) and all(isinstance(point, dict) for point in history)):
        raise ValueError(f"{folder / 'adaptation.json'} must hold a history of evaluations, got {history!r:.80}")
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
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold settings by name, got {type(content).__name__}")
    return content


def _rows(path: Path, notes: list[str]) -> Iterator[dict[str, float]]:
    """The measured cells of every whole row, as numbers."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        notes.append("The last line of metrics.csv was cut off, as a killed process leaves it; it is left out.")
        del lines[-1]
    if len(lines) < 2:
        notes.append("Nothing was measured yet: metrics.csv is missing or holds no whole row.")
    for row in (reader := csv.DictReader(lines)):
        try:
            measured = {name: float(cell) for name, cell in row.items() if cell}
            if not all(math.isfinite(measured.get(name, 0.0)) for name in COUNTERS):
                raise ValueError(f"{' and '.join(COUNTERS)} must be finite")
            yield measured
        except (TypeError, ValueError) as error:  # of a row with more cells than columns, too
            raise ValueError(f"line {reader.line_num} of {path} must hold numbers alone: {error}") from error


def _series(rows: list[dict[str, float]]) -> dict[str, list[Point]]:
    metrics: dict[str, list[Point]] = {}
    for row in rows:
        update, env_steps = _updates_done(row), row.get("env_steps", math.nan)
        for name, value in row.items():
            if name not in COUNTERS:
                metrics.setdefault(name, []).append(Point(update, env_steps, value))
    return metrics


def _updates_done(row: Mapping[str, float]) -> int:
    """Steps count updates from 0; what comes before the first one is written to step 0, too."""
    step = int(row.get("step", 0))
    is_before_all = step == 0 and (row.get("env_steps") == 0 or "collect/iterations" in row)
    return 0 if is_before_all else step + 1


def _all_finite(points: list[Point]) -> bool:
    return all(math.isfinite(point.value) for point in points)


def _not_finite(name: str, points: list[Point]) -> str:
    wrong = [point.update for point in points if not math.isfinite(point.value)]
    return (
        f"{len(wrong)} of {len(points)} values of {name} are not finite (NaN or infinite), first at update "
        f"{wrong[0]:,}: gaps in its curve."
    )


def _json(path: Path) -> dict[str, Any] | None:
    """What a JSON file holds; None where there is none."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:  # also of bytes that are no text
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def _evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Every table that ``pearl evaluate`` left in the folder."""
    tables = {path.stem: _json(path) or {} for path in sorted(folder.glob("evaluation*.json"))}
    for name, table in tables.items():
        rows = table.get("episodes")
        if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and isinstance(table.get("gain"), dict)):
            raise ValueError(f"{folder / name}.json must hold a table of pearl evaluate, with episodes and gain")
    return tables


def _from_checkpoint(
    path: Path, history: list[dict[str, Any]], summary: dict[str, Any], notes: list[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Evaluations and seconds of a run that goes on, or was stopped: files beside tell of it only at its end."""
    if not path.is_file():
        return history, summary
    from pearl_lightning.callbacks.summary import split  # slow to import, and seldom needed
    from pearl_lightning.checkpoints import load_checkpoint

    try:
        checkpoint = load_checkpoint(path)
    except ValueError as error:
        notes.append(f"The checkpoint could not be read: {error}.")
        return history, summary
    callbacks = checkpoint.get("callbacks", {})
    saved = callbacks.get("AdaptationEvaluation", {}).get("history", [])
    spent = callbacks.get("RunSummary")
    if spent is not None and summary.get("updates", -1) < checkpoint["global_step"]:
        parts = split(spent["seconds"], spent["parts"]) if "parts" in spent else {}
        known = {"updates": checkpoint["global_step"], "seconds": spent["seconds"], "seconds_by_part": parts}
        summary = summary | known
        notes.append(
            f"The run has not ended: its time is that up to its last checkpoint, of update {summary['updates']:,}."
        )
    return max(history, saved, key=len), summary
