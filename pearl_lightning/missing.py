"""Messages about packages that are not installed, with the command that installs them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

DISTRIBUTIONS = {
    "Box2D": "gymnasium[box2d]",
    "av": "pearl-lightning[video]",
    "comet_ml": "comet-ml",
    "huggingface_hub": "pearl-lightning[hub]",
    "metaworld": "pearl-lightning[metaworld]",
    "mujoco": "pearl-lightning[mujoco]",
    "numba_cuda": "pearl-lightning[gpu]",
    "onnx": "pearl-lightning[export]",
    "onnxruntime": "pearl-lightning[export]",
    "onnxscript": "pearl-lightning[export]",
    "pygame": "gymnasium[classic-control]",
    "ray": "pearl-lightning[ray]",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Requirement to install for a module, if its package has another name or belongs to an extra of this library."""

_NO_MODULE = r"No module named '(?P<module>[\w.]+)'"
_REQUIREMENT = r"Requirement '(?P<requirement>[^']+)' not met"  # message of lightning-utilities
_HINT = r"[^']*?`pip install (?:-U )?(?P<hint>[^`]+)`"
_OF_CLASS = re.compile(rf"Problem with given class_path '(?P<user>[\w.]+)': (?:{_NO_MODULE}|{_REQUIREMENT}|{_HINT})")
_OF_CALLABLE = re.compile(rf"{_NO_MODULE}\. Got value: (?:\w+\(class_path=')?(?P<user>[\w.]+)")


def missing_package(complaint: str) -> str | None:
    """Return a line about a package that a class needs and that is not installed; None for any other error.

    Args:
        complaint: Error message of jsonargparse, on one line.
    """
    found = _OF_CLASS.search(complaint) or _OF_CALLABLE.search(complaint)
    if found is None:
        return None
    given = {name: text for name, text in found.groupdict().items() if text}
    user = given.pop("user")
    if (module := given.get("module")) is not None:
        if f"{user}.".startswith(f"{module}."):  # the class itself is missing: most likely misspelt
            return None
        return needs(user, module)
    wanted = given.get("requirement") or given["hint"].strip("'\"")
    return _needs(user, wanted)


def needs(user: str, module: str) -> str | None:
    """Return the line about a missing module, such as ``comet_ml``; None if its package is installed."""
    package = module.partition(".")[0]
    return None if find_spec(package) is not None else _needs(user, DISTRIBUTIONS.get(package, package), package)


def explained(error: ModuleNotFoundError) -> str | None:
    """Return the line about a module that could not be imported, with the name of the importing module."""
    user, frame = "this command", error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_globals.get("__name__", "")
        user = user if name.startswith("importlib") else name
        frame = frame.tb_next
    return needs(user, error.name) if error.name else None


def _needs(user: str, wanted: str, name: str | None = None) -> str:
    """Format the line about a requirement such as ``wandb>=0.12.10``; show the version if an old one is installed."""
    package = re.match(r"[\w.-]+", wanted)
    if name is None and package is not None and not _is_installed(package[0]):
        wanted = package[0]
    quoted = f"'{wanted}'" if re.search(r"[^\w.-]", wanted) else wanted
    return f"{user.rpartition('.')[2]} needs {name or wanted}: pip install {quoted}"


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
