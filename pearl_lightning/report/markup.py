"""Pieces of HTML: every text is escaped where it enters, and numbers carry their exact value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

UNKNOWN = '<span class="unknown" title="not known">–</span>'


def number(value: Any, form: str = ".2f") -> str:
    """A number as people read it, with its exact value as the element's; a dash for None and NaN."""
    if not isinstance(value, (int, float)) or math.isnan(value):
        return UNKNOWN
    return f'<data value="{value!r}">{value:{form}}</data>'


def interval(entry: Mapping[str, Any], form: str = ".2f", names: Sequence[str] = ("mean", "low", "high")) -> str:
    """A mean with the two ends of its interval, as far as they are known."""
    mean, low, high = (entry.get(name) for name in names)
    ends = f' <span class="ends">[{number(low, form)}, {number(high, form)}]</span>' if is_known(low, high) else ""
    return number(mean, form) + ends


def is_known(*values: Any) -> bool:
    """Whether all of them are numbers."""
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str = "") -> str:
    """A table whose first column names its rows. The cells are HTML; the head is text.

    Args:
        head: Names of the columns.
        rows: As many cells each.
        name: Class of the table, for the style and for those who look for it.
    """
    top = "".join(f'<th scope="col">{escape(column)}</th>' for column in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"
        for first, *others in rows
    )
    attribute = f' class="{name}"' if name else ""
    return f'<div class="wide"><table{attribute}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Content that a click shows; the browser does it without a script."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def duration(seconds: Any) -> str:
    """A time as people say it, as 2 h 5 min."""
    if not is_known(seconds):
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    return f'<data value="{seconds!r}">{text}</data>'
