"""Evaluations, times, settings and machines of the runs, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import yaml

from pearl_lightning.report.markup import UNKNOWN, duration, folded, interval, is_known, number, table
from pearl_lightning.report.records import RunRecord
from pearl_lightning.report.settings import differences

PARTS = {
    "collection": "playing the training tasks",
    "updates": "learning from what was played, and everything else",
    "evaluation": "playing the validation tasks; the first time, this also starts the world",
    "checkpoints": "writing checkpoints",
}
"""What a run's time is split into, in the order of the bars."""
TOLD = ("checkpoint", "config", "split", "backend", "side", "sampled", "wrong_context", "seed")
"""What ``pearl evaluate`` says of an evaluation."""
RETURN, WIN = ("return_mean", "return_low", "return_high"), ("win_rate", "win_low", "win_high")
KNOWN_COLUMNS = {"episode", "return_iqm", *RETURN, *WIN}


def adaptation(run: RunRecord) -> str:
    """The last evaluation in training, and every one by ``pearl evaluate``."""
    parts = []
    if run.history:
        last = run.history[-1]
        title = f"Last evaluation in training, after {last['update']:,} updates"
        parts.append(_evaluation(title, last["table"], {}))
    for name, table_ in run.evaluations.items():
        settings = {setting: table_[setting] for setting in TOLD if table_.get(setting) is not None}
        parts.append(_evaluation(name, table_, settings))
    return "".join(parts) or "<p>No validation task was played yet.</p>"


def times(runs: Sequence[RunRecord]) -> str:
    """What each run spent its time on, as bars and as a table."""
    bars = "".join(_bar(run) for run in runs)
    rows = [
        [escape(run.name), duration(run.summary.get("seconds"))] + [_share(run, part) for part in PARTS] for run in runs
    ]
    key = "".join(f'<li><span class="block part-{part}"></span>{part}: {escape(PARTS[part])}</li>' for part in PARTS)
    hint = "" if all(_parts(run) for run in runs) else '<p class="hint">A dash: the run did not record it.</p>'
    return f'<ul class="legend">{key}</ul>{bars}{table(["run", "in all", *PARTS], rows, "times")}{hint}'


def setting_differences(runs: Sequence[RunRecord]) -> str:
    """Only those settings in which the runs differ."""
    found = differences([run.config for run in runs])
    if not found:
        return "<p>All settings are the same, but for where the runs write.</p>"
    rows = [[f"<code>{escape(name)}</code>", *map(_setting, values)] for name, values in found.items()]
    hint = '<p class="hint">Only those that differ; a dash where a run has no such setting, or null.</p>'
    return hint + table(["setting", *(run.name for run in runs)], rows, "differences")


def config(run: RunRecord) -> str:
    """All settings, folded."""
    text = yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True) if run.config else "unknown"
    return folded(f"All settings of {run.name}", f"<pre>{escape(text)}</pre>")


def machines(runs: Sequence[RunRecord]) -> str:
    """Seed, versions, hardware and the world's report: what a repetition needs to know."""
    facts: dict[str, list[str]] = {"seed": [_setting(run.setting("seed_everything")) for run in runs]}
    for group in ("versions", "hardware"):
        for name in dict.fromkeys(name for run in runs for name in run.summary.get(group, {})):
            facts[name] = [_setting(run.summary.get(group, {}).get(name)) for run in runs]
    counted = {"updates", "seconds", "env_steps"}
    plain = [{k: v for k, v in run.summary.items() if k not in counted and not isinstance(v, dict)} for run in runs]
    for name in dict.fromkeys(name for each in plain for name in each):
        facts[name.replace("_", " ")] = [_setting(each.get(name)) for each in plain]
    rows = [[escape(name), *values] for name, values in facts.items()]
    hint = (
        ""
        if all(run.summary.get("versions") for run in runs)
        else "A dash: the run has not ended, or did not record it."
    )
    return table(["", *(run.name for run in runs)], rows, "machines") + (f'<p class="hint">{hint}</p>' if hint else "")


def _evaluation(title: str, found: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    episodes = found["episodes"]
    has_wins = "win_rate" in episodes[0]
    others = [name for name in episodes[0] if name not in KNOWN_COLUMNS]
    head = ["episodes seen", "return", "interquartile mean", *(["win rate"] if has_wins else [])]
    rows = [
        [
            number(row["episode"], "d"),
            interval(row, names=RETURN),
            number(row.get("return_iqm")),
            *([interval(row, ".1%", WIN)] if has_wins else []),
            *(number(row.get(name)) for name in others),
        ]
        for row in episodes
    ]
    gain = f"Gain, last minus first: {interval(found['gain'])}"
    if "win_gain" in found:
        gain += f", of the win rate {interval(found['win_gain'], '.1%')}"
    counts = [f"{found[name]:,} {text}" for name, text in _COUNTS.items() if is_known(found.get(name))]
    told = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in settings.items())
    return (
        f'<section class="evaluation" data-name="{escape(title)}"><h4>{escape(title)}</h4>'
        + (f'<p class="hint">{escape(told)}</p>' if told else "")
        + table([*head, *(name.replace("_", " ") for name in others)], rows, "adaptation")
        + _by_kind(found.get("kinds") or {})
        + f'<p>{gain}. <span class="hint">{escape(", ".join(counts))}</span></p></section>'
    )


def _by_kind(kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return, and win rate, after each number of episodes, one row for each kind of task."""
    if not kinds:
        return ""
    first = next(iter(kinds.values()))
    columns = [
        (f"{caption} after {episode}", episode, name, form)
        for name, caption, form in (("return_mean", "return", ".2f"), ("win_rate", "won", ".0%"))
        for episode, row in enumerate(first)
        if name in row
    ]
    rows = [
        [escape(kind), *(number(episodes[episode].get(name), form) for _, episode, name, form in columns)]
        for kind, episodes in kinds.items()
    ]
    return table(["kind of task", *(caption for caption, *_ in columns)], rows, "kinds")


_COUNTS = {"tasks": "tasks", "matches_per_task": "matches per task", "env_steps": "environment steps"}


def _parts(run: RunRecord) -> Mapping[str, float]:
    return run.summary.get("seconds_by_part") or {}


def _share(run: RunRecord, part: str) -> str:
    spent, total = _parts(run).get(part), run.summary.get("seconds")
    if not is_known(spent, total):
        return UNKNOWN
    return f"{duration(spent)} ({spent / max(total, 1e-9):.0%})" if total else duration(spent)


def _bar(run: RunRecord) -> str:
    parts = _parts(run)
    whole = sum(parts.values())
    if not whole:
        return ""
    pieces, at = "", 0.0
    for part, text in PARTS.items():
        width = 100 * parts.get(part, 0.0) / whole
        pieces += (
            f'<rect class="part-{part}" x="{at:.2f}" width="{width:.2f}" height="8"><title>'
            f"{escape(run.name)}, {escape(text)}: {width:.0f} %</title></rect>"
        )
        at += width
    return (
        f'<div class="bar"><span>{escape(run.name)}</span><svg viewBox="0 0 100 8" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(f"What {run.name} spent its time on")}">{pieces}</svg></div>'
    )


def _setting(value: Any) -> str:
    """A setting as a config says it; a dash where there is none, or null."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return escape(value)
    return escape(yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip())
