"""Reading of checkpoints, and their hyperparameters, without unpickling."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule

from pearl_lightning.hub import download, is_shared

INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"
"""Function with which Lightning rebuilds a module from hyperparameters in config format."""


def checkpoint_file(given: str, named_run: Path | None = None) -> Path:
    """Find the checkpoint that a command-line argument names.

    Args:
        given: A ``.ckpt`` file; the folder of a run, for its ``last.ckpt``; ``hf://OWNER/NAME[@REVISION]``, which is
            downloaded; or, with ``named_run``, ``last`` or ``best``.
        named_run: Folder of the run that ``last`` and ``best`` refer to.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        OSError: It cannot be downloaded.
        ValueError: A downloaded checkpoint is refused.
    """
    if is_shared(given):
        return download(given)
    path = Path(given)
    if named_run is not None and given in ("last", "best") and not path.exists():
        path = named_run / "checkpoints" / f"{given}.ckpt"
    elif path.is_dir():
        path = path / ("last.ckpt" if path.absolute().name == "checkpoints" else "checkpoints/last.ckpt")
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    return path


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """Load a checkpoint of this library to the CPU.

    Args:
        path: A ``.ckpt`` file, the folder of a run, for its ``last.ckpt``, or ``hf://OWNER/NAME[@REVISION]``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a checkpoint or is incomplete.
    """
    path = checkpoint_file(str(path))
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        complete = {"state_dict", "hyper_parameters", "global_step"} <= checkpoint.keys() and (
            "_class_path" in checkpoint["hyper_parameters"]
        )
    except Exception as error:  # torch.load raises many types of errors
        raise ValueError(f"{path} is not a checkpoint that torch.load(weights_only=True) reads") from error
    if not complete:
        raise ValueError(
            f"{path} is not a checkpoint of an agent: state_dict, global_step or the agent's class is missing"
        )
    return checkpoint


def make_hyperparameters_plain(module: LightningModule) -> None:
    """Convert the saved hyperparameters of a module that was created in Python to the format of a config.

    The hyperparameters of a module that was created by the command line already have this format.
    A class or a ``functools.partial`` of a class becomes its class path and arguments, so ``load_from_checkpoint`` can
    rebuild the module without unpickling. Arguments that have their default value are omitted. Any other function is
    replaced by a note; it must be passed to ``load_from_checkpoint`` again.
    """
    if "_instantiator" in module.hparams:
        return
    defaults: dict[str, Any] = {}
    for cls in reversed(type(module).__mro__):  # a subclass may accept arguments of its base class as **kwargs
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
