"""Files of an agent outside of its run: weights without what only training needs, settings without local paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pearl_lightning.commands.environments import one_workers
from pearl_lightning.commands.playing import evaluated_deterministically

_KEPT = ("state_dict", "hyper_parameters", "global_step", "pytorch-lightning_version")
_OF_THIS_MACHINE = ("runs_dir", "ckpt_path")


def write_agent(checkpoint: Path, config: Path, out: Path) -> int:
    """Write a checkpoint without optimizers, replay and callbacks; return the number of its updates.

    A ``.yaml`` file beside it gets the environment, and the mode in which the run's evaluations play the policy. Arenas
    on several machines become those of one worker.

    Args:
        checkpoint: A ``.ckpt`` of ``pearl fit``.
        config: Config of its run.
        out: The new ``.ckpt``.
    """
    import torch

    from pearl_lightning.checkpoints import load_checkpoint

    content = load_checkpoint(checkpoint)
    torch.save({name: content[name] for name in _KEPT}, out)
    settings = {
        "evaluation": {"init_args": {"deterministic": evaluated_deterministically([config])}},
        "data": {"init_args": {"env": one_workers(environment(config))}},
    }
    _write(settings, out.with_suffix(".yaml"))
    return int(content["global_step"])


def environment(config: Path) -> dict[str, Any]:
    """Return the settings of the environment as a config contains them."""
    data = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
    env: dict[str, Any] = data.get("init_args", data)["env"]
    return env


def write_config(config: Path, out: Path) -> None:
    """Write the settings of a run without its loggers, which may contain keys, and without folders of this machine."""
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings = {name: value for name, value in settings.items() if name not in _OF_THIS_MACHINE}
    if isinstance(trainer := settings.get("trainer"), dict):
        settings["trainer"] = {name: value for name, value in trainer.items() if name != "logger"}
    _write(settings, out)


def _write(settings: dict[str, Any], path: Path) -> None:
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
