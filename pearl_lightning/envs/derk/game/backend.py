"""GameBackend: the real gym-derk behind the same interface as the simulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pearl_lightning.envs.derk.actions import checked_actions
from pearl_lightning.envs.derk.game.browser import RENDERERS, Renderer
from pearl_lightning.envs.derk.game.child import GameChild, GameLost
from pearl_lightning.envs.derk.game.install import GameUnavailable, find_browser, gym_derk_version
from pearl_lightning.envs.derk.interface import AGENTS, EPISODE_TICKS, OBSERVATION_FEATURES, SIDES, TEAM_STATS_KEYS
from pearl_lightning.envs.derk.tasks import DerkTask
from pearl_lightning.envs.meta_env import EpisodeLost

_MAX_LOSSES_IN_A_ROW = 10  # lost games without one finished episode, after which nothing is started any more


class GameBackend:
    """Plays matches in the real game, gym-derk 1.1.1 in a headless browser, without a GPU, a display or a network.

    The game lives in a child process and starts at the first reset. When it breaks or hangs, ``step`` or ``reset``
    raises ``EpisodeLost`` with the reason and takes everything down; the next ``reset`` starts a new game. The same
    seed and actions give the same match, bit for bit, on the same machine and with the same number of arenas.

    Args:
        arenas: Matches side by side, at least 1.
        renderer: What draws: ``llvmpipe`` (Mesa) or ``swiftshader`` (the browser's own, slower with many arenas). Their
            arithmetics differ, so the same match drifts apart.
        turbo: Draw once per step instead of once per tick.
        substeps: Ticks of 1/60 s in a step, at least 1; an episode has 1200 ticks.
        start_timeout: Seconds within which the game must have started; as much again is given to the first reset and
            the first step of a session, which build what is drawn.
        step_timeout: Seconds within which any other step or reset must be answered.
        browser: Path of a Chromium or Chrome; the environment's ``DERK_CHROME_EXECUTABLE`` or what is on ``PATH`` when
            left out.
        read_state: Have the game tell its own state at every step, for ``state()``; steps take longer.
        pictures: Take a picture of the page after every step, for ``picture()``; steps take longer, and turbo must be
            off.

    Raises:
        ValueError: A setting outside its range.
        GameUnavailable: No browser, or gym-derk is not installed; the message says how to install them.
    """

    def __init__(
        self,
        *,
        arenas: int,
        renderer: Renderer = "llvmpipe",
        turbo: bool = True,
        substeps: int = 8,
        start_timeout: float = 60.0,
        step_timeout: float = 20.0,
        browser: str | None = None,
        read_state: bool = False,
        pictures: bool = False,
    ) -> None:
        for name, count in (("arenas", arenas), ("substeps", substeps)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        for name, seconds in (("start_timeout", start_timeout), ("step_timeout", step_timeout)):
            if not seconds > 0:
                raise ValueError(f"{name} must be above 0 s, got {seconds}")
        if pictures and turbo:
            raise ValueError("turbo must be false where pictures are taken: what a step draws is no picture of a match")
        if renderer not in RENDERERS:
            raise ValueError(f"renderer must be one of {', '.join(RENDERERS)}, got {renderer!r}")
        self.arenas = arenas
        self.episode_steps = math.ceil(EPISODE_TICKS / substeps)
        self.device = torch.device("cpu")
        self.restarts = 0
        self.start_timeout, self.step_timeout = start_timeout, step_timeout
        self._settings: dict[str, Any] = {
            "arenas": arenas,
            "renderer": renderer,
            "turbo": turbo,
            "substeps": substeps,
            "read_state": read_state,
            "pictures": pictures,
            "start_timeout": start_timeout,
            "browser": find_browser(browser),
        }
        self._facts: dict[str, str | int] = {"gym-derk": gym_derk_version(), "renderer": renderer, "browser": ""}
        self._child: GameChild | None = None
        self._losses_in_a_row = 0
        self._is_closed = False
        self._playing = False
        self._answer_timeout = start_timeout
        self._team_stats: Tensor | None = None
        self._state: Tensor | None = None
        self._picture: Tensor | None = None

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        """Start a match per arena; returns observations ``[side, arena, agent, 64]``.

        Args:
            tasks: One task per arena.
            seed: Fixes the spawns.

        Raises:
            ValueError: Not one task per arena.
            EpisodeLost: The game broke; the next reset starts a new one.
            GameUnavailable: The game cannot be started.
        """
        if self._is_closed:
            raise RuntimeError("the game was closed: make a new backend")
        if len(tasks) != self.arenas:
            raise ValueError(f"tasks must hold one task per arena ({self.arenas}), got {len(tasks)}")
        if self._child is None or self._playing:  # the game will open a new session
            self._answer_timeout = self.start_timeout
        self._playing, self._team_stats, self._state, self._picture = False, None, None, None
        request = {
            "request": "reset",
            "timeout": self._answer_timeout,
            "seed": int(seed),
            "home": [creature for task in tasks for creature in _team(task.home_loadouts, task.home_bounties)],
            "away": [creature for task in tasks for creature in _team(task.away_loadouts, task.away_bounties)],
        }
        _, [observation] = self._ask(self._started_child(), request)
        self._playing = True
        return self._shaped(observation, AGENTS, OBSERVATION_FEATURES)

    def step(self, action: Tensor, *, check: bool = True) -> tuple[Tensor, Tensor, bool]:
        """Play actions ``[side, arena, agent, 5]``; returns observations, rewards ``[side, arena, agent]`` and done.

        Args:
            action: Of both teams.
            check: Refuse what the action space does not hold; only to find out what the game makes of it.

        Raises:
            ValueError: A wrong action; nothing was played.
            EpisodeLost: The game broke; the next reset starts a new one.
        """
        if not self._playing or self._child is None:
            raise RuntimeError("no episode is running: reset the game first")
        request = {"request": "step", "timeout": self._answer_timeout}
        if check:
            action = checked_actions(action, self.arenas)
        header, arrays = self._ask(self._child, request, action)
        if self._settings["pictures"]:
            self._picture = arrays.pop()
        self._answer_timeout = self.step_timeout
        if header["done"]:
            self._playing, self._losses_in_a_row = False, 0
            self._team_stats = self._shaped(arrays[2], len(TEAM_STATS_KEYS))
        if self._settings["read_state"]:
            self._state = arrays[-1]
        observation = self._shaped(arrays[0], AGENTS, OBSERVATION_FEATURES)
        return observation, self._shaped(arrays[1], AGENTS), header["done"]

    def team_stats(self) -> Tensor:
        """``[side, arena, 5]`` of the finished match, as ``TEAM_STATS_KEYS`` names them."""
        if self._team_stats is None:
            raise RuntimeError("team_stats are there once an episode is done and until the next reset")
        return self._team_stats.clone()

    def state(self) -> Tensor:
        """``[arena, member, field]`` after the last step, as ``game.state.STATE_FIELDS`` names it; NaN is unknown."""
        if self._state is None:
            raise RuntimeError("state is there with read_state=True, once a step was played and until the next reset")
        return self._state.clone()

    def picture(self) -> bytes:
        """What the page shows after the last step, as JPEG."""
        if self._picture is None:
            raise RuntimeError("picture is there with pictures=True, once a step was played and until the next reset")
        return self._picture.to(torch.uint8).numpy().tobytes()

    def report(self) -> dict[str, str | int]:
        """Versions of gym-derk and the browser, the WebGL renderer once it is known, and restarts after a fault."""
        return {**self._facts, "restarts": self.restarts}

    def close(self) -> None:
        """Stop the browser and every process of the game; closing again does nothing."""
        self._is_closed, self._playing = True, False
        self._drop_child()

    def _started_child(self) -> GameChild:
        if self._child is not None:
            return self._child
        if self._losses_in_a_row >= _MAX_LOSSES_IN_A_ROW:
            raise GameUnavailable(f"the game broke {self._losses_in_a_row} times in a row without finishing an episode")
        child = GameChild(self._settings)
        try:
            header, _ = child.receive(self.start_timeout)
        except GameLost as error:
            raise GameUnavailable(f"the game did not start: {error}") from error
        self._facts |= header["facts"]
        self._child = child
        self.restarts += self._losses_in_a_row > 0
        return child

    def _ask(self, child: GameChild, request: dict[str, Any], *tensors: Tensor) -> tuple[dict[str, Any], list[Tensor]]:
        try:
            child.send(request, *(tensor.numpy() for tensor in tensors))
            header, arrays = child.receive(request["timeout"])
        except GameLost as error:
            self._playing, self._child = False, None
            self._losses_in_a_row += 1
            raise EpisodeLost(f"the game broke and the episode is lost: {error}") from error
        except BaseException:  # an interrupt between question and answer: they would no longer belong together
            self._playing = False
            self._drop_child()
            raise
        return header, [torch.from_numpy(array) for array in arrays]

    def _drop_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _shaped(self, array: Tensor, *shape: int) -> Tensor:
        assert array.shape == (SIDES, self.arenas, *shape)
        return array


def _team(loadouts: Sequence[Sequence[str | None]], bounties: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """Creatures of one team of one arena as the game is told of them."""
    return [
        {"slots": list(slots), "rewardFunction": dict(weights)}
        for slots, weights in zip(loadouts, bounties, strict=True)
    ]
