"""Ready-made configs by name, and the order in which configs are combined."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
FOLDER = (_PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent) / "configs"
"""Folder of the ready-made configs: in the package, or beside it in an archive without symbolic links."""
KINDS = ("Environment", "Overlay", "Family", "Baseline")
"""First words of the comments in configs, in the order in which configs are combined."""


def ready_made() -> dict[str, Path]:
    """Return the ready-made configs by name, such as ``derk`` or ``families/bounties``.

    Raises:
        FileNotFoundError: There are no ready-made configs.
    """
    files = sorted(FOLDER.rglob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"there are no ready-made configs in {FOLDER}: install pearl-lightning again")
    return {file.relative_to(FOLDER).with_suffix("").as_posix(): file for file in files}


def find_config(name: str) -> Path:
    """Find the config with a name: a file, or a ready-made config with or without its folder.

    Raises:
        FileNotFoundError: The config does not exist.
    """
    if Path(name).is_file():
        return Path(name)
    configs = ready_made()
    found = [path for known, path in configs.items() if name in (known, known.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    guess = ", ".join(close_names(name, list(configs)))
    raise FileNotFoundError(
        f"there is no config {name}: give a file, or a ready-made config in the list of pearl configs"
        + (f"; did you mean {guess}?" if guess else "")
    )


def close_names(given: str, names: Sequence[str]) -> list[str]:
    """Return the names that are similar to the given one, as a whole or in their last part."""
    last = {name.rpartition("/")[2]: name for name in names}
    by_last_part = [last[part] for part in difflib.get_close_matches(Path(given).stem, last)]
    return list(dict.fromkeys(by_last_part + difflib.get_close_matches(given, names)))


def comment(config: Path) -> str:
    """Return the first line of the comment of a config."""
    with config.open(encoding="utf-8", errors="replace") as file:
        return file.readline().removeprefix("#").strip()


def kind(config: Path) -> str | None:
    """Return the kind of a config by the first word of its comment; None if it is not in ``KINDS``."""
    word = re.match(r"\w*", comment(config))
    return word.group() if word is not None and word.group() in KINDS else None


def family_base(config: Path) -> str:
    """Return the name of the config that a family needs, from its comment ``Family for NAME: ...``; else nothing."""
    found = re.match(r"Family for (\w+)", comment(config))
    return found.group(1) if found is not None else ""


def check_order(configs: Sequence[Path]) -> None:
    """Check the order of configs, so that no config overrides the settings of one that should come later.

    Raises:
        ValueError: The kinds of the configs are not in the order of ``KINDS``.
    """
    ordered = [(config, KINDS.index(found)) for config in configs if (found := kind(config)) is not None]
    for (first, before), (second, after) in zip(ordered, ordered[1:], strict=False):
        if before > after:
            raise ValueError(
                f"--config {second.stem} ({KINDS[after].lower()}) must come before --config {first.stem} "
                f"({KINDS[before].lower()}): later configs override earlier ones, and the order is "
                f"{', '.join(each.lower() for each in KINDS)}"
            )


def with_config_files(arguments: Sequence[str]) -> list[str]:
    """Replace the names after ``--config`` in the arguments of a command by files.

    Raises:
        FileNotFoundError: A config does not exist.
        ValueError: The configs are in the wrong order.
    """
    words: list[str] = []
    configs: list[Path] = []
    for word in arguments:
        option, equals, name = word.partition("=")
        if words and words[-1] == "--config" and not word.startswith("--"):
            configs.append(find_config(word))
            words.append(str(configs[-1]))
        elif option == "--config" and equals:
            configs.append(find_config(name))
            words.append(f"--config={configs[-1]}")
        else:
            words.append(word)
    check_order(configs)
    return words
