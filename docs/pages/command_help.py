"""The page of the commands, generated from their help texts."""

from __future__ import annotations

import contextlib
import io
import os
import re

from pearl_lightning.cli import USAGE, main

WIDTH = "100"
"""Columns of the help texts."""


def commands() -> list[str]:
    """Every command, in the order of ``pearl --help``."""
    return re.findall(r"^  ([\w-]+) +\S", USAGE, flags=re.MULTILINE)


def help_of(command: str) -> str:
    """Return the output of ``pearl COMMAND --help``."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([command, "--help"])
    finally:
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)
    return printed.getvalue()


def page() -> str:
    """The page's Markdown."""
    parts = ["# Commands\n", f"```text\n{USAGE}\n```\n"]
    parts.append("`fit`, `validate` and `test` take [every setting](settings.md) as an option.\n")
    for command in commands():
        if command not in ("fit", "validate", "test"):
            parts.append(f"## pearl {command}\n\n```text\n{help_of(command).rstrip()}\n```\n")
    return "\n".join(parts)
