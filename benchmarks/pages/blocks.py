"""Blocks of Markdown pages that are generated from data: ``<!-- generated: NAME ... -->`` to ``<!-- end -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Builder = Callable[..., Sequence[str]]
"""Function of the data folder, and of the words after its name in the marker, that returns lines of Markdown."""
DATA = Path("docs/results/data")
"""Folder of the data below the repository."""

_BEGIN = re.compile(r"<!-- generated: ([\w-]+)((?: \S+)*) -->")
_END = "<!-- end -->"


def rebuilt(root: Path, builders: Mapping[str, Builder]) -> dict[Path, str]:
    """Return the text of every page with generated blocks, as it must be.

    Args:
        root: Folder with ``README.md`` and ``docs``.
        builders: Builders by name.

    Raises:
        ValueError: A marker has no end, or names no builder; the message contains the page and the line.
    """
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    marked = {page: text for page, text in texts.items() if any(map(_BEGIN.fullmatch, text.splitlines()))}
    return {page: filled(text, root / DATA, builders, str(page)) for page, text in marked.items()}


def filled(text: str, data: Path, builders: Mapping[str, Builder], page: str) -> str:
    """Return the text of a page with new content in every generated block.

    Args:
        text: Text of the page.
        data: Folder of the data.
        builders: Builders by name.
        page: Name of the page, for messages.

    Raises:
        ValueError: A marker has no end, or names no builder.
    """
    done: list[str] = []
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        done.append(line)
        if not (begin := _BEGIN.fullmatch(line)):
            continue
        name, words = begin[1], begin[2].split()
        if name not in builders:
            raise ValueError(f"{page}:{number}: a block must be one of {', '.join(sorted(builders))}, got {name}")
        if next((old for _, old in lines if old == _END or _BEGIN.fullmatch(old)), None) != _END:
            raise ValueError(f"{page}:{number}: the block {name} must end with {_END}, but has no end")
        done += ["", *_lines(builders[name], data, words, f"{page}:{number}"), "", _END]
    return "\n".join(done) + "\n"


def _lines(builder: Builder, data: Path, words: Sequence[str], where: str) -> Sequence[str]:
    try:
        return builder(data, *words)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: the block cannot be built: {type(error).__name__}: {error}") from error
