"""SimulatorBackend: the simulated game behind the same interface as the real one."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numba
import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.derk.actions import checked_actions
from pearl_lightning.envs.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    BOUNTY_KEYS,
    EPISODE_TICKS,
    ITEMS,
    OBSERVATION_FEATURES,
    SIDES,
    TICKS_PER_STEP,
)
from pearl_lightning.envs.derk.simulator.cpu import CpuRunner
from pearl_lightning.envs.derk.simulator.rules import SIDE_MEMBERS, Settings
from pearl_lightning.envs.derk.simulator.state import BOUNDS, FIELDS, WHOLE, MatchState
from pearl_lightning.envs.derk.simulator.terrain import flat_terrain, game_terrain
from pearl_lightning.envs.derk.tasks import DerkTask

_JITTER = 1.0  # metres
_COMPILE_NOTICE = 2.0  # seconds after which a call that has not returned must be compiling


class Runner(Protocol):
    """Applies the rules to a state's tensors, in place."""

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None: ...

    def sense(self, state: MatchState, observation: Tensor) -> None: ...

    def face(self, state: MatchState) -> None: ...


class SimulatorBackend:
    """Plays matches by the game's rules, thousands at a time, without the game.

    The same seeds and actions give the same matches, bit for bit, whatever the number of threads. What deviates from
    the real game is listed in ``docs/derk.md``.

    Args:
        arenas: Matches side by side, at least 1.
        device: ``cpu`` or ``cuda``; observations and rewards lie there, and actions must.
        threads: CPU threads that share the arenas; as many as torch's when left out.
        substeps: Ticks of 1/60 s in a step, at least 1.
        episode_ticks: Ticks of an episode, at least 1; the game's are 1200.
        interleaved: Actions act one step late and the last is dropped, as in the game's interleaved mode.
        turbo: Shots start from the pose at the start of the step, as in the game's turbo mode, rather than of the tick.
        terrain: ``game`` (read from the installed gym-derk) or ``flat``.
        arithmetic: ``plain``, or ``recorded`` to round angles as the renderer of the recordings does.
        spawn_seed: Fixes the spawns of every episode, whatever ``reset`` is given.
        corrected_attribution: Pay damage and kills once, to whoever did them, and nothing for hits on the dead or
            falls of one's own side.
        bounty_events: Count every bounty's events for ``bounty_events()``.

    Raises:
        ValueError: A setting outside its range, or CUDA where there is none.
        TerrainUnavailable: gym-derk is not installed.
    """

    def __init__(
        self,
        *,
        arenas: int,
        device: str = "cpu",
        threads: int | None = None,
        substeps: int = TICKS_PER_STEP,
        episode_ticks: int = EPISODE_TICKS,
        interleaved: bool = False,
        turbo: bool = True,
        terrain: Literal["game", "flat"] = "game",
        arithmetic: Literal["plain", "recorded"] = "plain",
        spawn_seed: int | None = None,
        corrected_attribution: bool = False,
        bounty_events: bool = False,
    ) -> None:
        for name, count in (("arenas", arenas), ("substeps", substeps), ("episode_ticks", episode_ticks)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        for name, value, allowed in (
            ("device", device, ("cpu", "cuda")),
            ("terrain", terrain, ("game", "flat")),
            ("arithmetic", arithmetic, ("plain", "recorded")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if device == "cuda" and threads is not None:
            raise ValueError(f"threads are for device cpu, got {threads} with {device}")
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device must be cpu where torch finds no CUDA GPU, got 'cuda'")
        self.arenas, self.interleaved, self.spawn_seed = arenas, interleaved, spawn_seed
        self.device = torch.device(device)
        self.episode_steps = math.ceil(episode_ticks / substeps)
        self.settings = Settings(
            substeps, episode_ticks, arithmetic == "recorded", turbo, corrected_attribution, bounty_events
        )
        ground = game_terrain() if terrain == "game" else flat_terrain()
        self._runner: Runner
        if device == "cuda":
            from pearl_lightning.envs.derk.simulator.cuda import CudaRunner  # brings numba's CUDA side

            self._runner = CudaRunner(ground, self.settings, self.device)
        else:
            most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
            threads = min(torch.get_num_threads(), most) if threads is None else threads
            self._runner = CpuRunner(ground, self.settings, threads)
        self._matches = MatchState(arenas, self.device, bounty_events)
        self._compiled: set[str] = set()  # what the runner has done before
        self._tick = 0
        self._playing = False
        self._is_closed = False
        self._held: tuple[Tensor, Tensor, bool] | None = None  # interleaved: the step the client has not seen yet

    def reset(self, tasks: Sequence[DerkTask], seed: int | Sequence[int]) -> Tensor:
        """Start a match per arena; returns observations ``[side, arena, agent, 64]``.

        Args:
            tasks: One task per arena.
            seed: Fixes the spawns: one for all arenas, which still differ, or one per arena.

        Raises:
            ValueError: Not one task or seed per arena.
        """
        if self._is_closed:
            raise RuntimeError("the simulator was closed: make a new backend")
        if len(tasks) != self.arenas:
            raise ValueError(f"tasks must hold one task per arena ({self.arenas}), got {len(tasks)}")
        seeds = self._arena_seeds(seed if self.spawn_seed is None else self.spawn_seed)
        items, weights = _encode(tasks)
        jitter = torch.from_numpy(spawn_jitter(seeds))
        self._matches.spawn(*(tensor.to(self.device) for tensor in (items, weights, jitter)))
        self._call("face")
        self._tick, self._playing = 0, True
        observation = self._empty(AGENTS, OBSERVATION_FEATURES)
        self._call("sense", observation)
        self._held = self._play(self._empty(AGENTS, ACTION_SPACE.width).zero_()) if self.interleaved else None
        return observation

    def step(self, action: Tensor, *, check: bool = True) -> tuple[Tensor, Tensor, bool]:
        """Play actions ``[side, arena, agent, 5]``; returns observations, rewards ``[side, arena, agent]`` and done.

        Args:
            action: Of both teams.
            check: Refuse what the action space does not hold. Recordings hold more, and the game takes it (sections 5.3
                to 5.5); NaN is never taken.

        Raises:
            ValueError: A wrong action; nothing was played.
        """
        if not self._playing:
            raise RuntimeError("no episode is running: reset the simulator first")
        action = checked_actions(action, self.arenas, self.device) if check else self._readable(action)
        if self._held is None:
            result = self._play(action)
        else:
            result, self._held = self._held, None if self._held[2] else self._play(action)
        self._playing = not result[2]
        return result

    def team_stats(self) -> Tensor:
        """``[side, arena, 5]`` of the finished match, as ``TEAM_STATS_KEYS`` names them."""
        if self._playing or self._tick < self.settings.episode_ticks:
            raise RuntimeError("team_stats are there once an episode is done and until the next reset")
        totals = [
            self._matches.view(name).unflatten(1, (SIDES, SIDE_MEMBERS)).float().sum(dim=2).T  # [side, arena]
            for name in ("gold", "hitpoints", "alive_ticks", "cumulative_hitpoints")
        ]
        return torch.stack([totals[0], totals[0].flip(0), *totals[1:]], dim=-1)

    def bounty_events(self) -> Tensor:
        """What has happened so far in the match, paid or not, ``[side, arena, agent, 22]`` as ``BOUNTY_KEYS`` names it.

        Counts of kills, falls, territory ticks and results; hitpoints of damage and healing. ``teamSpirit``,
        ``timeScaling`` and ``manualBonus`` are 0.
        """
        if not self.settings.counts_events:
            raise RuntimeError("the simulator counts no events: make it with bounty_events=True")
        return self._matches.view("events").unflatten(1, (SIDES, AGENTS)).transpose(0, 1).clone()

    def state(self) -> dict[str, Tensor]:
        """The matches as they are: ``tick`` ``[]`` and copies of all that ``state.FIELDS`` names ``[arena, ...]``."""
        named = {name: self._matches.view(name).clone() for name in (*FIELDS, *WHOLE)}
        return {"tick": torch.tensor(self._tick), **named}

    def load_state(self, state: Mapping[str, Tensor]) -> Tensor:
        """Put the matches anywhere; returns their observations ``[side, arena, agent, 64]``.

        Args:
            state: Some or all of what ``state()`` gives. Directions follow the headings, and rendered poses the poses,
                where they are not given themselves.

        Raises:
            ValueError: An unknown name, a wrong shape, or a number that is not finite or out of range; the state is
                unchanged.
        """
        if not self._playing:
            raise RuntimeError("no episode is running: reset the simulator first")
        for name, value in state.items():
            expected = () if name == "tick" else tuple(self._matches.view(name).shape)
            if tuple(value.shape) != expected:
                raise ValueError(f"state {name!r} must have shape {expected}, got {tuple(value.shape)}")
            if not torch.isfinite(value).all():
                raise ValueError(f"state {name!r} must be finite")
            if name in BOUNDS and not BOUNDS[name][0] <= int(value.min()) <= int(value.max()) <= BOUNDS[name][1]:
                bad = value[(value < BOUNDS[name][0]) | (value > BOUNDS[name][1])][0]
                raise ValueError(f"state {name!r} must be from {BOUNDS[name][0]} to {BOUNDS[name][1]}, got {int(bad)}")
        if not 0 <= int(state.get("tick", self._tick)) < self.settings.episode_ticks:
            raise ValueError(f"state 'tick' must be in [0, {self.settings.episode_ticks}), got {int(state['tick'])}")
        for name, value in state.items():
            if name == "tick":
                self._tick = int(value)
            else:
                self._matches.view(name).copy_(value)
        if "heading" in state and "direction" not in state:
            self._call("face")
        for name, source in (("rendered_position", "position"), ("rendered_direction", "direction")):
            if name not in state:
                self._matches.view(name).copy_(self._matches.view(source))
        observation = self._empty(AGENTS, OBSERVATION_FEATURES)
        self._call("sense", observation)
        if self.interleaved:  # what the client has not seen yet is the match it has just placed
            self._held = observation.clone(), self._empty(AGENTS).zero_(), False
        return observation

    def report(self) -> dict[str, str | int]:
        """What plays, for a run's summary."""
        return {"simulator": f"{self.device.type}, gym-derk 1.1.1's rules"}

    def close(self) -> None:
        """Further calls are errors; closing again does nothing."""
        self._is_closed, self._playing = True, False

    def _play(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        observation, reward = self._empty(AGENTS, OBSERVATION_FEATURES), self._empty(AGENTS)
        self._call("step", self._tick, action, observation, reward)
        self._tick = min(self._tick + self.settings.substeps, self.settings.episode_ticks)
        return observation, reward, self._tick == self.settings.episode_ticks

    def _readable(self, action: Tensor) -> Tensor:
        """Actions of any size as the compiled loops take them: those look at neither shape nor layout."""
        expected = (SIDES, self.arenas, AGENTS, ACTION_SPACE.width)
        if tuple(action.shape) != expected or not torch.isfinite(action).all():
            raise ValueError(f"action must be finite and have shape {expected}, got shape {tuple(action.shape)}")
        return action.detach().to(self.device, torch.float32).contiguous()

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(SIDES, self.arenas, *shape, device=self.device)

    def _arena_seeds(self, seed: int | Sequence[int]) -> np.ndarray:
        if isinstance(seed, (int, np.integer)):
            return _mix(np.uint64(int(seed) % 2**64) + np.arange(self.arenas, dtype=np.uint64) * _GOLDEN)
        if len(seed) != self.arenas:
            raise ValueError(f"seed must be one number or one per arena ({self.arenas}), got {len(seed)}")
        return np.array([int(each) % 2**64 for each in seed], dtype=np.uint64)

    def _call(self, name: Literal["step", "sense", "face"], *arguments: Any) -> None:
        """Let the runner do something; the first time, which may have to compile it, say so when it takes its time."""
        if name in self._compiled:
            getattr(self._runner, name)(self._matches, *arguments)
            return
        notice = threading.Timer(_COMPILE_NOTICE, print, [f"compiling the simulator ({name}), once per installation"])
        notice.daemon = True
        notice.start()
        try:
            getattr(self._runner, name)(self._matches, *arguments)
        finally:
            notice.cancel()
        self._compiled.add(name)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele et al. 2014): uint64 to uint64, every bit depending on every other."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return numbers ^ (numbers >> np.uint64(31))


def spawn_jitter(seeds: np.ndarray) -> np.ndarray:
    """Metres added to the spawns' x and y ``[arena, 6, 2]``, uniform in [-1, 1), for uint64 seeds ``[arena]``."""
    shape = (len(seeds), SIDES * AGENTS, 2)
    with np.errstate(over="ignore"):
        counters = seeds[:, None] + (1 + np.arange(SIDES * AGENTS * 2, dtype=np.uint64)) * _GOLDEN
    uniform = (_mix(counters) >> np.uint64(40)).astype(np.float64) / 2**24
    return (_JITTER * (2 * uniform - 1)).astype(np.float32).reshape(shape)


def _encode(tasks: Sequence[DerkTask]) -> tuple[Tensor, Tensor]:
    """Items ``[arena, 6, slot]`` and reward weights ``[arena, 6, bounty]`` of each arena's task."""
    rows: dict[int, int] = {}
    different: list[DerkTask] = []
    for task in tasks:
        if id(task) not in rows:
            rows[id(task)] = len(different)
            different.append(task)
    items = [
        [[0 if item is None else 1 + ITEMS.index(item) for item in loadout] for loadout in (*home, *away)]
        for home, away in ((task.home_loadouts, task.away_loadouts) for task in different)
    ]
    weights = [
        [[bounties.get(key, 0.0) for key in BOUNTY_KEYS] for bounties in (*home, *away)]
        for home, away in ((task.home_bounties, task.away_bounties) for task in different)
    ]
    index = torch.tensor([rows[id(task)] for task in tasks])
    return torch.tensor(items, dtype=torch.int32)[index], torch.tensor(weights)[index]
