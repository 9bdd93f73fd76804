"""DerkEnv: the learner's team plays against the opponent of each task, on any Derk backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from pearl_lightning.derk.backends.backend import DerkBackend
from pearl_lightning.derk.backends.choice import BackendChoice
from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    BOUNTY_KEYS,
    OBSERVATION_FEATURES,
    TEAM_STATS_KEYS,
)
from pearl_lightning.derk.opponents import Opponent, make_opponent
from pearl_lightning.derk.tasks import DerkTask, DerkTasks
from pearl_lightning.derk.view import learner_view
from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv

_REWARD, _OPPONENT_REWARD = TEAM_STATS_KEYS.index("Reward"), TEAM_STATS_KEYS.index("OpponentReward")
_STATISTICS = {"kills": BOUNTY_KEYS.index("killEnemyUnit"), "statue_damage": BOUNTY_KEYS.index("damageEnemyStatue")}


class Spectator(Protocol):
    """Receives the backend and the actions of both teams at every step of an environment."""

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        """Called after the start of an episode. The home team of ``tasks`` is the backend's side 0."""

    def step(self, backend: DerkBackend, action: Tensor) -> None:
        """Called after each step with the actions ``[side, arena, agent, 5]`` that were played."""


class DerkEnv(MetaEnv):
    """Derk's Gym from the point of view of one team; the opponent of each arena's task plays the other team.

    An episode has 150 steps by default. Its last step is *terminated*, not truncated, because the time limit ends the
    game. ``outcome`` compares the rewards of the two teams, as the game's own statistics do. There is no outcome if the
    bounties of the two teams differ in any task, because then their rewards cannot be compared. Every episode draws two
    numbers from the environment's generator; they fix its spawns and its opponents, so ``set_seed`` repeats a run.

    Args:
        arenas: Number of arenas, at least 1.
        tasks: Task distribution that the arenas draw their tasks from.
        backend: Backend that plays the matches: ``simulator`` (the game's rules at full speed), ``game`` (the real
            game), or a backend object with the same number of arenas. A backend given by name starts at the first
            reset. ``close`` closes the backend.
        backend_options: Further arguments of a backend given by name.
        count_events: Also write the events of each step, rewarded or not, in the order of ``BOUNTY_KEYS``. Requires the
            simulator.
        side: Team that the learner plays. The learner always has the loadouts and bounties that a task defines for the
            home team.
        observe_time: Append the remaining share of the episode to the observation. It falls from 1 to 0. The game
            itself does not observe it.
        observe_task: Append the hidden task parameters to the observation (see ``DerkTask.privileged``), for an oracle.
            A style without train tasks is encoded as zeros.

    Raises:
        ValueError: The backend or an opponent is unknown, or the backend has a different number of arenas.
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
        choice = BackendChoice.checked(backend, backend_options or {}, arenas, count_events)
        if side not in ("home", "away"):
            raise ValueError(f"side must be home or away, got {side!r}")
        styles = sorted({task.opponent for task in tasks.train})
        super().__init__(
            arenas=arenas,
            tasks=tasks,
            action_space=ACTION_SPACE,
            agents=AGENTS,
            features=OBSERVATION_FEATURES
            + observe_time
            + (tasks[0].privileged(styles).shape[1] if observe_task else 0),
            horizon=choice.episode_steps,
            events=len(BOUNTY_KEYS) if count_events else 0,
            has_outcome=all(task.home_bounties == task.away_bounties for task in _every(tasks)),
            observes_task=observe_task,
            device=choice.device,
        )
        self.observe_time, self.observe_task, self._styles = observe_time, observe_task, styles
        self._privileged: Tensor | None = None  # hidden parameters of this episode's tasks, [arena, agent, feature]
        self._flags_seen: Tensor | None = None  # 0 if the arena's task masks the item flags, else 1, [arena, 1, 1]
        self.side, self._own = side, 0 if side == "home" else 1  # index of the learner's side
        self._counted = torch.zeros(arenas, AGENTS, self.events)  # events of this episode so far
        self.opponents: dict[str, Opponent] = _opponents_of(tasks)
        self.spectator: Spectator | None = None
        self._opponent_generator = torch.Generator(self.device)
        self._opponent_arenas: dict[str, Tensor] = {}  # arenas in which each opponent plays in this episode
        self._backend_choice, self._backend = choice, choice.given
        self._other_observation: Tensor | None = None  # of the opponents' side; None while no episode is running
        self._steps_left = 0

    @property
    def backend_name(self) -> str:
        """Name of the backend: ``simulator`` or ``game``, or ``object`` if a backend object was given."""
        return self._backend_choice.name or "object"

    @property
    def simulator_options(self) -> dict[str, Any]:
        """Arguments of the simulator that change its rules; empty for the real game and for a backend object."""
        if self._backend_choice.name != "simulator":
            return {}
        others = ("device", "threads", "bounty_events")
        return {name: value for name, value in self._backend_choice.options.items() if name not in others}

    def prepare(self) -> float:
        """Compile the simulator if it is the backend; return the seconds this took, 0 if it was already compiled."""
        if self._backend is not None or self._backend_choice.name != "simulator":
            return 0.0
        return float(self._started_backend().compile_seconds)  # type: ignore[attr-defined]

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
        by_task = {id(task): task for task in tasks} if self.observe_task else {}
        features = {key: task.privileged(self._styles) for key, task in by_task.items()}
        self._privileged = torch.stack([features[id(task)] for task in tasks]).to(self.device) if by_task else None
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
        """Kills of enemy units and hitpoints of damage to the enemy statue; empty unless events are counted."""
        totals = self._counted.sum(dim=1)
        return {name: totals[:, column] for name, column in _STATISTICS.items()} if self.events else {}

    def report(self) -> dict[str, str | int]:
        return {} if self._backend is None else self._backend.report()

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Stop the backend. A backend given by name is started again by the next reset; a second call does nothing."""
        super().close(raise_if_closed=raise_if_closed)
        self._other_observation = None
        for opponent in self.opponents.values():
            opponent.close()
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def _started_backend(self) -> DerkBackend:
        if self._backend is None:
            self._backend = self._backend_choice.make(self.arenas)
            self.is_closed = False  # garbage collection of the environment then closes the backend
        return self._backend

    def _seen(self, observation: Tensor) -> Tensor:
        """Convert a game observation ``[arena, agent, 64]`` to the observation of the learner's team."""
        time_left = self._steps_left / self.horizon if self.observe_time else None
        return learner_view(observation, flags_seen=self._flags_seen, time_left=time_left, privileged=self._privileged)

    def _split(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Split a tensor ``[side, ...]`` into the learner's part and the opponents' part."""
        return both[self._own], both[1 - self._own]

    def _opponent_actions(self, observation: Tensor) -> Tensor:
        """Actions of the opponents ``[arena, agent, 5]``. Each distinct opponent is called once, with its arenas."""
        if len(self._opponent_arenas) == 1:
            (name,) = self._opponent_arenas
            return self.opponents[name](observation, self._opponent_generator)
        action = torch.empty(self.arenas, AGENTS, ACTION_SPACE.width, device=self.device)
        for name, arenas in self._opponent_arenas.items():
            action[arenas] = self.opponents[name](observation[arenas], self._opponent_generator)
        return action

    def _tell_opponents(self, observation: Tensor, reward: Tensor, done: bool) -> None:
        """Pass the result of a step to the opponents that follow the match."""
        for name, arenas in self._opponent_arenas.items():
            if (opponent := self.opponents[name]).follows:
                assert self._backend is not None
                statistics = self._backend.team_stats()[1 - self._own, arenas] if done else None
                opponent.follow(observation[arenas], reward[1 - self._own, arenas], statistics)


def _swapped(task: DerkTask) -> DerkTask:
    """Return the task with the two teams exchanged, for a learner on the away side."""
    return replace(
        task,
        home_loadouts=task.away_loadouts,
        away_loadouts=task.home_loadouts,
        home_bounties=task.away_bounties,
        away_bounties=task.home_bounties,
    )


def _opponents_of(tasks: DerkTasks) -> dict[str, Opponent]:
    """All opponents of the tasks, by name."""
    return {name: make_opponent(name) for name in sorted({task.opponent for task in _every(tasks)})}


def _every(tasks: DerkTasks) -> list[DerkTask]:
    return [*tasks.train, *tasks.validation, *tasks.test]
