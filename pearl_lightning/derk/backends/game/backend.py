"""GameBackend: the real gym-derk with the same interface as the simulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pearl_lightning.derk.actions import checked_actions
from pearl_lightning.derk.backends.game.browser import RENDERERS, Renderer
from pearl_lightning.derk.backends.game.child import GameChild, GameLost
from pearl_lightning.derk.backends.game.install import GameUnavailable, find_browser, gym_derk_version
from pearl_lightning.derk.interface import AGENTS, EPISODE_TICKS, OBSERVATION_FEATURES, SIDES, TEAM_STATS_KEYS
from pearl_lightning.derk.tasks import DerkTask
from pearl_lightning.envs.meta_env import EpisodeLost

_MAX_LOSSES_IN_A_ROW = 10  # lost games without a finished episode, after which no new game is started


class GameBackend:
    """Plays matches in the real game, gym-derk 1.1.1 in a headless browser, without a GPU, a display or a network.

    The game runs in a child process and starts at the first reset. If it breaks or hangs, ``step`` or ``reset`` stops
    it and raises ``EpisodeLost`` with the reason; the next ``reset`` starts a new game. The same seed and actions give
    the same match, bit for bit, on the same machine and with the same number of arenas.

    Args:
        arenas: Number of matches in parallel, at least 1.
        renderer: Software renderer: ``llvmpipe`` (Mesa) or ``swiftshader`` (part of the browser, slower with many
            arenas). Their arithmetics differ, so the same match diverges between them.
        turbo: Render once per step instead of once per tick.
        substeps: Ticks of 1/60 s per step, at least 1; an episode has 1200 ticks.
        start_timeout: Time limit in seconds for the start of the game. The first reset and the first step of a session
            have the same limit, because they build the scene.
        step_timeout: Time limit in seconds for all other steps and resets.
        browser: Path of a Chromium or Chrome. Defaults to the environment variable ``DERK_CHROME_EXECUTABLE``, then to
            a browser on ``PATH``.
        read_state: Read the game's state at every step, for ``state()``; this makes steps slower.
        pictures: Take a picture of the page after every step, for ``picture()``; this makes steps slower. Requires
            ``turbo=False``.

    Raises:
        ValueError: A setting is outside its range.
        GameUnavailable: A browser or gym-derk is not installed; the message contains the command that installs it.
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
        _check_sizes(arenas=arenas, substeps=substeps)
        _check_timeouts(start_timeout=start_timeout, step_timeout=step_timeout)
        _check_rendering(renderer, turbo, pictures)
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
        self._is_closed = self._playing = False
        self._answer_timeout = start_timeout
        self._team_stats: Tensor | None = None
        self._state: Tensor | None = None
        self._picture: Tensor | None = None

    def reset(self, tasks: Sequence[DerkTask], seed: int) -> Tensor:
        """Start one match per arena; return observations ``[side, arena, agent, 64]``.

        Args:
            tasks: One task per arena.
            seed: Seed of the spawns.

        Raises:
            ValueError: The number of tasks is not the number of arenas.
            EpisodeLost: The game broke; the next reset starts a new one.
            GameUnavailable: The game cannot be started.
        """
        if self._is_closed:
            raise RuntimeError("the game is closed: create a new backend")
        if len(tasks) != self.arenas:
            raise ValueError(f"tasks must contain one task per arena ({self.arenas}), got {len(tasks)}")
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
        """Play actions ``[side, arena, agent, 5]``; return observations, rewards ``[side, arena, agent]`` and done.

        Args:
            action: Actions of both teams.
            check: Raise an error for actions outside the action space. False is for experiments with the game itself.

        Raises:
            ValueError: An action is not legal; nothing was played.
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
        """Statistics ``[side, arena, 5]`` of the finished match, in the order of ``TEAM_STATS_KEYS``."""
        if self._team_stats is None:
            raise RuntimeError("team_stats() is available only between the end of an episode and the next reset")
        return self._team_stats.clone()

    def state(self) -> Tensor:
        """State ``[arena, member, field]`` after the last step, in the order of ``game.state.STATE_FIELDS``; NaN is
        unknown."""
        if self._state is None:
            raise RuntimeError("state() requires read_state=True and at least one step since the last reset")
        return self._state.clone()

    def picture(self) -> bytes:
        """Picture of the page after the last step, as JPEG."""
        if self._picture is None:
            raise RuntimeError("picture() requires pictures=True and at least one step since the last reset")
        return self._picture.to(torch.uint8).numpy().tobytes()

    def report(self) -> dict[str, str | int]:
        """Versions of gym-derk and the browser, WebGL renderer once known, and number of restarts after a fault."""
        return {**self._facts, "restarts": self.restarts}

    def close(self) -> None:
        """Stop the browser and all processes of the game; a second call does nothing."""
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
        except BaseException:  # an interrupt: the next answer would belong to the wrong request
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
    """Configuration of the creatures of one team in one arena, in the game's format."""
    return [
        {"slots": list(slots), "rewardFunction": dict(weights)}
        for slots, weights in zip(loadouts, bounties, strict=True)
    ]


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def _check_timeouts(**timeouts: float) -> None:
    for name, seconds in timeouts.items():
        if not seconds > 0:
            raise ValueError(f"{name} must be above 0 s, got {seconds}")


def _check_rendering(renderer: str, turbo: bool, pictures: bool) -> None:
    if pictures and turbo:
        raise ValueError("turbo must be false if pictures are taken: in turbo mode the page shows no match")
    if renderer not in RENDERERS:
        raise ValueError(f"renderer must be one of {', '.join(RENDERERS)}, got {renderer!r}")
