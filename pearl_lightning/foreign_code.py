"""Check of downloaded settings: a class of another package is refused, because importing a module runs it."""

from __future__ import annotations

import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

_ALLOWED = ("pearl_lightning.", "torch.nn.", "torch.optim.")
_REFUSED = "pearl_lightning.envs.ray."  # runs its arguments on a cluster at any address
_IMPORT_PATH = re.compile(r"\s*([^\W\d]\w*)[.:]")  # of module.Class and of module:Name


def foreign_code(settings: Any, folder: Path) -> str | None:
    """Return the first text in settings that could load code from outside of this library; None if there is none.

    Such a text is the path of a class that neither this library nor ``torch.nn`` nor ``torch.optim`` defines, or the
    name of a file, because a setting may be read from a file. Texts that contain YAML are checked as their content.

    Args:
        settings: Dicts, lists, numbers and texts.
        folder: Folder to which names of files are relative.
    """
    return next((text for text in _texts(settings) if _is_foreign(text) or _is_file(text, folder)), None)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, and in the YAML that texts contain, because parsers of settings read it too."""
    if isinstance(value, dict):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
        try:
            content = yaml.safe_load(value)
        except yaml.YAMLError:
            return
        if content != value:
            yield from _texts(content)


def _is_foreign(text: str) -> bool:
    found = _IMPORT_PATH.match(text)
    if found is None:
        return False
    if text.startswith(_ALLOWED):
        return not _is_own_class(text)
    return found[1] in sys.modules or find_spec(found[1]) is not None


def _is_own_class(path: str) -> bool:
    """Whether a path leads to a class that an allowed module defines, and not to something that it imports."""
    if "__" in path:  # __main__ starts the command
        return False
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return False
    module = f"{getattr(found, '__module__', '')}."
    return isinstance(found, type) and module.startswith(_ALLOWED) and not module.startswith(_REFUSED)


def _is_file(text: str, folder: Path) -> bool:
    try:
        return (folder / Path(text).expanduser()).is_file()
    except (OSError, RuntimeError, ValueError):  # no possible name of a file
        return False
