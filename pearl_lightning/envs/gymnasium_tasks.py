"""How a task reaches a Gymnasium environment. This module does not import torch, for fast workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal

import gymnasium
import numpy as np

from pearl_lightning.envs.spaces import have_same_layout, observation_features, to_features
from pearl_lightning.missing import needs

TERMINATED, TRUNCATED, SUCCESS = "arena_terminated", "arena_truncated", "arena_success"
"""Keys of ``info`` that ``TaskWrapper`` sets."""
TaskBy = Literal["attributes", "options", "set_task", "constructor"]
MakeEnv = Callable[..., gymnasium.Env[Any, Any]]


class ArenaError(RuntimeError):
    """Raised if the code of an environment raises an error. The message names the arena, the step and the task."""


class TaskWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives an environment its task at every reset, and stays where it is after the end of an episode.

    Observations are flattened. The end is reported in ``info``, because Gymnasium's vectorized environments do not let
    the others play on after it.

    Args:
        make: Makes the environment, given keyword arguments.
        task_by: How the task reaches it (see ``GymnasiumEnv``).
        task: First task.
        arena: Number of the arena, for errors.
    """

    def __init__(self, make: MakeEnv, task_by: TaskBy, task: Any, arena: int) -> None:
        try:
            env = make(**task) if task_by == "constructor" else make()
        except Exception as error:
            raise _named(error, arena, "in its constructor", task) from error
        super().__init__(env)
        self.make, self.task_by, self.task, self.arena = make, task_by, task, arena
        self.space = self.env.observation_space
        self.features = observation_features(self.space)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.features,), np.float32)
        self._steps = 0  # of the running episode
        self._last: tuple[Any, float, bool, bool, dict[str, Any]] | None = None  # after the end

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._steps, self._last = 0, None
        try:
            self._set_task()
            given = dict(self.task) if self.task_by == "options" else options
            observation, _ = self.env.reset(seed=seed, options=given)
            return to_features(self.space, observation, self.features), {}
        except Exception as error:
            raise self._named(error, "in reset") from error

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._last is not None:
            return self._last
        self._steps += 1
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
            features = to_features(self.space, observation, self.features)
            reward = _number(reward)
        except Exception as error:
            raise self._named(error, f"in step {self._steps}") from error
        ends = {TERMINATED: bool(terminated), TRUNCATED: bool(truncated)}
        if terminated or truncated:
            self._last = features, 0.0, False, False, ends
        success = {SUCCESS: bool(info["success"])} if "success" in info else {}
        return features, reward, False, False, ends | success

    def render(self) -> Any:
        """A picture, as RGB values ``[row, column, 3]``."""
        try:
            picture = np.asarray(self.env.render())
        except Exception as error:
            raise self._named(error, "in render") from error
        if picture.dtype != np.uint8 or picture.ndim != 3:
            raise ArenaError(f"render must return RGB values [row, column, 3], got {picture.dtype} {picture.shape}")
        return picture

    def _set_task(self) -> None:
        if self.task_by == "constructor":
            self.env.close()
            self.env = self.make(**self.task)
            self._check_spaces()
        elif self.task_by == "set_task":
            self.env.unwrapped.set_task(self.task)  # type: ignore[attr-defined]
        elif self.task_by == "attributes":
            for path, value in self.task.items():
                set_attribute(self.env.unwrapped, path, value)

    def _check_spaces(self) -> None:
        made = self.env.observation_space
        if not have_same_layout(made, self.space):
            raise ValueError(f"all tasks must have the same observations, got {made} in place of {self.space}")
        made = self.env.action_space
        if made != self.action_space:
            raise ValueError(f"all tasks must have the same actions, got {made} in place of {self.action_space}")

    def _named(self, error: Exception, when: str) -> ArenaError:
        if (line := missing_line(error, self.spec.id if self.spec else type(self.unwrapped).__name__)) is not None:
            return ArenaError(line)
        return _named(error, self.arena, when, self.task)


def _named(error: Exception, arena: int, when: str, task: Any) -> ArenaError:
    """The error with the arena, the last line of the environment's code, and the task."""
    frames = [each for each in extract_tb(error.__traceback__) if Path(each.filename).parent != Path(__file__).parent]
    where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, " if frames else ""
    return ArenaError(f"arena {arena} raised {type(error).__name__}: {error} ({where}{when}, with the task {task})")


def _number(reward: Any) -> float:
    numbers = np.asarray(reward, dtype=np.float64)
    if numbers.size != 1:
        raise ValueError(f"rewards must be single numbers, got {reward!r}")
    return float(numbers.reshape(()))


def missing_line(error: BaseException, id: str) -> str | None:
    """The line about a package that an environment needs and that is not installed; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return needs(id, cause.name)
        cause = cause.__cause__ or cause.__context__
    return None


def set_attribute(owner: Any, path: str, value: Any) -> None:
    """Set an attribute by its path, such as ``dynamics.mass``; a number in the path is an index of an array."""
    *parents, last = path.split(".")
    for name in parents:
        owner = _part(owner, name)
    if last.isdecimal():
        owner[int(last)] = value
    else:
        setattr(owner, last, value)


def check_attribute(owner: Any, path: str, value: Any, id: str) -> None:
    """Refuse an attribute that the environment does not have, or that does not take the value.

    Raises:
        ValueError: A part of the path is missing, or the attribute holds something else than one value.
    """
    parts, part = path.split("."), owner
    for number, name in enumerate(parts):
        holder = part
        try:
            part = _part(holder, name)
        except (AttributeError, IndexError, KeyError, TypeError):
            where = ".".join(parts[: number + 1])
            whole = f" (in {path})" if where != path else ""
            raise ValueError(f"{id} has no attribute {where}{whole}: check the parameters, or set task_by") from None
    if np.ndim(part) > np.ndim(value):
        raise ValueError(f"{id} has an array in {path}: name one of its numbers, such as {path}.0")
    is_whole = isinstance(holder, np.ndarray) and np.issubdtype(holder.dtype, np.integer)
    if is_whole and value != np.round(value):
        raise ValueError(f"{id} has whole numbers in {path}: give it choices, got {value}")
    try:
        set_attribute(owner, path, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{id} does not let {path} be set to {value!r}: {error}") from error


def _part(owner: Any, name: str) -> Any:
    return owner[int(name)] if name.isdecimal() else getattr(owner, name)


def check_task(env: gymnasium.Env[Any, Any], task: Any, task_by: TaskBy, id: str) -> None:
    """Refuse a task that the environment does not know, before anything is played.

    Raises:
        ValueError: The environment has no such attribute or method.
    """
    if task_by == "set_task" and not hasattr(env.unwrapped, "set_task"):
        raise ValueError(f"task_by must not be set_task for {id}, which has no method set_task")
    if task_by == "attributes":
        for path, value in task.items():
            check_attribute(env.unwrapped, path, value, id)


def check_mapping(task: Any, task_by: TaskBy) -> None:
    """Refuse tasks that are not mappings, unless the environment has a method for them."""
    if task_by != "set_task" and not isinstance(task, Mapping):
        raise ValueError(f"task_by must be set_task for tasks that are not mappings, got {task_by} and {task!r}")
