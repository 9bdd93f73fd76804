"""What every learner is: it plays, given a belief about the task, and it trains under Lightning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.belief import Belief
from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.randomness import make_generator


class Agent(LightningModule, ABC):
    """A learner: what ``pearl fit`` trains, callbacks evaluate and checkpoints rebuild.

    A subclass calls ``save_hyperparameters(logger=False)`` and ``make_hyperparameters_plain(self)``, so that its
    checkpoints rebuild it.

    Args:
        observation_features: Numbers in one agent's observation.
        action_space: Layout of one agent's action; a mapping with ``low``, ``high`` and ``choices`` will do.
    """

    z_steps: int | None = None
    """Steps for which a sample of z is acted on; a whole episode when None."""

    def __init__(self, observation_features: int, action_space: ActionSpace | dict[str, Any]) -> None:
        super().__init__()
        self.observation_features = observation_features
        self.action_space = ActionSpace(**action_space) if isinstance(action_space, dict) else action_space
        self._noise: torch.Generator | None = None

    @abstractmethod
    def prior(self, arenas: int) -> Belief:
        """A belief per arena, at the prior."""

    @abstractmethod
    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        """Actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]`` and z ``[arena, latent]``."""

    @abstractmethod
    def context_features(self, episodes: TensorDictBase) -> Tensor:
        """What the belief takes in, ``[task, transition, feature]``, from whole episodes.

        Args:
            episodes: ``observation`` and ``action`` ``[task, episode, row, agent, ...]``, ``reward`` ``[task, episode,
                row, agent]``; the last row holds the final observation alone (see ``rollout.play_episode``).
        """

    @property
    def noise(self) -> torch.Generator:
        """The updates' generator; made on first use, when device and process are known."""
        if self._noise is None:
            self._noise = make_generator("update noise", self.global_rank, self.device)
        return self._noise

    # evaluation is the callbacks' work; these let Lightning run its loops

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing per batch: ``AdaptationEvaluation`` plays the validation tasks."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing per batch: ``AdaptationEvaluation`` plays the test tasks."""


def load_agent(path: Path) -> Agent:
    """The agent of a ``.ckpt`` of ``pearl fit``, whatever its class, on the CPU and not training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint of an ``Agent``.
    """
    class_path = load_checkpoint(path)["hyper_parameters"]["_class_path"]
    module, _, name = class_path.rpartition(".")
    agent_class = getattr(import_module(module), name, None)
    if not (isinstance(agent_class, type) and issubclass(agent_class, Agent)):
        raise ValueError(f"{path} must hold an agent, a subclass of {Agent.__module__}.Agent, got {class_path}")
    with torch.random.fork_rng(devices=[]):  # a fresh initialization is drawn first
        return agent_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()


def require_finite(total: Tensor, terms: dict[str, Tensor], update: int) -> None:
    """Stop training, naming every term, before a ``total`` loss that is not finite spoils the networks.

    Raises:
        FloatingPointError: It is not.
    """
    if not torch.isfinite(total):
        values = ", ".join(f"{name}={float(term.detach()):.4g}" for name, term in terms.items())
        raise FloatingPointError(f"the losses of update {update} are not finite: {values}")
