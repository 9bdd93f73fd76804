"""What a run did, in a few lines at its end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.callbacks.collector import collectors
from pearl_lightning.data import world_data


class RunSummary(Callback):
    """Prints how much a run played and learned, and what the world says of itself; also as ``summary.json``.

    The world's facts are those of ``MetaEnv.report``: for the real game its version, the WebGL renderer and how often
    it had to be restarted. The seconds are those of the whole run, without what a killed process did after its last
    checkpoint.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._earlier = 0.0  # seconds of the processes before a resume

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # before the data module closes the env
        if not trainer.is_global_zero:
            return
        facts = self.facts(trainer) | {"seconds": round(self._seconds(), 1)}
        width = max(map(len, facts))
        print("\nRun summary:\n" + "\n".join(f"{name:>{width}}  {value}" for name, value in facts.items()))
        if trainer.log_dir is not None:
            print(f"{'files':>{width}}  {trainer.log_dir}")
            (Path(trainer.log_dir) / "summary.json").write_text(json.dumps(facts, indent=2) + "\n")

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._earlier = state_dict["seconds"]

    def _seconds(self) -> float:
        return self._earlier + time.monotonic() - self._started

    @staticmethod
    def facts(trainer: Trainer) -> dict[str, Any]:
        """Updates, what this process collected, and the world's report."""
        counts = {
            name: sum(getattr(collector, name) for collector in collectors(trainer))
            for name in ("iterations", "episodes", "env_steps", "transitions")
        }
        return {"updates": trainer.global_step} | counts | world_data(trainer).env.report()
