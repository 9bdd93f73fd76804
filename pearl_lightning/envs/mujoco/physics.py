"""A batch of copies of a MuJoCo model that are simulated side by side on a pool of threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from mujoco import rollout
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


def load_model(file: str) -> mujoco.MjModel:
    """Load a model that comes with Gymnasium, such as ``half_cheetah.xml``."""
    return mujoco.MjModel.from_xml_path(str(_ASSETS / file))


class Physics:
    """The states of all arenas, and steps of them.

    Each step starts the constraint solver without a guess (``qacc_warmstart`` is 0), so that a state alone determines
    the next one: an episode does not depend on the number of threads or on the other arenas.

    Args:
        model: Model of every arena, until ``use`` gives each arena its own.
        arenas: Number of arenas.
        substeps: Number of simulation steps per step of the environment.
        threads: Number of threads, at least 1.
        derived: Fields of ``MjData`` to keep after every step, such as ``cfrc_ext``. As in Gymnasium, they are those of
            the last simulation step.
    """

    def __init__(
        self, model: mujoco.MjModel, *, arenas: int, substeps: int, threads: int, derived: Sequence[str] = ()
    ) -> None:
        self.model, self.substeps = model, substeps
        self._models: list[mujoco.MjModel] | None = None  # of each arena; None if all have the first one
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._rollout: rollout.Rollout | None = None  # None: the threads have not been started, or are stopped
        self._pool: ThreadPoolExecutor | None = None
        self._state = np.zeros((arenas, mujoco.mj_stateSize(model, _STATE)))
        self._derived = {name: np.zeros((arenas, getattr(self._data[0], name).size)) for name in derived}

    @property
    def step_seconds(self) -> float:
        """Simulated seconds per step of the environment."""
        return float(self.model.opt.timestep * self.substeps)

    @property
    def qpos(self) -> Tensor:
        """Positions ``[arena, position]``, in float64."""
        return torch.from_numpy(self._state[:, 1 : 1 + self.model.nq].copy())

    @property
    def qvel(self) -> Tensor:
        """Velocities ``[arena, velocity]``, in float64."""
        first = 1 + self.model.nq
        return torch.from_numpy(self._state[:, first : first + self.model.nv].copy())

    @property
    def derived(self) -> Mapping[str, Tensor]:
        """The derived fields in the current states by name, each ``[arena, number]``, in float64."""
        return {name: torch.from_numpy(values.copy()) for name, values in self._derived.items()}

    def use(self, models: Sequence[mujoco.MjModel]) -> None:
        """Give each arena its own model, which may differ from the first one in numbers but not in sizes."""
        self._models = list(models)

    def start(self, qpos: Tensor, qvel: Tensor) -> None:
        """Start all arenas from positions ``[arena, position]`` and velocities ``[arena, velocity]``."""
        self._state[:] = 0
        self._state[:, 1 : 1 + self.model.nq] = qpos.numpy()
        self._state[:, 1 + self.model.nq : 1 + self.model.nq + self.model.nv] = qvel.numpy()
        if self._derived:
            self._spread(self._derive, np.arange(len(self._state)), np.zeros((len(self._state), self.model.nu)))

    def step(self, control: Tensor, is_running: Tensor) -> None:
        """Play one step of the environment.

        Args:
            control: Controls ``[arena, actuator]``.
            is_running: Whether each arena is simulated ``[arena]``; the others keep their states.
        """
        rows = is_running.nonzero().squeeze(-1).numpy()
        controls = control.double().numpy()
        if self._derived:
            self._spread(self._step_and_derive, rows, controls)
        elif len(rows):
            repeated = np.repeat(controls[rows, None], self.substeps, axis=1)
            # one model instead of a list, whose entries MuJoCo would compare at every step
            models = self.model if self._models is None else [self._models[row] for row in rows]
            if self._rollout is None:
                self._rollout = rollout.Rollout(nthread=len(self._data) if len(self._data) > 1 else 0)
            states, _ = self._rollout.rollout(models, self._data, self._state[rows], repeated)
            self._state[rows] = states[:, -1]

    def first_arena(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """The model of the first arena, and its state with everything that is drawn."""
        model = self._model_of(0)
        data = mujoco.MjData(model)
        mujoco.mj_setState(model, data, self._state[0], _STATE)
        mujoco.mj_forward(model, data)
        return model, data

    def _model_of(self, arena: int) -> mujoco.MjModel:
        return self.model if self._models is None else self._models[arena]

    def _spread(
        self, work: Callable[[mujoco.MjData, NDArray[np.int64], Array], None], rows: Any, control: Array
    ) -> None:
        """Spread the work on some arenas over the threads; MuJoCo's own rollout returns no derived fields."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(self._data))
        parts = np.array_split(rows, len(self._data))
        list(self._pool.map(lambda data, part: work(data, part, control), self._data, parts))

    def _step_and_derive(self, data: mujoco.MjData, rows: NDArray[np.int64], control: Array) -> None:
        """Simulate some arenas, and keep the derived fields of the last simulation step, as Gymnasium does."""
        for row in rows:
            self._load(data, row, control)
            mujoco.mj_step(self._model_of(row), data, self.substeps)
            mujoco.mj_getState(self._model_of(row), data, self._state[row], _STATE)
            self._keep(data, row)

    def _derive(self, data: mujoco.MjData, rows: NDArray[np.int64], control: Array) -> None:
        """Compute the derived fields of the states of some arenas."""
        for row in rows:
            self._load(data, row, control)
            mujoco.mj_forward(self._model_of(row), data)
            self._keep(data, row)

    def _load(self, data: mujoco.MjData, row: int, control: Array) -> None:
        mujoco.mj_setState(self._model_of(row), data, self._state[row], _STATE)
        data.ctrl[:], data.qacc_warmstart[:] = control[row], 0

    def _keep(self, data: mujoco.MjData, row: int) -> None:
        mujoco.mj_rnePostConstraint(
            self._model_of(row), data
        )  # external forces, which newer versions compute on demand
        for name, values in self._derived.items():
            values[row] = getattr(data, name).ravel()

    def close(self) -> None:
        """Stop the threads; the next step starts them again."""
        if self._rollout is not None:
            self._rollout.close()
        if self._pool is not None:
            self._pool.shutdown()
        self._rollout = self._pool = None
