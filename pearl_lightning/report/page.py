"""The report page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from markupsafe import Markup

import pearl_lightning
from pearl_lightning.report.curves import sections
from pearl_lightning.report.overview import Card
from pearl_lightning.report.records import RunRecord
from pearl_lightning.report.rendering import render
from pearl_lightning.report.settings import differences
from pearl_lightning.report.tables import evaluations, facts, parts, times

MAX_RUNS = 8
"""Number of distinguishable colours in the style sheet."""
STYLE = Path(__file__).with_name("page.css")


def make_page(runs: Sequence[RunRecord]) -> str:
    """Create a self-contained HTML page about one or several runs.

    Raises:
        ValueError: There is no run, there are more than ``MAX_RUNS``, or two runs have the same name.
    """
    if not 1 <= len(runs) <= MAX_RUNS:
        raise ValueError(f"a report must contain 1 to {MAX_RUNS} runs, got {len(runs)}")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"runs must have different names, got {', '.join(names)}")
    spent = times(runs)
    page = render(
        "page.html",
        title=f"Run {names[0]}" if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names)}",
        style=Markup(STYLE.read_text(encoding="utf-8")),
        written=datetime.now(),
        version=pearl_lightning.__version__,
        runs=runs,
        cards=[Card(colour, run) for colour, run in enumerate(runs)],
        curve_sections=sections(runs),
        evaluations=[(run, evaluations(run)) for run in runs],
        times=spent,
        parts=parts(spent),
        differences=differences([run.config for run in runs]),
        facts=facts(runs),
        has_all_versions=all(run.summary.get("versions") for run in runs),
    )
    return str(page)
