"""Hashes of the parameters after a few updates with each ready-made config. A refactoring must not change them.

    python -m benchmarks.parameters > before.txt
    python -m benchmarks.parameters | diff before.txt -

Hashes are comparable only on the same machine and with the same version of torch. Sizes are small, and torch uses one
thread.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from pearl_lightning.cli import main as pearl
from pearl_lightning.commands.config_files import FOLDER

COMBINATIONS = (
    ("point_robot",),
    ("sparse_point_robot",),
    ("point_robot", "few_steps"),
    ("point_robot", "reference"),
    ("point_robot", "baselines/context_free"),
    ("point_robot", "baselines/ppo"),
    ("point_robot", "baselines/rl2"),
    ("point_robot", "baselines/evolution_strategy"),
    ("locomotion",),
    ("locomotion", "reference_locomotion", "mujoco/ant_goal"),
    ("locomotion", "mujoco/cheetah_vel"),
    ("locomotion", "mujoco/cheetah_dir"),
    ("locomotion", "mujoco/ant_dir"),
    ("locomotion", "mujoco/ant_goal"),
    ("locomotion", "mujoco/humanoid_dir"),
    ("locomotion", "mujoco/walker_params"),
    ("locomotion", "mujoco/hopper_params"),
    ("gymnasium",),
    ("gymnasium", "gym/pendulum"),
    ("gymnasium", "gym/cartpole"),
    ("gymnasium", "gym/acrobot"),
    ("metaworld",),
    ("metaworld", "metaworld/ml1_reach"),
    ("metaworld", "metaworld/ml10"),
    ("quickstart",),
    ("derk",),
    ("derk", "self_play"),
    ("derk", "families/loadouts"),
    ("derk", "families/opponents"),
    ("derk", "families/sentinels"),
    ("derk", "families/bounties"),
    ("derk", "families/blind_loadouts"),
    ("derk", "families/bounties", "baselines/oracle"),
    ("derk", "families/bounties", "baselines/context_free"),
    ("derk", "families/bounties", "baselines/ppo"),
    ("derk", "families/bounties", "baselines/evolution_strategy"),
)
SMALL: dict[str, Any] = {
    "arenas": 4,
    "tasks_per_iteration": 4,
    "initial_iterations": 2,
    "every_n_updates": 2,
    "train_tasks": 8,
    "validation_tasks": 2,
    "test_tasks": 2,
    "meta_batch": 4,
    "transitions": 16,
    "updates_per_epoch": 6,
    "episodes_per_task": 12,
    "matches": 1,
    "members": 4,
    "kept": 2,
    "max_steps": 6,
    "val_check_interval": 6,
    "threads": 1,
}
"""Small values of settings, which replace larger ones in a config."""


def shrunk(settings: Any) -> Any:
    """Return a config, or a part of it, with small sizes."""
    if isinstance(settings, list):
        return [shrunk(each) for each in settings]
    if not isinstance(settings, dict):
        return settings
    small = {name: min(value, SMALL[name]) if name in SMALL else shrunk(value) for name, value in settings.items()}
    if str(settings.get("class_path", "")).endswith("DerkEnv"):
        small["init_args"]["backend_options"] = {"episode_ticks": 160, "threads": 1}
    return small


def parameters_hash(combination: tuple[str, ...], folder: Path) -> str:
    """Hash of all parameters and buffers after a few updates with the configs; it does not depend on their names."""
    options = []
    for config in combination:
        copy = folder / f"{config.replace('/', '_')}.yaml"
        settings = shrunk(yaml.safe_load((FOLDER / f"{config}.yaml").read_text(encoding="utf-8")))
        copy.write_text(yaml.safe_dump(settings), encoding="utf-8")
        options += ["--config", str(copy)]
    with contextlib.redirect_stdout(io.StringIO()):
        place = ["--runs_dir", str(folder / "runs"), "--name", "run"]
        status = pearl(["fit", *options, *place, "--trainer.enable_progress_bar", "false"])
    if status:
        raise SystemExit(f"pearl fit of {' '.join(combination)} ended with status {status}")
    state = torch.load(folder / "runs" / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    each = sorted(hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest() for values in state.values())
    return hashlib.sha256("".join(each).encode()).hexdigest()[:16]


def main() -> None:
    """Print a line for each combination of configs."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    for combination in COMBINATIONS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{' + '.join(combination):60} {parameters_hash(combination, Path(folder))}", flush=True)


if __name__ == "__main__":
    main()
