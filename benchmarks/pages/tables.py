"""Tables in Markdown, and the rule by which a CSV file becomes one.

The names of the columns carry the units, so that the rule needs no list of tables:

- ``x_low`` and ``x_high`` are the ends of the 95 % interval of ``x``; the three become one column.
- ``x_percent`` is shown with a percent sign, and ``x_points`` is a difference of percentages.
- ``x_2`` is a number after two episodes, and ``x_3000_updates`` one after 3,000 updates.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

INTERVAL = ("_low", "_high")
UNKNOWN = "–"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file; return one dictionary per row.

    Raises:
        ValueError: The file has no row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} must have at least one row, but has none")
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown; none if there are no rows."""
    lines = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(cells)} |" for cells in lines] if rows else []


def csv_table(data: Path, name: str) -> list[str]:
    """Table of a CSV file, by the rule of this module.

    Args:
        data: Folder of the file.
        name: Name of the file without its suffix.
    """
    rows = read_rows(data / f"{name}.csv")
    columns = [column for column in rows[0] if not column.endswith(INTERVAL)]
    return table([heading(column) for column in columns], [[cell(row, column) for column in columns] for row in rows])


def heading(column: str) -> str:
    """Heading of a column, such as ``won after 2`` for ``won_2_percent``."""
    text = column.removesuffix("_percent").removesuffix("_points")
    text = re.sub(r"_(\d+)_updates$", lambda match: f" after {int(match[1]):,} updates", text)
    text = re.sub(r"(?<!after)_(\d)$", r" after \1", text).replace("_", " ")
    return f"{text}, points" if column.endswith("_points") else text


def cell(row: dict[str, str], column: str) -> str:
    """Value of a column with its unit and interval, with the digits of the file."""
    value = row[column]
    if not value or value == "nan":
        return UNKNOWN
    if column.endswith("_percent"):
        return f"{value} %"
    if re.fullmatch(r"\d{4,}", value):
        return f"{int(value):,}"
    ends = [row.get(f"{column}{end}", "") for end in INTERVAL]
    return f"{value} [{', '.join(ends)}]" if all(ends) else value


def number(value: float, form: str = ",.1f") -> str:
    """Format a number of a table; a dash if it is unknown."""
    return UNKNOWN if math.isnan(value) else f"{value:{form}}"
