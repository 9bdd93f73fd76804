"""Where a command writes: looked at before anything is played, not after."""

from __future__ import annotations

from pathlib import Path


def output_file(option: str, given: str | Path, *suffixes: str) -> Path:
    """The file that an option names; its folder is made.

    Args:
        option: Name of the option, for the complaint.
        given: What was given for it.
        suffixes: What the name must end in one of; anything when left out.

    Raises:
        ValueError: Another ending.
        OSError: The file could not be written.
    """
    path = Path(given)
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"{option} must end in {' or '.join(suffixes)}, got {given}")
    if path.is_dir():
        raise IsADirectoryError(f"{option} must name a file, but {given} is a folder")
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("ab").close()
    if is_new:
        path.unlink()
    return path
