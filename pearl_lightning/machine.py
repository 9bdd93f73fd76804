"""Software versions and hardware of this machine, for the summary of a run."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

import pearl_lightning

PACKAGES = ("torch", "pytorch-lightning", "torchrl", "tensordict", "numba", "numpy", "gym-derk")
"""Packages with versions that may affect a run."""


def versions() -> dict[str, str]:
    """Versions of this library, of Python and of the installed packages in ``PACKAGES``."""
    found = {"pearl-lightning": pearl_lightning.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str | int]:
    """Processor, number of cores, memory, number of torch threads, and the GPUs that torch finds."""
    memory = psutil.virtual_memory().total / 2**30
    found: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory": f"{memory:.1f} GiB",
        "torch threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        found["GPU"] = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return found


def _processor() -> str:
    """Model of the processor. Python's ``platform.processor()`` returns it only on some systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
