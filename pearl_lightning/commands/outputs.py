"""Check of output files before a command starts its work."""

from __future__ import annotations

from pathlib import Path


def output_file(option: str, given: str | Path, *suffixes: str) -> Path:
    """Check that an output file can be written, and create its folder; return its path.

    Args:
        option: Name of the option, for error messages.
        given: Value of the option.
        suffixes: Allowed suffixes of the file name; any suffix by default.

    Raises:
        ValueError: The suffix is not allowed.
        OSError: The file cannot be written.
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
