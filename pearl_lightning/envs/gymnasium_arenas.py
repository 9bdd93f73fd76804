"""Arenas of a Gymnasium environment in this process. This module does not import torch, for fast workers."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from pearl_lightning.envs.gymnasium_tasks import (
    SUCCESS,
    TERMINATED,
    TRUNCATED,
    MakeEnv,
    TaskBy,
    TaskWrapper,
    check_mapping,
    check_task,
    missing_line,
)
from pearl_lightning.envs.spaces import Array, observation_features, to_actions


class Arenas:
    """Environments that play one task each, vectorized by Gymnasium.

    Args:
        make: Makes one environment, given keyword arguments.
        task_by: How a task reaches it (see ``GymnasiumEnv``).
        task: First task of all arenas.
        numbers: Numbers of the arenas, for errors.
    """

    def __init__(self, make: MakeEnv, task_by: TaskBy, task: Any, numbers: range) -> None:
        wrapped = [partial(TaskWrapper, make, task_by, task, number) for number in numbers]
        self.vector = SyncVectorEnv(wrapped, autoreset_mode=AutoresetMode.DISABLED)

    def begin(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Array:
        """Start an episode with one task and one seed per arena; return features ``[arena, feature]``."""
        self.vector.set_attr("task", list(tasks))
        features, _ = self.vector.reset(seed=list(seeds))
        return features

    def advance(self, rows: Array) -> dict[str, NDArray[Any]]:
        """Play one step with action rows ``[arena, width]``.

        Returns:
            ``observation`` ``[arena, feature]``, and ``reward``, ``terminated``, ``truncated`` and ``success``
            ``[arena]``; the last is NaN if the environment does not report it.
        """
        features, reward, _, _, info = self.vector.step(to_actions(self.vector.single_action_space, rows))
        success = np.full(len(rows), np.nan, dtype=np.float32)
        if SUCCESS in info:
            success = np.where(info[f"_{SUCCESS}"], info[SUCCESS].astype(np.float32), success)
        return {
            "observation": features,
            "reward": reward.astype(np.float32),
            "terminated": info[TERMINATED].astype(bool),
            "truncated": info[TRUNCATED].astype(bool),
            "success": success,
        }

    def picture(self) -> NDArray[np.uint8]:
        """Draw the first arena, as RGB values ``[row, column, 3]``."""
        return np.asarray(self.vector.envs[0].render(), dtype=np.uint8)

    def report(self) -> dict[str, str | int]:
        """Return nothing: nothing can be lost in this process."""
        return {}

    def start(self) -> None:
        """Do nothing: the environments are made with this object."""

    def close(self) -> None:
        """Close the environments; a second call does nothing."""
        self.vector.close()


def maker(id: str, kwargs: Mapping[str, Any]) -> MakeEnv:
    """A function that makes one environment, also in another process, where a registered one need not be registered.

    Raises:
        ValueError: There is no such environment.
    """
    module, colon, name = id.rpartition(":")
    try:
        if colon:
            import_module(module)  # registers its environments
        if name in gymnasium.registry:
            return partial(gymnasium.make, gymnasium.registry[name], **kwargs)
        if "." not in id and not colon:
            similar = get_close_matches(id, gymnasium.registry, 3) or ["one of gymnasium.registry"]
            raise ValueError(f"is it {' or '.join(similar)}?")
        kind = pkgutil.resolve_name(id)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"id must be a registered environment or module.Class, got {id!r}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, gymnasium.Env)):
        raise ValueError(f"id must be a registered environment or the path of a gymnasium.Env, got {id!r}")
    return partial(kind, **kwargs)


def trial(make: MakeEnv, task_by: TaskBy, task: Any, id: str) -> gymnasium.Env[Any, Any]:
    """Make an environment with its first task, to read its spaces; refuse what does not fit before anything is played.

    Raises:
        ValueError: The environment cannot be made, has no such parameter, or its observations are not supported.
        RuntimeError: A package that the environment needs is not installed.
    """
    check_mapping(task, task_by)
    given = dict(task) if task_by == "constructor" else {}
    wanted = make.keywords.get("render_mode") if isinstance(make, partial) else None
    try:
        env = make(**given)
    except Exception as error:
        if (line := missing_line(error, id)) is not None:
            raise RuntimeError(line) from error
        if wanted is not None and "render_mode" in str(error):
            raise ValueError(f"{id} draws no pictures: {error}") from error
        raise ValueError(f"{id} cannot be made with the given arguments: {type(error).__name__}: {error}") from error
    for name in ("observation_space", "action_space"):
        if getattr(env, name, None) is None:
            raise ValueError(f"{id} must define {name}, got none")
    modes = env.metadata.get("render_modes", [])
    if wanted is not None and wanted not in modes:
        raise ValueError(f"{id} draws no pictures: kwargs.render_mode must be one of {modes}, got {wanted!r}")
    check_task(env, task, task_by, id)
    observation_features(env.observation_space)
    return env
