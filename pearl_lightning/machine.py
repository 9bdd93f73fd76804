"""What a run ran on: versions and hardware, for its summary."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

import pearl_lightning

PACKAGES = ("torch", "pytorch-lightning", "torchrl", "tensordict", "numba", "numpy", "gym-derk")
"""Those whose version may change what a run does."""


def versions() -> dict[str, str]:
    """This library, Python and ``PACKAGES``, as far as they are installed."""
    found = {"pearl-lightning": pearl_lightning.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str | int]:
    """Processor, cores, memory, threads of torch, and the GPUs that torch sees."""
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
    """Its model; Python itself knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
