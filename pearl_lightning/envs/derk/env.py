"""DerkEnv: the learner's team against each task's opponent, over any Derk backend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from pearl_lightning.envs.derk.backend import DerkBackend
from pearl_lightning.envs.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    BOUNTY_KEYS,
    EPISODE_TICKS,
    OBSERVATION_FEATURES,
    TEAM_STATS_KEYS,
    TICKS_PER_STEP,
)
from pearl_lightning.envs.derk.opponents import Opponent, make_opponent
from pearl_lightning.envs.derk.tasks import DerkTask, DerkTasks
from pearl_lightning.envs.derk.view import learner_view
from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv

_REWARD, _OPPONENT_REWARD = TEAM_STATS_KEYS.index("Reward"), TEAM_STATS_KEYS.index("OpponentReward")
_STATISTICS = {"kills": BOUNTY_KEYS.index("killEnemyUnit"), "statue_damage": BOUNTY_KEYS.index("damageEnemyStatue")}


class Spectator(Protocol):
    """Sees the matches of an environment from the stands: what both teams do, and all that the backend tells."""

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        """An episode has begun, with these tasks as the teams stand."""

    def step(self, backend: DerkBackend, action: Tensor) -> None:
        """A step was played with these actions ``[side, arena, agent, 5]``."""


class DerkEnv(MetaEnv):
    """Derk's Gym seen from the learner's team, home unless told otherwise; each arena's task plays the other one.

    The last of an episode's steps (150, unless the backend is told otherwise) is *terminated*: the time limit ends the
    game, nothing comes after it. ``outcome`` compares the two teams' rewards as the game's own statistics do; there is
    none where a task pays them differently, for then these cannot be compared. Every episode draws two numbers from the
    environment's generator, which fix its spawns and its opponents: ``set_seed`` repeats a run.

    Args:
        arenas: Number of arenas, at least 1.
        tasks: The task distribution the arenas' tasks come from.
        backend: What plays the matches: ``simulator``, the game's rules at full speed; ``game``, the real game; either
            is started at the first reset. Or a backend object with as many arenas. ``close`` closes it.
        backend_options: Further arguments of a backend given by name.
        count_events: Also write what happened in each step, paid or not, as ``BOUNTY_KEYS`` names it; simulator only.
        side: Which team the learner plays. What a task calls the home team is the learner's wherever it stands.
        observe_time: Give the agents one more feature, the share of the episode that is left, from 1 down; the game
            tells them nothing about it.
        observe_task: Give them all that is hidden of the task as further features (``DerkTask.tell``): for the agent
            that is told, which others are measured by. A style that no train task has is told as none.

    Raises:
        ValueError: An unknown backend or opponent, or a backend with another number of arenas.
    """

    def __init__(
        self,
        *,
        arenas: int,
        tasks: DerkTasks,
        backend: Literal["simulator", "game"] | DerkBackend = "simulator",
        backend_options: dict[str, Any] | None = None,
        count_events: bool = False,
        side: Literal["home", "away"] = "home",
        observe_time: bool = False,
        observe_task: bool = False,
    ) -> None:
        options = dict(backend_options or {})
        if isinstance(backend, str):
            if backend not in _BACKENDS:
                raise ValueError(f"backend must be one of {', '.join(_BACKENDS)} or a backend object, got {backend!r}")
        elif backend_options:
            raise ValueError(f"backend_options are for a backend given by name, got {backend_options}")
        elif backend.arenas != arenas:
            raise ValueError(f"arenas must be the backend's {backend.arenas}, got {arenas}")
        if count_events and backend != "simulator":
            raise ValueError(f"count_events must be false where backend is not 'simulator', got {backend!r}")
        if count_events:
            options["bounty_events"] = True
        if side not in ("home", "away"):
            raise ValueError(f"side must be home or away, got {side!r}")
        device = options.get("device", "cpu") if isinstance(backend, str) else backend.device
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device must be cpu where torch finds no CUDA GPU, got {str(device)!r}")
        opponents = {name: make_opponent(name) for name in sorted({task.opponent for task in _every(tasks)})}
        styles = sorted({task.opponent for task in tasks.train})
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=ACTION_SPACE,
            agents=AGENTS,
            features=OBSERVATION_FEATURES + observe_time + (tasks[0].tell(styles).shape[1] if observe_task else 0),
            horizon=_episode_steps(options) if isinstance(backend, str) else backend.episode_steps,
            events=len(BOUNTY_KEYS) if count_events else 0,
            has_outcome=all(task.home_bounties == task.away_bounties for task in _every(tasks)),
            tells_task=observe_task,
            device=device,
        )
        self.observe_time, self.observe_task, self._styles = observe_time, observe_task, styles
        self._told: Tensor | None = None  # what this episode's tasks hide, [arena, agent, feature]
        self._flags_seen: Tensor | None = None  # 0 for arenas whose learner does not see items, [arena, 1, 1]
        self.side, self._own = side, 0 if side == "home" else 1  # index of the learner's team among the sides
        self._counted = torch.zeros(arenas, AGENTS, self.events)  # so far, where they are counted
        self.opponents: dict[str, Opponent] = opponents
        self.spectator: Spectator | None = None
        self._opponent_generator = torch.Generator(self.device)
        self._opponent_arenas: dict[str, Tensor] = {}  # arenas that each opponent plays in this episode
        self._backend: DerkBackend | None = None if isinstance(backend, str) else backend
        self._backend_name = backend if isinstance(backend, str) else None
        self._backend_options = options
        self._other_observation: Tensor | None = None  # the opponents'; None while no episode is running
        self._steps_left = 0

    def begin(self, tasks: list[DerkTask]) -> Tensor:
        backend = self._started_backend()
        self._other_observation = None
        spawn_seed, opponent_seed = torch.randint(2**31 - 1, (2,), generator=self.generator).tolist()
        self._opponent_generator.manual_seed(opponent_seed)
        names = [task.opponent for task in tasks]
        self._opponent_arenas = {
            name: torch.tensor([arena for arena, other in enumerate(names) if other == name], device=self.device)
            for name in sorted(set(names))
        }
        for name, arenas in self._opponent_arenas.items():
            self.opponents[name].begin(len(arenas), self._opponent_generator)
        placed = tasks if self._own == 0 else [_swapped(task) for task in tasks]
        own, self._other_observation = self._split(backend.reset(placed, spawn_seed))
        if self.spectator is not None:
            self.spectator.begin(backend, placed)
        self._steps_left = self.horizon
        self._counted = torch.zeros(self.arenas, AGENTS, self.events, device=self.device)
        blind = torch.tensor([task.masks_items for task in tasks]).view(-1, 1, 1)
        self._flags_seen = (~blind).float().to(self.device) if blind.any() else None
        told = {id(task): task for task in tasks} if self.observe_task else {}
        features = {key: task.tell(self._styles) for key, task in told.items()}
        self._told = torch.stack([features[id(task)] for task in tasks]).to(self.device) if told else None
        return self._seen(own)

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        if self._backend is None or self._other_observation is None:
            raise RuntimeError("no episode is running: reset the environment first")
        try:
            teams = [action, self._opponent_actions(self._other_observation)]
            both = torch.stack(teams if self._own == 0 else teams[::-1])
            observation, reward, done = self._backend.step(both)
            own, self._other_observation = self._split(observation)
            self._tell_opponents(self._other_observation, reward, done)
        except EpisodeLost:
            self._other_observation = None
            raise
        if self.spectator is not None:
            self.spectator.step(self._backend, both)
        self._steps_left -= 1
        result: dict[str, Tensor | bool] = {
            "observation": self._seen(own),
            "reward": reward[self._own],
            "terminated": done,
            "truncated": False,
        }
        if self.events:
            counted = self._backend.bounty_events()[self._own]  # type: ignore[attr-defined]
            result["events"], self._counted = counted - self._counted, counted
        if done:
            self._other_observation = None
        if done and self.has_outcome:
            stats = self._backend.team_stats()[self._own]  # [arena, statistic]
            outcome = torch.sign(stats[:, _REWARD] - stats[:, _OPPONENT_REWARD])
            for name, arenas in self._opponent_arenas.items():
                self.opponents[name].end(outcome[arenas])
            result["outcome"] = outcome
        return result

    def episode_statistics(self) -> dict[str, Tensor]:
        """Kills of enemy units and hitpoints of damage to the enemy statue, where the simulator counts events."""
        totals = self._counted.sum(dim=1)
        return {name: totals[:, column] for name, column in _STATISTICS.items()} if self.events else {}

    def report(self) -> dict[str, str | int]:
        return {} if self._backend is None else self._backend.report()

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the backend; closing again does nothing. One given by name is started anew by the next reset."""
        super().close(raise_if_closed=raise_if_closed)
        self._other_observation = None
        for opponent in self.opponents.values():
            opponent.close()
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def _started_backend(self) -> DerkBackend:
        if self._backend is None:
            if self._backend_name is None:
                raise RuntimeError("the environment was closed, and with it the backend it was given: make new ones")
            self._backend = make_backend(self._backend_name, self.arenas, self._backend_options)
            self.is_closed = False  # so that a forgotten environment closes the backend it started
        return self._backend

    def _seen(self, observation: Tensor) -> Tensor:
        """What the learner's team sees of an observation ``[arena, agent, 64]``."""
        time_left = self._steps_left / self.horizon if self.observe_time else None
        return learner_view(observation, flags_seen=self._flags_seen, time_left=time_left, told=self._told)

    def _split(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """The learner's and the opponents' part of something ``[side, ...]``."""
        return both[self._own], both[1 - self._own]

    def _opponent_actions(self, observation: Tensor) -> Tensor:
        """The opponents' actions ``[arena, agent, 5]``: one call per distinct opponent, over its arenas."""
        action = torch.empty(self.arenas, AGENTS, ACTION_SPACE.width, device=self.device)
        for name, arenas in self._opponent_arenas.items():
            action[arenas] = self.opponents[name](observation[arenas], self._opponent_generator)
        return action

    def _tell_opponents(self, observation: Tensor, reward: Tensor, done: bool) -> None:
        """What a step gave, to those who want to know it."""
        for name, arenas in self._opponent_arenas.items():
            if (opponent := self.opponents[name]).follows:
                assert self._backend is not None
                statistics = self._backend.team_stats()[1 - self._own, arenas] if done else None
                opponent.follow(observation[arenas], reward[1 - self._own, arenas], statistics)


def make_backend(name: str, arenas: int, options: Mapping[str, Any] | None = None) -> DerkBackend:
    """What plays matches: ``simulator`` or ``game``, not started yet where it need not be.

    Raises:
        ValueError: Another name.
    """
    if name not in _BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(_BACKENDS)}, got {name!r}")
    return _BACKENDS[name](arenas, dict(options or {}))


def _swapped(task: DerkTask) -> DerkTask:
    """The same task with the learner's team on the away side."""
    return replace(
        task,
        home_loadouts=task.away_loadouts,
        away_loadouts=task.home_loadouts,
        home_bounties=task.away_bounties,
        away_bounties=task.home_bounties,
    )


def _every(tasks: DerkTasks) -> list[DerkTask]:
    return [*tasks.train, *tasks.validation, *tasks.test]


def _game(arenas: int, options: dict[str, Any]) -> DerkBackend:
    from pearl_lightning.envs.derk.game import GameBackend  # its dependencies are optional

    return GameBackend(arenas=arenas, **options)


def _simulator(arenas: int, options: dict[str, Any]) -> DerkBackend:
    from pearl_lightning.envs.derk.simulator import SimulatorBackend  # compiles, or loads what was compiled

    return SimulatorBackend(arenas=arenas, **options)


_BACKENDS = {"simulator": _simulator, "game": _game}


def _episode_steps(options: dict[str, Any]) -> int:
    """Steps of an episode of a backend that is not started yet."""
    return math.ceil(options.get("episode_ticks", EPISODE_TICKS) / options.get("substeps", TICKS_PER_STEP))
