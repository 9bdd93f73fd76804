"""Checks the length of sentences and the vocabulary: ``python docs/pages/prose.py``. ``make lint`` runs it.

It reads every page, and the docstrings, comments and messages of the code. Each finding is one line: file, line, rule
and sentence. Code, link targets, HTML and front matter are left out.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from passages import Passage, code_files, pages, passages
from sentencex import get_sentence_boundaries
from vocabulary import CODE, PAGE, Banned, banned

LONGEST = 40
"""Largest number of words of a sentence."""
MEDIAN = 18
"""Largest median of a page, and of the docstrings of a folder."""
ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|cf|[Ee]qs?|[Ff]igs?|[Ss]ecs?|[Aa]pp|approx|vs|pp?|[Nn]o)\.\s*$")
"""An end after which a sentence goes on, even before a number or a capital letter."""
FRAGMENT = re.compile(r"(?:Of|Its|Whose|Who|What)\b")
"""A start of a docstring, or of an entry in it, that has no subject or no verb."""
UNIT = re.compile(r"(?<=\d) (?=[A-Za-z]\.\s)")
"""The space before a unit of one letter, which is not an initial."""


def sentences(passage: Passage) -> Iterator[Passage]:
    """The sentences of a passage, each with the line on which it begins."""
    masked = UNIT.sub("x", CODE.sub(lambda match: "x" * len(match[0]), passage.text))
    start = 0
    for boundary in get_sentence_boundaries("en", masked):
        end = boundary["end_index"]
        if end < len(masked) and ABBREVIATION.search(masked[start:end]):
            continue
        text = passage.text[start:end]
        before = passage.text[: start + len(text) - len(text.lstrip())]
        yield Passage(passage.path, passage.line + before.count("\n"), " ".join(text.split()), passage.is_prose)
        start = end


def words(sentence: str) -> int:
    """Number of words; the words in code count, signs do not."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def findings(found: Iterable[Passage], vocabulary: Iterable[Banned]) -> list[str]:
    """Return a line for each violation in passages, in the order of the files."""
    lengths: dict[str, list[int]] = defaultdict(list)
    lines = []
    vocabulary, found = list(vocabulary), list(found)
    for passage in found:
        if passage.is_prose and passage.path.endswith(".py") and (start := FRAGMENT.match(passage.text)):
            lines.append(f"{passage.path}:{passage.line}: a docstring must not start with '{start[0]}': {passage.text}")
    for sentence in (each for passage in found for each in sentences(passage)):
        length, where = words(sentence.text), f"{sentence.path}:{sentence.line}"
        if sentence.is_prose and length:
            lengths[_group(sentence.path)].append(length)
        if length > LONGEST:
            lines.append(f"{where}: {length} words, at most {LONGEST}: {sentence.text}")
        for entry in vocabulary:
            if entry.is_in(sentence.text, sentence.path):
                lines.append(f"{where}: write '{entry.term}', not '{entry.phrase}': {sentence.text}")
    medians = {group: statistics.median(each) for group, each in lengths.items()}
    lines += [f"{group}:1: median {m:g} words, at most {MEDIAN}" for group, m in medians.items() if m > MEDIAN]
    return lines


def check(files: Iterable[Path]) -> list[str]:
    """Return a line for each violation in files."""
    vocabulary = banned(PAGE.read_text(encoding="utf-8"))
    return findings((passage for path in files for passage in passages(path)), vocabulary)


def _group(path: str) -> str:
    """Return the unit that a median covers: a page, or the folder of a Python file."""
    return path if path.endswith(".md") else str(PurePath(path).parent)


def main() -> int:
    """Print the findings; 1 if there are any."""
    found = check([*pages(), *code_files()])
    print("\n".join(found) if found else "prose: no findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
