"""Files of measured figures in docs/results/data, each with the machine that they were measured on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from pearl_lightning.machine import hardware


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """Write figures and the machine to a JSON file."""
    found = hardware()
    machine = {"processor": found["processor"], "cores": os.cpu_count(), "instructions": instructions()}
    if "GPU" in found:
        machine["GPU"] = found["GPU"]
    path.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n", encoding="utf-8")


def instructions() -> str:
    """Vector and matrix instructions that torch uses on this processor."""
    capabilities = torch.cpu.get_capabilities()
    names = {"avx2": "AVX2", "avx512_f": "AVX-512", "amx_tile": "AMX"}
    return ", ".join(text for name, text in names.items() if capabilities.get(name)) or "none known"
