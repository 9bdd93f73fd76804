"""Checkpoints that are read, and rebuild their model, without unpickling anything."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule

INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"
"""What Lightning rebuilds a module with whose hyperparameters read like a config."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What a ``.ckpt`` of this library holds, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a checkpoint, or not a whole one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        complete = {"state_dict", "hyper_parameters", "global_step"} <= checkpoint.keys() and (
            "_class_path" in checkpoint["hyper_parameters"]
        )
    except Exception as error:  # torch raises whatever its parts raise
        raise ValueError(f"{path} is not a checkpoint that torch.load(weights_only=True) reads") from error
    if not complete:
        raise ValueError(
            f"{path} is not a checkpoint of an agent: state_dict, global_step or the agent's class is missing"
        )
    return checkpoint


def make_hyperparameters_plain(module: LightningModule) -> None:
    """Rewrite what ``save_hyperparameters`` kept of a module that was made in Python as a config would say it.

    Those of a module that the command line made read so already.
    A class or a ``functools.partial`` of one becomes its class path and arguments, so that ``load_from_checkpoint``
    rebuilds the module without unpickling. Defaults that cannot be said so are left out; any other function is replaced
    by a note, and has to be given to ``load_from_checkpoint`` again.
    """
    if "_instantiator" in module.hparams:
        return
    defaults: dict[str, Any] = {}
    for cls in reversed(type(module).__mro__):  # a subclass may pass on what it does not name
        if "__init__" in vars(cls):
            defaults |= {name: p.default for name, p in inspect.signature(vars(cls)["__init__"]).parameters.items()}
    given = {name: value for name, value in module.hparams.items() if value is not defaults.get(name)}
    plain = {name: _plain(value) for name, value in given.items()}
    module.hparams.clear()
    class_path = f"{type(module).__module__}.{type(module).__qualname__}"
    module.hparams.update(plain | {"_instantiator": INSTANTIATOR, "_class_path": class_path})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, type):
        return {"class_path": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, partial) and isinstance(value.func, type) and not value.args:
        return _plain(value.func) | {"init_args": _plain(value.keywords)}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    return f"{type(value).__name__}_to_be_given_to_load_from_checkpoint"
