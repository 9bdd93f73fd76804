"""Classes that tests name in configs: callbacks that disturb or inspect a run, and a demonstrator."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor

from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.experience.data import meta_batches


class CrashAfter(Callback):
    """Ends the run by an error once so many updates are done."""

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.updates:
            raise RuntimeError(f"crashed after {self.updates} updates")


class FullDiskAfter(Callback):
    """Lets no file grow beyond some bytes once so many updates are done, until the run ends."""

    def __init__(self, updates: int, limit: int) -> None:
        self.updates, self.limit = updates, limit

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.updates:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))

    def on_exception(self, *_: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Slow(Callback):
    """Stretches each update, so that a signal finds the run at work."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *_: Any) -> None:
        time.sleep(self.seconds)


class SlowAt(Callback):
    """Stands still, once, in a hook after so many updates, and says so by a file in the current folder."""

    def __init__(self, hook: str, updates: int = 0, seconds: float = 60.0) -> None:
        self.updates, self.seconds, self.mark = updates, seconds, Path("standing")
        setattr(self, hook, self.stand)

    def stand(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step >= self.updates and not self.mark.exists():
            self.mark.touch()
            time.sleep(self.seconds)


class NotANumber(Callback):
    """Spoils the actor after so many updates."""

    def __init__(self, updates: int, rank: int = 0) -> None:
        self.updates, self.rank = updates, rank

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.updates and trainer.global_rank == self.rank:
            with torch.no_grad():
                next(pl_module.actor.parameters()).fill_(float("nan"))


class DumpUpdates(Callback):
    """Writes what each process' updates start from and what comes of them: ``rank-<k>-update-<n>.pt``."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.update: dict[str, Any] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        before = {name: value.clone() for name, value in pl_module.state_dict().items()}
        self.update = {"before": before, "noise": pl_module.noise.get_state(), "batch": batch.clone().to_dict()}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        trained = [(name, p) for name, p in pl_module.named_parameters() if p.requires_grad]
        self.update["gradient"] = {name: p.grad.clone() for name, p in trained}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.update["after"] = {name: value.clone() for name, value in pl_module.state_dict().items()}
        self.update["env_steps_held"] = len(meta_batches(trainer).replay)
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.update, self.folder / f"rank-{trainer.global_rank}-update-{trainer.global_step}.pt")


class Pid(Callback):
    """Writes each process' id."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Path(f"pid-{trainer.global_rank}").write_text(str(os.getpid()))


class OwnProgress(ProgressBar):
    """A progress bar of a user's own that shows nothing."""

    def disable(self) -> None:
        """There is nothing to hide."""


class Wanderer(Demonstrator):
    """Walks in directions of its own; remembers where it was going."""

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self.heading = torch.rand(arenas, 1, 2, generator=generator)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.heading = (self.heading + torch.rand(self.heading.shape, generator=generator)) % 1
        return 2 * self.heading - 1
