"""The page: its sections in order, its style, and words for a newcomer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import pearl_lightning
from pearl_lightning.report.curves import curves
from pearl_lightning.report.markup import folded
from pearl_lightning.report.overview import overview
from pearl_lightning.report.records import RunRecord
from pearl_lightning.report.tables import adaptation, config, machines, setting_differences, times

MAX_RUNS = 8
"""As many as the style has colours that can be told apart."""
STYLE = Path(__file__).with_name("page.css")
WORDS = {
    "task": "What is hidden from the agent: where the goal is, who the opponent is, what pays.",
    "validation task": "A task that is never trained on, played while training: it shows whether the agent can deal "
    "with what is new to it. Test tasks are others, kept for the end.",
    "episode": "One match from start to end.",
    "return": "The sum of all rewards of a team in an episode.",
    "adaptation": "Playing several episodes of the same task, and playing better because of the earlier ones.",
    "belief": "What the agent thinks the task is: a Gaussian over a few numbers that narrows with experience.",
    "update": "One step of learning; how much work that is differs from learner to learner.",
    "environment step": "One step of one match. Learners are compared over these: they count experience.",
    "interval": "95 % bootstrap interval over matches of the same agent on the same tasks.",
}


def make_page(runs: Sequence[RunRecord]) -> str:
    """One HTML page about a run or several, which refers to nothing outside of it.

    Raises:
        ValueError: No run, more than ``MAX_RUNS``, or two of one name.
    """
    if not 1 <= len(runs) <= MAX_RUNS:
        raise ValueError(f"a report must be of 1 to {MAX_RUNS} runs, got {len(runs)}")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"runs must have different names, got {', '.join(names)}")
    title = f"Run {names[0]}" if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names)}"
    sections = {
        "At a glance": overview(runs),
        "Curves": curves(runs),
        "Adaptation": "".join(
            (f"<h3>{escape(run.name)}</h3>" if len(runs) > 1 else "") + adaptation(run) for run in runs
        ),
        "Time": times(runs),
        "Settings": (setting_differences(runs) if len(runs) > 1 else "") + "".join(map(config, runs)),
        "Seed, versions and hardware": machines(runs),
    }
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in sections)
    body = "".join(
        f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{content}</section>'
        for name, content in sections.items()
    )
    words = "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in WORDS.items())
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body><header><h1>{escape(title)}</h1>"
        f'<p class="hint">{_kind(runs)} Written {datetime.now():%Y-%m-%d %H:%M} by pearl-lightning '
        f"{pearl_lightning.__version__}.</p><nav>{links}</nav>"
        f"{folded('Words used here', f'<dl>{words}</dl>')}</header><main>{body}</main></body></html>\n"
    )


def _kind(runs: Sequence[RunRecord]) -> str:
    if len(runs) == 1:
        return "Report of one training run."
    return "Comparison of training runs, each in a colour of its own."


def _anchor(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")
