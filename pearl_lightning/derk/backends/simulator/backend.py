"""SimulatorBackend: the simulated game with the same interface as the real game."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numba
import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.actions import checked_actions
from pearl_lightning.derk.backends.simulator.compiling import compile_loops
from pearl_lightning.derk.backends.simulator.cpu import CpuRunner
from pearl_lightning.derk.backends.simulator.rules import SIDE_MEMBERS, Settings
from pearl_lightning.derk.backends.simulator.spawning import arena_seeds, encode, spawn_jitter
from pearl_lightning.derk.backends.simulator.state import BOUNDS, FIELDS, WHOLE, MatchState
from pearl_lightning.derk.backends.simulator.terrain import Terrain, flat_terrain, game_terrain
from pearl_lightning.derk.interface import (
    ACTION_SPACE,
    AGENTS,
    EPISODE_TICKS,
    OBSERVATION_FEATURES,
    SIDES,
    SLOTS,
    TICKS_PER_STEP,
)
from pearl_lightning.derk.tasks import DerkTask

_compiled: set[str] = set()  # devices for which this process has compiled or loaded the loops


class Runner(Protocol):
    """Applies the rules to a state's tensors, in place."""

    def step(self, state: MatchState, tick: int, action: Tensor, observation: Tensor, reward: Tensor) -> None: ...

    def sense(self, state: MatchState, observation: Tensor) -> None: ...

    def face(self, state: MatchState) -> None: ...


class SimulatorBackend:
    """Plays thousands of matches in parallel by the game's rules, without the game.

    The same seeds and actions give the same matches, bit for bit, for any number of threads.
    ``docs/environments/derk.md`` lists the differences from the real game. The first simulator of a process compiles
    the rules when it is created, or loads them if an earlier process has compiled them.

    Attributes:
        compile_seconds: Time in seconds that the creation of this simulator spent on compilation; 0 if the rules were
            only loaded.

    Args:
        arenas: Number of matches in parallel, at least 1.
        device: Device of observations, rewards and actions: ``cpu`` or ``cuda``.
        threads: Number of CPU threads that share the arenas. Defaults to torch's number of threads.
        substeps: Ticks of 1/60 s per step, at least 1.
        episode_ticks: Ticks per episode, at least 1; the real game has 1200.
        interleaved: Whether actions take effect one step late and the last action is dropped, as in the game's
            interleaved mode.
        turbo: Whether shots start from the pose at the start of the step, as in the game's turbo mode, instead of the
            pose at the start of the tick.
        terrain: ``game`` (read from the installed gym-derk) or ``flat``.
        arithmetic: ``plain``, or ``recorded`` to round angles like the renderer of the recordings.
        spawn_seed: Seed of the spawns of every episode; if given, the seed of ``reset`` is ignored.
        corrected_attribution: Whether each hitpoint of damage and each kill is rewarded only once, to the unit that
            caused it, and hits on the dead and falls caused by the same side are not rewarded.
        bounty_events: Whether to count the events of every bounty, for ``bounty_events()``.

    Raises:
        ValueError: A setting is outside its range, or CUDA is not available.
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
        _check_choice("terrain", terrain, ("game", "flat"))
        _check_choice("arithmetic", arithmetic, ("plain", "recorded"))
        _check_device(device, threads)
        self.arenas, self.interleaved, self.spawn_seed = arenas, interleaved, spawn_seed
        self.device = torch.device(device)
        self.episode_steps = math.ceil(episode_ticks / substeps)
        self.settings = Settings(
            substeps, episode_ticks, arithmetic == "recorded", turbo, corrected_attribution, bounty_events
        )
        ground = game_terrain() if terrain == "game" else flat_terrain()
        self._runner = _make_runner(ground, self.settings, self.device, threads)
        self._matches = MatchState(arenas, self.device, bounty_events)
        self._tick = 0
        self._playing = False
        self._is_closed = False
        self._held: tuple[Tensor, Tensor, bool] | None = None  # interleaved mode: step not returned yet
        self.compile_seconds = self._compile()

    def reset(self, tasks: Sequence[DerkTask], seed: int | Sequence[int]) -> Tensor:
        """Start one match per arena; return observations ``[side, arena, agent, 64]``.

        Args:
            tasks: One task per arena.
            seed: Seed of the spawns, or one seed per arena. With a single seed the spawns still differ between arenas.

        Raises:
            ValueError: The number of tasks or seeds is not the number of arenas.
        """
        if self._is_closed:
            raise RuntimeError("the simulator is closed: create a new backend")
        if len(tasks) != self.arenas:
            raise ValueError(f"tasks must contain one task per arena ({self.arenas}), got {len(tasks)}")
        seeds = arena_seeds(seed if self.spawn_seed is None else self.spawn_seed, self.arenas)
        items, weights = encode(tasks)
        jitter = torch.from_numpy(spawn_jitter(seeds))
        self._matches.spawn(*(tensor.to(self.device) for tensor in (items, weights, jitter)))
        self._runner.face(self._matches)
        self._tick, self._playing = 0, True
        observation = self._empty(AGENTS, OBSERVATION_FEATURES)
        self._runner.sense(self._matches, observation)
        self._held = self._play(self._empty(AGENTS, ACTION_SPACE.width).zero_()) if self.interleaved else None
        return observation

    def step(self, action: Tensor, *, check: bool = True) -> tuple[Tensor, Tensor, bool]:
        """Play actions ``[side, arena, agent, 5]``; return observations, rewards ``[side, arena, agent]`` and done.

        Args:
            action: Actions of both teams.
            check: Raise an error for actions outside the action space. Recordings contain such actions and the game
                accepts them (sections 5.3 to 5.5). Actions that are not finite always raise an error.

        Raises:
            ValueError: An action is not legal; nothing was played.
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
        """Statistics ``[side, arena, 5]`` of the finished match, in the order of ``TEAM_STATS_KEYS``."""
        if self._playing or self._tick < self.settings.episode_ticks:
            raise RuntimeError("team_stats() is available only between the end of an episode and the next reset")
        totals = [
            self._matches.view(name).unflatten(1, (SIDES, SIDE_MEMBERS)).float().sum(dim=2).T  # [side, arena]
            for name in ("gold", "hitpoints", "alive_ticks", "cumulative_hitpoints")
        ]
        return torch.stack([totals[0], totals[0].flip(0), *totals[1:]], dim=-1)

    def bounty_events(self) -> Tensor:
        """Events of the match so far, rewarded or not, ``[side, arena, agent, 22]`` in the order of ``BOUNTY_KEYS``.

        Kills, falls, territory ticks and results are counts; damage and healing are in hitpoints. ``teamSpirit``,
        ``timeScaling`` and ``manualBonus`` are always 0.
        """
        if not self.settings.counts_events:
            raise RuntimeError("bounty_events() requires a simulator with bounty_events=True")
        return self._matches.view("events").unflatten(1, (SIDES, AGENTS)).transpose(0, 1).clone()

    def state(self) -> dict[str, Tensor]:
        """Copy of the state of all matches: ``tick`` ``[]`` and the fields of ``state.FIELDS`` ``[arena, ...]``."""
        named = {name: self._matches.view(name).clone() for name in (*FIELDS, *WHOLE)}
        return {"tick": torch.tensor(self._tick), **named}

    def load_state(self, state: Mapping[str, Tensor]) -> Tensor:
        """Set the state of the matches; return their observations ``[side, arena, agent, 64]``.

        Args:
            state: Some or all fields of ``state()``. If directions are missing, they are computed from the given
                headings. If rendered poses are missing, they are set to the poses.

        Raises:
            ValueError: A name is unknown, a shape is wrong, or a number is not finite or out of range. The state is
                then unchanged.
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
            self._runner.face(self._matches)
        for name, source in (("rendered_position", "position"), ("rendered_direction", "direction")):
            if name not in state:
                self._matches.view(name).copy_(self._matches.view(source))
        observation = self._empty(AGENTS, OBSERVATION_FEATURES)
        self._runner.sense(self._matches, observation)
        if self.interleaved:  # the result that the next step returns is the state that was just set
            self._held = observation.clone(), self._empty(AGENTS).zero_(), False
        return observation

    def report(self) -> dict[str, str | int]:
        """Name of the simulator, for the summary of a run."""
        return {"simulator": f"{self.device.type}, gym-derk 1.1.1's rules"}

    def close(self) -> None:
        """Close the simulator. Later calls raise an error; a second call of ``close`` does nothing."""
        self._is_closed, self._playing = True, False

    def _play(self, action: Tensor) -> tuple[Tensor, Tensor, bool]:
        observation, reward = self._empty(AGENTS, OBSERVATION_FEATURES), self._empty(AGENTS)
        self._runner.step(self._matches, self._tick, action, observation, reward)
        self._tick = min(self._tick + self.settings.substeps, self.settings.episode_ticks)
        return observation, reward, self._tick == self.settings.episode_ticks

    def _readable(self, action: Tensor) -> Tensor:
        """Convert unchecked actions for the compiled loops, which check neither shape nor memory layout."""
        expected = (SIDES, self.arenas, AGENTS, ACTION_SPACE.width)
        if tuple(action.shape) != expected or not torch.isfinite(action).all():
            raise ValueError(f"action must be finite and have shape {expected}, got shape {tuple(action.shape)}")
        return action.detach().to(self.device, torch.float32).contiguous()

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(SIDES, self.arenas, *shape, device=self.device)

    def _compile(self) -> float:
        """Compile all loops by playing one step of a dummy match; return the seconds, 0 if they were only loaded."""
        device = self.device.type
        if device in _compiled or numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return 0.0
        match = MatchState(1, self.device, self.settings.counts_events)
        empty = DerkTask(home_loadouts=[[None] * SLOTS] * AGENTS, away_loadouts=[[None] * SLOTS] * AGENTS)
        numbers = (*encode([empty]), torch.from_numpy(spawn_jitter(np.zeros(1, dtype=np.uint64))))
        match.spawn(*(tensor.to(self.device) for tensor in numbers))
        seconds = compile_loops(self._runner, match)
        _compiled.add(device)
        return seconds


def _check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _check_device(device: str, threads: int | None) -> None:
    _check_choice("device", device, ("cpu", "cuda"))
    if device == "cuda" and threads is not None:
        raise ValueError(f"threads must be None unless device is cpu, got threads {threads} and device {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu because torch finds no CUDA GPU, got 'cuda'")


def _make_runner(ground: Terrain, settings: Settings, device: torch.device, threads: int | None) -> Runner:
    if device.type == "cuda":
        from pearl_lightning.derk.backends.simulator.cuda import CudaRunner  # imports numba's CUDA support

        return CudaRunner(ground, settings, device)
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return CpuRunner(ground, settings, min(torch.get_num_threads(), most) if threads is None else threads)
