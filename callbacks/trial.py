"""Trial runs with ``fast_dev_run``, which try every part once and write no files."""

from __future__ import annotations

from pytorch_lightning import Trainer


def is_trial(trainer: Trainer) -> bool:
    """Whether the trainer runs with ``fast_dev_run``. Callbacks must then write no files."""
    return bool(getattr(trainer, "fast_dev_run", False))  # Lightning sets it, but does not declare it
