"""What a run did, in a few lines at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.collector import Collector, collectors
from pearl_lightning.callbacks.replay_checkpoint import ReplayCheckpoint
from pearl_lightning.callbacks.timing import Timed
from pearl_lightning.data import world_data
from pearl_lightning.machine import hardware, versions

PARTS: dict[str, type[Timed]] = {
    "collection": Collector,
    "evaluation": AdaptationEvaluation,
    "checkpoints": ReplayCheckpoint,
}
"""What a run's time is split into; the rest is that of the updates."""


class RunSummary(Callback):
    """Prints how much a run played and learned, and what the world says of itself; also as ``summary.json``.

    The world's facts are those of ``MetaEnv.report``: for the real game its version, the WebGL renderer and how often
    it had to be restarted. The seconds are those of the whole run, without what a killed process did after its last
    checkpoint. The file also holds what they were spent on, the versions that played and the machine.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._earlier = 0.0  # seconds of the processes before a resume
        self._earlier_parts = dict.fromkeys(PARTS, 0.0)
        self._timed: dict[str, list[Timed]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        callbacks = cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]
        self._timed = {part: [c for c in callbacks if isinstance(c, kind)] for part, kind in PARTS.items()}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        for callback in (callback for callbacks in self._timed.values() for callback in callbacks):
            callback.busy_seconds = 0.0  # nothing of an earlier fit in this process

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # before the data module closes the env
        if not trainer.is_global_zero:
            return
        seconds = self._seconds()
        facts = self.facts(trainer) | {"seconds": round(seconds, 1)}
        parts = {part: round(spent, 1) for part, spent in split(seconds, self._parts()).items()}
        width = max(map(len, facts))
        print("\nRun summary:\n" + "\n".join(f"{name:>{width}}  {value}" for name, value in facts.items()))
        print(f"{'of them':>{width}}  " + ", ".join(f"{part} {spent}" for part, spent in parts.items()))
        if trainer.log_dir is not None:
            print(f"{'files':>{width}}  {trainer.log_dir}")
            facts |= {"seconds_by_part": parts, "versions": versions(), "hardware": hardware()}
            (Path(trainer.log_dir) / "summary.json").write_text(json.dumps(facts, indent=2) + "\n")

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds(), "parts": self._parts()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = state_dict["seconds"]
        self._earlier_parts |= state_dict.get("parts", {})  # an older checkpoint has none

    def _seconds(self) -> float:
        return self._earlier + time.monotonic() - self._started

    def _parts(self) -> dict[str, float]:
        return {
            part: earlier + sum(callback.busy_seconds for callback in self._timed.get(part, ()))
            for part, earlier in self._earlier_parts.items()
        }

    @staticmethod
    def facts(trainer: Trainer) -> dict[str, Any]:
        """Updates, what this process collected, and the world's report."""
        counts = {
            name: sum(getattr(collector, name) for collector in collectors(trainer))
            for name in ("iterations", "episodes", "env_steps", "transitions")
        }
        return {"updates": trainer.global_step} | counts | world_data(trainer).env.report()


def split(seconds: float, parts: Mapping[str, float]) -> dict[str, float]:
    """A run's seconds by what they were spent on; what no part counted is that of the updates."""
    return {**parts, "updates": max(seconds - sum(parts.values()), 0.0)}
