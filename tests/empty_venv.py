"""A virtual environment that has nothing but the packages that a wheel declares."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pearl_processes import without_coverage


def clean_environment() -> dict[str, str]:
    """This process's environment without coverage and without the variables of Python."""
    return {name: value for name, value in without_coverage().items() if not name.startswith("PYTHON")}


def install_alone(wheel: Path, folder: Path) -> Path:
    """Install a wheel in a new virtual environment; return the environment's folder of commands.

    The dependencies are links to the packages of the tests' own environment: nothing is downloaded. pip checks that
    they are all there, in versions that the wheel accepts. A package that is not declared cannot be imported.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in _declared(wheel):
        _link(package, site)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    result = subprocess.run(
        [*pip, "install", "--quiet", "--no-index", str(wheel)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert result.returncode == 0, result.stderr
    return folder / "bin"


def _declared(wheel: Path) -> list[Distribution]:
    """The packages that a wheel requires, and those that they require."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
    found: dict[str, Distribution] = {}
    waiting = [(requirement, "") for requirement in metadata.get_all("Requires-Dist", [])]
    asked: set[tuple[str, str]] = set()
    while waiting:
        if (next_one := waiting.pop()) in asked:
            continue
        asked.add(next_one)
        requirement, extra = Requirement(next_one[0]), next_one[1]
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        package = distribution(requirement.name)
        found[canonicalize_name(requirement.name)] = package
        waiting += [(each, extra) for each in package.requires or [] for extra in ("", *requirement.extras)]
    return list(found.values())


def _link(package: Distribution, site: Path) -> None:
    for name in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
        link = site / name
        if not link.exists():  # packages may share a folder
            link.symlink_to(Path(str(package.locate_file(name))).resolve())
