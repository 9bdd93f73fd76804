"""The fenced blocks of README.md and docs/, and the commands in them.

The word behind a block's language says how it is treated: ``python`` blocks are executed, ``python no-run`` ones only
compiled; ``sh`` and ``bash`` blocks are checked for syntax and options, the commands of ``sh run`` ones are also run. A
block with ``title="NAME"`` is a file of the user's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARKS = {"run", "no-run"}

_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})\s*(?P<language>\w*)\s*(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: Its page, below the repository.
        line: Number of its first line of code.
        language: What it is written in; empty for none.
        mark: ``run``, ``no-run`` or nothing.
        title: The file it stands for; empty for none.
        code: What it holds.
    """

    page: str
    line: int
    language: str
    mark: str
    title: str
    code: str

    @property
    def where(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """A page's blocks, in order."""
    found, lines = [], iter(enumerate(page.read_text().splitlines(), start=1))
    for number, line in lines:
        opening = _FENCE.match(line)
        if not opening:
            continue
        code = []
        for _, inner in lines:
            if inner.strip() == opening["fence"]:
                break
            code.append(inner)
        else:
            raise ValueError(f"{page}:{number}: a block that does not end")
        title = _TITLE.search(opening["rest"])
        mark = _TITLE.sub("", opening["rest"]).strip()
        if mark not in {"", *MARKS}:
            raise ValueError(f"{page}:{number}: a block's mark must be one of {', '.join(MARKS)}, got {mark!r}")
        text = "\n".join(code) + "\n"
        name = str(page.relative_to(ROOT))
        found.append(Block(name, number + 1, opening["language"], mark, title[1] if title else "", text))
    return found


def write_titled(page: Path, folder: Path) -> None:
    """Put a page's files, and the repository's configs, into a folder, as a user has them."""
    (folder / "configs").symlink_to(ROOT / "configs")
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.code)


def pearl_commands(block: Block) -> Iterator[list[str]]:
    """The words behind ``pearl`` in a shell block; variables are put in, what runs hold is taken from ``configs/``."""
    code = block.code.replace("\\\n", " ")
    variables = dict(re.findall(r"^\s*(\w+)=([^\s()]+)", code, flags=re.MULTILINE))
    for line in code.splitlines():
        words = shlex.split(line.strip().replace('"${resume[@]}"', ""), comments=True)
        while words and (re.match(r"\w+=", words[0]) or words[0] in ("srun", "until")):
            words.pop(0)
        if words and Path(words[0]).name == "pearl":
            arguments = words[1:]
        elif "pearl_lightning" in words and words[words.index("pearl_lightning") - 1] == "-m":
            arguments = words[words.index("pearl_lightning") + 1 :]
        else:
            continue
        yield [_known(re.sub(r"\$(\w+)", lambda m: variables.get(m[1], m[1]), word)) for word in arguments]


def _known(word: str) -> str:
    """A run's ``config.yaml`` as the config that the run was of."""
    run = re.fullmatch(r"runs/([\w-]+)/config\.yaml", word)
    if not run:
        return word
    named = {yaml.safe_load(path.read_text()).get("name"): path for path in sorted((ROOT / "configs").glob("*.yaml"))}
    return str(named[run[1]])
