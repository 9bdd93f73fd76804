"""The words that the page of the vocabulary replaces, as patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "contributing" / "vocabulary.md"
"""The page whose table is read."""
CODE = re.compile(r"`[^`]*`")
ENDINGS = "(?:s|es|d|ed|ing)?"
"""Endings that a use of a word may have although the table lists the word without them."""


@dataclass(frozen=True)
class Banned:
    """A word or phrase of the column *do not write*.

    Args:
        term: Term that replaces it.
        phrase: Word or phrase, as in the table.
        exceptions: Phrases in which it may stand.
        places: Parts of the paths of files in which it may stand.
    """

    term: str
    phrase: str
    exceptions: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    def is_in(self, text: str, path: str) -> bool:
        """Whether it stands in a text of a file, outside code and without an exception."""
        if any(place in path for place in self.places):
            return False
        prose = CODE.sub(lambda match: "`" * len(match[0]), text)
        allowed = [match.span() for each in self.exceptions for match in pattern(each).finditer(prose)]
        uses = [match.span() for match in pattern(self.phrase).finditer(prose)]
        return any(not any(start <= first and last <= end for start, end in allowed) for first, last in uses)


def pattern(phrase: str) -> re.Pattern[str]:
    """Finds a phrase at the boundaries of words, in any case and with the regular endings of its last word."""
    stem = phrase.removesuffix("e")
    start = r"(?<!\w)" if phrase[0].isalnum() else ""
    spaced = r"\s+".join(map(re.escape, stem.split()))
    return re.compile(start + spaced + ("e?" if stem != phrase else "") + ENDINGS + r"(?!\w)", flags=re.IGNORECASE)


def banned(page: str) -> list[Banned]:
    """Return the words and phrases that the table of a page forbids.

    A cell of the last column lists phrases in backticks. ``(except ...)`` after one of them lists, also in backticks,
    phrases in which it may stand, and parts of paths, which contain a slash or end in ``.md``.

    Args:
        page: Text of the page.

    Raises:
        ValueError: The page has no table, or a cell that contains something else.
    """
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    if not rows or rows[0][-1].strip() != "do not write":
        raise ValueError(f"the page must have a table whose last column is 'do not write', got {rows[:1]}")
    return [each for term, *_, cell in rows[2:] for each in _in_cell(term.strip(), cell.strip())]


def _in_cell(term: str, cell: str) -> Iterator[Banned]:
    item = re.compile(r"`([^`]+)`(?: \(except ([^)]*)\))?(?:, |$)")
    if item.sub("", cell):
        raise ValueError(f"{term}: 'do not write' must list `phrase` or `phrase` (except `phrase`), got {cell!r}")
    for phrase, listed in item.findall(cell):
        exceptions = re.findall(r"`([^`]+)`", listed)
        places = tuple(each for each in exceptions if "/" in each or each.endswith(".md"))
        yield Banned(term, phrase, tuple(each for each in exceptions if each not in places), places)
