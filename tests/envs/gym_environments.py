"""Gymnasium environments that tests name by their path."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
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


class Breaking(Walk):
    """A walk that obeys a file at the next step or reset: it dies, hangs or raises an error.

    Args:
        orders: A file that contains ``kill``, ``exit``, ``hang`` or ``err`` and an arena's length once it is to break.
            ``always-exit`` stays there.
    """

    def __init__(self, orders: str = "", length: float = 1.0) -> None:
        super().__init__(length)
        self.orders = Path(orders) if isinstance(orders, str) else Path()
        self._obey()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._obey()
        return super().step(action)

    def render(self) -> Any:
        """The place as brightness."""
        return np.full((4, 6, 3), 128 + int(100 * self.place[0]), dtype=np.uint8)

    def _obey(self) -> None:
        order, _, length = self.orders.read_text().partition(" ") if self.orders.is_file() else ("", "", "")
        if not order or (length and float(length) != self.length):
            return
        if order != "always-exit":
            self.orders.unlink()
        if order == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "hang":
            time.sleep(600)
        if order == "err":
            raise ZeroDivisionError("the walk divided by zero")
        os._exit(3)


class Pictured(Breaking):
    """A walk that draws pictures."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode


class Part:
    """A part of an environment, with parameters of its own."""

    def __init__(self) -> None:
        self.mass, self.counts, self.forces = 1.0, np.array([1, 2]), np.zeros(3)


class Jointed(Walk):
    """A walk with parameters in parts of it."""

    def __init__(self, mode: str = "slow", quick: bool = False) -> None:
        super().__init__()
        self.dynamics, self.mode, self.quick = Part(), mode, quick


class Lottery(gymnasium.Env[Any, Any]):
    """An episode of one step; rewards are NumPy scalars, observations are numbers of double precision."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float64)
    action_space = spaces.MultiDiscrete([2, 3], start=[1, 0])

    def __init__(self, size: int = 3) -> None:
        self.size, self.prize = size, 1
        self.observation_space = spaces.Box(-1.0, 1.0, (2 * size,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 2 * self.size), {"ticket": object()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        won = np.float64(action[1] == self.prize)
        return np.zeros(2 * self.size), won, np.bool_(True), np.bool_(False), {"success": np.bool_(won)}


class Shy(Walk):
    """A walk that reports a success in every third episode, and nothing in the others."""

    episodes = 0

    def reset(self, **settings: Any) -> tuple[Any, dict[str, Any]]:
        self.episodes += 1
        return super().reset(**settings)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *played, _ = super().step(action)
        return *played, {"success": True} if self.episodes % 3 == 0 else {}  # type: ignore[return-value]


class Read(Walk):
    """A walk that observes a text."""

    observation_space = spaces.Dict({"page": spaces.Text(3)})  # type: ignore[assignment]
