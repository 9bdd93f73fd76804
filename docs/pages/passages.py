"""Reads the prose of Markdown, Python and YAML files as passages: text without markup, with its place in the file."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent.parent
"""The repository."""
CODE = ("pearl_lightning", "callbacks", "benchmarks", "examples")
"""Folders of Python files."""
SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:")
"""Sections of a docstring."""
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", flags=re.DOTALL)
ENTRY = re.compile(r"^[\w*.]+(?: \([^)]*\))?: ")
"""The name that starts an entry of a docstring."""
ADMONITION = re.compile(r"^(?:!!!|\?\?\?\+?) ")
MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Passage:
    """A paragraph, list item, docstring entry, heading, table cell, comment or message.

    Args:
        path: File, below the repository.
        line: Number of its first line.
        text: Text with its line breaks; code is in backticks, links are without targets.
        is_prose: Whether it is a paragraph or list item of a page or docstring.
    """

    path: str
    line: int
    text: str
    is_prose: bool


def pages() -> list[Path]:
    """Every page of the documentation, with those at the top of the repository."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def code_files() -> list[Path]:
    """Every Python file and every config; links between folders are not followed."""
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*files, *sorted((ROOT / "configs").rglob("*.yaml"))]


def passages(path: Path) -> list[Passage]:
    """The passages of a file, by its suffix."""
    readers = {".md": read_markdown, ".py": read_python, ".yaml": read_yaml}
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    return list(readers[path.suffix](path.read_text(encoding="utf-8"), name))


def read_markdown(text: str, path: str, first: int = 1) -> Iterator[Passage]:
    """Passages of a Markdown text whose first line has the number ``first``."""
    front = FRONT_MATTER.match(text)
    lines = text.splitlines()
    lines[: front[0].count("\n") if front else 0] = [""] * (front[0].count("\n") if front else 0)
    outer: list[str] = []
    for token in MARKDOWN.parse("\n".join(_without_admonitions(lines))):
        if token.nesting == 1:
            outer.append(token.type)
        elif token.nesting == -1:
            outer.pop()
        elif token.type == "inline" and token.map:
            plain = _plain(token.children or ())
            is_prose = outer[-1] == "paragraph_open"
            if re.search(r"\w", plain):
                yield Passage(path, first + token.map[0], plain, is_prose)


def read_python(text: str, path: str) -> Iterator[Passage]:
    """Docstrings as prose, and comments and other strings of several words as further passages."""
    tree = ast.parse(text)
    docstrings = {id(node.value): node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) in docstrings:
            yield from read_markdown(_docstring(node.value), path, node.lineno)
        elif id(node) not in inner and isinstance(node, (ast.Constant, ast.JoinedStr)):
            message = _message(node)
            if len(message.split()) > 2:
                yield Passage(path, node.lineno, message, False)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from _comments(((t.start[0], t.string, t.line) for t in tokens if t.type == tokenize.COMMENT), path)


def read_yaml(text: str, path: str) -> Iterator[Passage]:
    """The comments of a YAML file."""
    found = ((i, line, re.search(r"(?:^|\s)(#.*)", line)) for i, line in enumerate(text.splitlines(), start=1))
    yield from _comments(((i, match[1], line) for i, line, match in found if match), path)


def _comments(found: Iterable[tuple[int, str, str]], path: str) -> Iterator[Passage]:
    """Comments by number, comment and line; those that fill consecutive lines are one passage."""
    block: list[str] = []
    last = 0
    for number, comment, line in [*found, (0, "", "")]:
        fills = bool(comment) and line.strip().startswith("#")
        if block and not (fills and number == last + 1):
            yield Passage(path, last - len(block) + 1, "\n".join(block), False)
            block = []
        if fills:
            block.append(comment.lstrip("# "))
        elif comment:
            yield Passage(path, number, comment.lstrip("# "), False)
        last = number


def _message(node: ast.Constant | ast.JoinedStr) -> str:
    """A string with ``…`` in place of values; empty for other constants and for HTML."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
    is_text = isinstance(node, ast.JoinedStr) or isinstance(node.value, str)
    return text if is_text and not text.lstrip().startswith("<") else ""


def _docstring(text: str) -> str:
    """A Google-style docstring as Markdown with the same lines: entries of sections are list items."""
    lines, in_section = [], False
    for line in inspect.cleandoc(text).splitlines():
        if line in SECTIONS:
            line, in_section = "", True
        elif in_section and line.startswith("    "):
            line = ENTRY.sub("* ", line[4:])
        elif line:
            in_section = False
        lines.append(line)
    return "\n".join(lines)


def _without_admonitions(lines: Iterable[str]) -> Iterator[str]:
    """Lines in which the content of an admonition is not indented, and its head is empty."""
    is_inside = False
    for line in lines:
        if ADMONITION.match(line):
            is_inside, line = True, ""
        elif line and not line.startswith("    "):
            is_inside = False
        yield line.removeprefix("    ") if is_inside else line


def _plain(children: Iterable[Token]) -> str:
    """Text of an inline token without markup; code keeps its backticks."""
    kept = {"text": "{}", "text_special": "{}", "code_inline": "`{}`", "softbreak": "\n", "hardbreak": "\n"}
    return "".join(kept.get(child.type, "").format(child.content) for child in children)
