"""Everything public says what it is."""

from __future__ import annotations

import ast
import pkgutil
import re
from pathlib import Path

import pytest
from doc_blocks import ROOT

DECODED = re.compile(r"(?:^|^\s*\w+: )(?:Of|Its|Whose) ", re.MULTILINE)
"""A docstring, or an entry in it, that starts in the middle of a sentence."""
PACKAGE = ROOT / "pearl_lightning"
FILES = sorted({*PACKAGE.rglob("*.py"), *(PACKAGE / "callbacks").rglob("*.py")})
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def documented_constants(tree: ast.Module) -> set[str]:
    """Names that are assigned and followed by a string."""
    found = set()
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        is_told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if is_told and isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


CONSTANTS = set().union(*map(documented_constants, TREES.values()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_modules_public_classes_and_functions_have_docstrings(path: Path) -> None:
    tree = TREES[path]
    definitions = [n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))]
    silent = [n.name for n in definitions if not n.name.startswith("_") and not ast.get_docstring(n)]
    assert not silent
    assert ast.get_docstring(tree) or path.name == "__main__.py"


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_what_a_package_exports_is_documented(path: Path) -> None:
    name = ".".join(path.parent.relative_to(ROOT).parts)
    package = pkgutil.resolve_name(name)
    for exported in getattr(package, "__all__", ()):
        what = getattr(package, exported)
        is_constant = not (isinstance(what, type) or callable(what)) or exported in CONSTANTS
        assert exported in CONSTANTS if is_constant else what.__doc__, exported


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "benchmarks").rglob("*.py"))], ids=lambda path: path.name)
def test_no_entry_starts_in_the_middle_of_a_sentence(path: Path) -> None:
    tree = TREES.get(path) or ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in texts if DECODED.search(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Of the posterior, in nats.", True),
        ("A class.\n\n    Args:\n        weight: Of the loss, above 0.\n", True),
        ("A class.\n\n    Args:\n        z_std: Its standard deviation.\n", True),
        ("Entropy of the posterior.", False),
        ("A class.\n\n    Args:\n        weight: Weight of the loss.\n", False),
    ],
)
def test_the_check_above_finds_what_it_should(text: str, found: bool) -> None:
    assert bool(DECODED.search(text)) == found
