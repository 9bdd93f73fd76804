"""Base class of callbacks that can be reused for several agents, one after another."""

from __future__ import annotations

from abc import abstractmethod

from pytorch_lightning import Callback, LightningModule, Trainer


class PerAgent(Callback):
    """A callback with counters and records of a single agent. They are reset when it is used with another agent.

    Fitting the same agent again continues them. The data module treats its store in the same way.
    """

    _agent: LightningModule | None = None  # agent that was fitted last

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if self._agent is not None and self._agent is not pl_module:
            self.start_afresh()
        self._agent = pl_module

    @abstractmethod
    def start_afresh(self) -> None:
        """Reset all counters and records to their initial values."""
