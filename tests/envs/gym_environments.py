"""Gymnasium environments that tests name by their path."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Walk(gymnasium.Env[Any, Any]):
    """A walk on a line with a hidden step length; it ends beyond 1. Its spaces have every kind of part."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-np.inf, np.inf, (2,), np.float64),
            "mode": spaces.Discrete(3, start=1),
            "lights": spaces.MultiBinary(2),
            "pair": spaces.Tuple([spaces.MultiDiscrete([2, 4])]),
        }
    )
    action_space = spaces.Dict(
        {
            "move": spaces.Box(-2.0, 1.0, (1, 2), np.float32),
            "gear": spaces.Discrete(3, start=-1),
            "switches": spaces.Tuple([spaces.MultiDiscrete([2, 4]), spaces.MultiBinary(2)]),
        }
    )

    def __init__(self, length: float = 1.0, offset: float = 0.0) -> None:
        self.length, self.offset = length, offset
        self.taken: list[Any] = []

    def set_task(self, task: dict[str, float]) -> None:
        self.length = task["length"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if options is not None:
            self.length = options["length"]
        self.place, self.steps = self.np_random.uniform(-0.1, 0.1, 2), 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.taken.append(action)
        self.steps += 1
        self.place = self.place + self.length * action["move"][0] * 0.1 + self.offset
        is_out = bool(abs(self.place).max() > 1)
        success = bool(self.place[0] > 0.5)
        return self._observe(), float(self.place.sum()), is_out, self.steps >= 12, {"success": success}

    def _observe(self) -> dict[str, Any]:
        mode = self.steps % 3
        lights = np.array([self.steps % 2, 1], dtype=np.int8)
        return {"place": self.place.copy(), "mode": mode + 1, "lights": lights, "pair": (np.array([1, mode]),)}


class Boundless(Walk):
    """A walk with an action that has no bounds."""

    action_space = spaces.Dict({"far": spaces.Box(-np.inf, np.inf, (1,))})  # type: ignore[assignment]


class Worded(Walk):
    """A walk whose action is a text."""

    action_space = spaces.Tuple([spaces.Text(3)])  # type: ignore[assignment]
