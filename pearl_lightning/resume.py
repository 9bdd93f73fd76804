"""Settings of a resumed run. A changed setting either takes effect or raises an error that names it."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch.optim import Optimizer


def start_settings(trainer: Trainer) -> dict[str, Any]:
    """Return the settings that only affect the start of a run, by name. A resumed run must not change them.

    Learners and callbacks return theirs from a method ``start_settings``.
    """
    seed = os.environ.get(
        "PL_GLOBAL_SEED"
    )  # set by seed_everything; a resumed run restores its random states from disk
    settings: dict[str, Any] = {} if seed is None else {"seed_everything": int(seed)}
    for part in (trainer.lightning_module, *trainer.callbacks):  # type: ignore[attr-defined]
        if hasattr(part, "start_settings"):
            settings |= part.start_settings()
    return settings


def check_start_settings(trainer: Trainer, saved: dict[str, Any]) -> None:
    """Raise an error if a setting that only affects the start of a run has changed.

    Args:
        trainer: Trainer of the resumed run.
        saved: Result of ``start_settings`` when the checkpoint was written.

    Raises:
        ValueError: A setting has changed.
    """
    for name, value in start_settings(trainer).items():
        if name in saved and saved[name] != value:
            raise ValueError(
                f"{name} must be {saved[name]}, as at the start of the run, got {value}: it affects only the start"
            )


def optimizer_settings(trainer: Trainer) -> list[dict[str, Any]]:
    """Class and settings of each optimizer as in the config, regardless of later changes by a schedule."""
    return [{"class": _name(optimizer), "settings": dict(optimizer.defaults)} for optimizer in trainer.optimizers]


def check_optimizers(trainer: Trainer, saved: list[dict[str, Any]]) -> None:
    """Raise an error if an optimizer cannot load its state from a checkpoint.

    Args:
        trainer: Trainer of the resumed run, with optimizers that are not restored yet.
        saved: Result of ``optimizer_settings`` when the checkpoint was written.

    Raises:
        ValueError: An optimizer has another class, or a changed setting needs state that the checkpoint lacks.
    """
    for optimizer, before in zip(trainer.optimizers, saved, strict=False):  # a temperature may be fixed now
        if _name(optimizer) != before["class"]:
            raise ValueError(
                f"the checkpoint was written with the optimizer {before['class']}; resume with it, not with "
                f"{_name(optimizer)}"
            )
        changed = _changed(optimizer, before["settings"])
        missing = changed and _state_names(optimizer) - _state_names(optimizer, before["settings"])
        if missing:
            raise ValueError(
                f"{', '.join(changed)} of {_name(optimizer)} cannot change on resume: the checkpoint has no "
                f"{', '.join(sorted(missing))}"
            )


def apply_optimizer_settings(trainer: Trainer, saved: list[dict[str, Any]]) -> None:
    """Apply changed settings of the config to the restored optimizers.

    Unchanged settings keep their restored values, because a schedule may have changed these.
    """
    for optimizer, before in zip(trainer.optimizers, saved, strict=False):
        changed = _changed(optimizer, before["settings"])
        for group in optimizer.param_groups:
            group.update({name: optimizer.defaults[name] for name in changed})


def _name(optimizer: Optimizer) -> str:
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"


def _changed(optimizer: Optimizer, before: dict[str, Any]) -> list[str]:
    """Names of the settings that have changed."""
    return [name for name, value in optimizer.defaults.items() if name not in before or before[name] != value]


def _state_names(optimizer: Optimizer, settings: dict[str, Any] | None = None) -> set[str]:
    """Names of the per-parameter state of an optimizer with these settings, found by a step of a copy."""
    trial = copy.copy(optimizer)
    number = torch.zeros(1, requires_grad=True)
    number.grad = torch.zeros(1)
    trial.state = copy.copy(optimizer.state)
    trial.param_groups = [{**optimizer.defaults, **(settings or {}), "params": [number]}]
    trial.state.clear()
    trial.step()
    return set(trial.state[number])
