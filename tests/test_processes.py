"""Processes are never forked: a fork after the simulator has played is killed by OpenMP."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [
    file
    for folder in ("pearl_lightning", "callbacks", "benchmarks", "examples")
    for file in (ROOT / folder).rglob("*.py")
]
FORKING = {"fork", "forkpty", "ProcessPoolExecutor", "DataLoader", "Pool"}
"""Names that fork, or do so by default on Linux."""


def forks(tree: ast.AST) -> list[str]:
    """Names in a file by which it might fork."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name == "multiprocessing"]
        elif isinstance(node, ast.ImportFrom):
            makers = {alias.name for alias in node.names if node.module == "multiprocessing"} - {"Pipe"}
            found += sorted(makers | {alias.name for alias in node.names if alias.name in FORKING})
        elif isinstance(node, ast.Attribute) and node.attr in FORKING:
            found.append(node.attr)
    return found


def test_no_file_of_the_library_forks() -> None:
    assert len(FILES) > 150
    found = {str(file.relative_to(ROOT)): forks(ast.parse(file.read_text(encoding="utf-8"))) for file in FILES}
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize(
    "code",
    [
        "import multiprocessing",
        "from multiprocessing import Process",
        "os.fork()",
        "from torch.utils.data import DataLoader",
    ],
)
def test_what_might_fork_is_found(code: str) -> None:
    assert forks(ast.parse(code))
