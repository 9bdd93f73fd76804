"""A run small enough for a test: the point robot, networks of eight units, a dozen updates."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# before torch is imported: several tests share the cores, and threads that wait for each other would spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
# started in the background, the tests and what they interrupt would ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)

PROBES = Path(__file__).parent / "cli"
"""Where the callbacks are that tests name in configs."""

TINY = """
seed_everything: 3
name: tiny
threads: 1
trainer:
  max_steps: 12
  accelerator: cpu
  val_check_interval: 5
  check_val_every_n_epoch: null
  log_every_n_steps: 1
  enable_progress_bar: false
  callbacks:
    - class_path: pearl_lightning.callbacks.AdaptationEvaluation
      init_args: {episodes: 2, matches: 2}
    - class_path: pearl_lightning.callbacks.EpisodeCollector
      init_args: {every_n_updates: 4, tasks_per_iteration: 2, initial_iterations: 2}
    - class_path: pearl_lightning.callbacks.ReplayCheckpoint
      init_args: {every_n_updates: 1}
model:
  class_path: pearl_lightning.pearl.PEARL
  init_args:
    encoder:
      class_path: pearl_lightning.networks.encoders.GaussianProductEncoder
      init_args: {latent_dim: 2, hidden: [8]}
    actor:
      class_path: pearl_lightning.networks.actors.Actor
      init_args: {hidden: [8]}
    critic:
      class_path: pearl_lightning.networks.critics.CriticEnsemble
      init_args: {hidden: [8]}
    sac: {discount: 0.9}
    optimizer:
      class_path: torch.optim.Adam
      init_args: {lr: 0.01, fused: true}
data:
  class_path: pearl_lightning.data.MetaBatchDataModule
  init_args:
    env:
      class_path: pearl_lightning.envs.point_robot.PointRobot
      init_args:
        arenas: 4
        tasks:
          class_path: pearl_lightning.envs.point_robot.GoalTasks
          init_args: {train_tasks: 4, validation_tasks: 2, test_tasks: 2}
    meta_batch: 2
    transitions: 8
    updates_per_epoch: 6
    episodes_per_task: 8
"""


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a tiny run: updates 1 to 12, collections after 4 and 8, evaluations after 5 and 10, epochs of 6."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY)
    return path


class Pearl:
    """``pearl`` in a process group of its own; the probes of tests can be named in its config."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "pearl"), *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(PROBES)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self, seconds: float = 200) -> tuple[int, str, str]:
        """Exit status, output and errors; nothing of the group is left."""
        try:
            output, errors = self.process.communicate(timeout=seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.returncode, output, errors

    def wait_for_rows(self, metrics: Path, rows: int, seconds: float = 200) -> None:
        """Until so many rows of ``metrics.csv`` are written."""
        deadline = time.monotonic() + seconds
        while not metrics.is_file() or len(metrics.read_text().splitlines()) <= rows:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"no {rows} rows in {metrics}: {self.finish(0)}")
            time.sleep(0.02)


@pytest.fixture(scope="session")
def start_pearl() -> type[Pearl]:
    """Starts ``pearl`` with some arguments."""
    return Pearl
