"""Hooks of mkdocs: add generated pages and linked files outside docs/, and remove the marks for tests."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import api_pages
import command_help
import config_options
import derk_tables
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from notebook_page import notebook_page

ROOT = Path(__file__).parent.parent.parent
"""The repository."""
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]+)")
"""Links that may leave docs/."""
MARKS = re.compile(r"^(```\w+) (?:run|no-run)$", flags=re.MULTILINE)
"""Marks that define how tests treat a block (see docs/contributing/tests.md)."""
FOLLOWED = ("Concepts", "Guides", "Environments", "Results", "Contributing")
"""Parts of the navigation that contain every page of the folder of that name."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation with the pages of folders and the generated pages."""
    for part in config.nav or []:
        for title, entries in part.items():
            if title in FOLLOWED:
                entries += sorted(_pages_below(title.lower()) - set(entries))
            if title == "Reference":
                entries.append({"Python": [{package: _api_path(package)} for package in api_pages.pages()]})
    return config


def _pages_below(folder: str) -> set[str]:
    return {path.relative_to(DOCS).as_posix() for path in (DOCS / folder).rglob("*.md")}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and pages for linked files."""
    for path, content in generated_pages().items():
        is_listed = not path.startswith("files/")
        inclusion = InclusionLevel.INCLUDED if is_listed else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, path, content=content, inclusion=inclusion))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to the pages of those files, and remove the marks for tests."""
    folder = posixpath.dirname(page.file.src_uri)

    def lead(match: re.Match[str]) -> str:
        outside = _outside(DOCS / folder, match[1])
        return posixpath.relpath(_file_page(outside), folder or ".") if outside else match[1]

    return MARKS.sub(r"\1", LINK.sub(lead, markdown))


def generated_pages() -> dict[str, str]:
    """Markdown by path below docs/."""
    pages = {
        "reference/derk.md": derk_tables.page(),
        "reference/settings.md": config_options.page(),
        "reference/commands.md": command_help.page(),
        "changelog.md": _at_top("CHANGELOG.md"),
        "contributing.md": _at_top("CONTRIBUTING.md"),
    }
    pages |= {_api_path(package): content for package, content in api_pages.pages().items()}
    return pages | {_file_page(path): _shown(path) for path in sorted(set(_linked()))}


def _at_top(name: str) -> str:
    """A page at the top of the repository, whose links into docs/ are links within the site."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def _linked() -> Iterator[Path]:
    for page in DOCS.rglob("*.md"):
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            outside = _outside(page.parent, target)
            if outside:
                yield outside


def _outside(folder: Path, target: str) -> Path | None:
    """The file of the repository, outside docs/, that a link leads to."""
    path = Path(os.path.normpath(folder / target))
    return path if path.is_file() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS) else None


def _shown(path: Path) -> str:
    if path.suffix == ".ipynb":
        return notebook_page(path)
    language = {".py": "python", ".yaml": "yaml"}.get(path.suffix, "text")
    return f"# {path.relative_to(ROOT)}\n\n~~~~ {language}\n{path.read_text(encoding='utf-8')}~~~~\n"


def _file_page(path: Path) -> str:
    return f"files/{path.relative_to(ROOT)}.md"


def _api_path(package: str) -> str:
    return f"reference/api/{package}.md"
