"""Base class of agents. An agent acts on a belief about the task and is trained by Lightning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.checkpoints import checkpoint_file, load_checkpoint
from pearl_lightning.inference.belief import Belief
from pearl_lightning.randomness import make_generator


class Agent(LightningModule, ABC):
    """An agent that ``pearl fit`` trains, callbacks evaluate and ``load_agent`` loads from a checkpoint.

    The constructor of a subclass must call ``save_hyperparameters(logger=False)`` and
    ``make_hyperparameters_plain(self)``; otherwise ``load_agent`` cannot create it from a checkpoint.

    Args:
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action, or a mapping with ``low``, ``high`` and ``choices``.
    """

    observe_every: int | None = None
    """Number of steps between updates of the belief; None for one update per episode, as in the original."""
    resample_every: int | None = None
    """Number of steps between samples of z from a belief; None for one sample per episode, as in the original."""
    run_folder: str | None = None
    """Folder of the run that trains the agent. ``pearl fit`` sets it; commands use it to find a checkpoint's config."""

    def __init__(self, observation_features: int, action_space: ActionSpace | dict[str, Any]) -> None:
        super().__init__()
        self.observation_features = observation_features
        self.action_space = ActionSpace(**action_space) if isinstance(action_space, dict) else action_space
        self._noise: torch.Generator | None = None

    @abstractmethod
    def prior(self, arenas: int) -> Belief:
        """Return one belief per arena, all equal to the prior."""

    @abstractmethod
    def act(
        self,
        observation: Tensor,
        condition: Tensor,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return actions ``[arena, agent, width]``.

        Args:
            observation: Observations ``[arena, agent, feature]``.
            condition: Result of ``Belief.condition`` ``[arena, width]``.
            deterministic: Return the policy's mode instead of a sample.
            generator: Generator that draws the sample; torch's global one by default.
        """

    @property
    def noise(self) -> torch.Generator:
        """Generator of the updates. It is created at its first use, because only then are device and process known."""
        if self._noise is None:
            self._noise = make_generator("update noise", self.global_rank, self.device)
        return self._noise

    def normal(self, shape: torch.Size) -> Tensor:
        """Standard normal numbers of the updates, drawn from ``noise``."""
        return torch.randn(shape, generator=self.noise, device=self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["run_folder"] = self.run_folder

    def configure_callbacks(self) -> list[Callback]:
        """Check the trainer. Lightning calls this method just before its own checks, whose messages are less clear."""
        if self.trainer.state.fn == "fit":
            self.check_trainer(self.trainer)
        return []

    def check_trainer(self, trainer: Trainer) -> None:
        """Raise an error for trainer settings that the updates would ignore.

        Raises:
            ValueError: One update would not be one batch.
        """
        schedulers = [c for c in trainer.callbacks if isinstance(c, GradientAccumulationScheduler)]  # type: ignore[attr-defined]
        if trainer.accumulate_grad_batches != 1 or schedulers:
            name = "GradientAccumulationScheduler" if schedulers else "trainer.accumulate_grad_batches"
            given = schedulers[0].scheduling if schedulers else trainer.accumulate_grad_batches
            raise ValueError(
                f"{name} must not be set, because one batch is one update: use larger batches, got {given}"
            )

    # Lightning runs its evaluation loops only if these methods exist; AdaptationEvaluation does the work

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Do nothing: ``AdaptationEvaluation`` plays the validation tasks."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Do nothing: ``AdaptationEvaluation`` plays the test tasks."""


def load_agent(path: Path | str) -> Agent:
    """Load the agent of a checkpoint of ``pearl fit`` to the CPU, in evaluation mode.

    Args:
        path: A ``.ckpt`` file, the folder of a run, for its ``last.ckpt``, or ``hf://OWNER/NAME[@REVISION]``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a checkpoint of an ``Agent``.
    """
    path = checkpoint_file(str(path))
    class_path = load_checkpoint(path)["hyper_parameters"]["_class_path"]
    module, _, name = class_path.rpartition(".")
    agent_class = getattr(import_module(module), name, None)
    if not (isinstance(agent_class, type) and issubclass(agent_class, Agent)):
        raise ValueError(f"{path} must contain a subclass of {Agent.__module__}.Agent, got {class_path}")
    with torch.random.fork_rng(devices=[]):  # the constructor draws initial parameters
        return agent_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()


def logs_this_update(trainer: Trainer) -> bool:
    """Whether loggers write the metrics of the update that has just been made, or the epoch or the run ends with it.

    Lightning keeps every metric of every update, which takes as long as a small update.
    """
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    is_last = trainer.is_last_batch or trainer.global_step == trainer.max_steps
    return is_last or (every > 0 and trainer.global_step % every == 0)
