"""Summary of a run, printed at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from pearl_lightning.callbacks.trial import is_trial
from pearl_lightning.experience.data import env_data
from pearl_lightning.experience.progress import Progress
from pearl_lightning.machine import hardware, versions

COMPILATION = "compilation"
"""Name of the time for the preparation of the environment, before the run starts. It is only shown if it is not 0."""
PARTS = ("collection", "evaluation", "checkpoints")
"""Parts of a run's time that callbacks measure with ``timed``; the remaining time is that of the updates."""


class RunSummary(Callback):
    """Prints counts and facts of a run at its end, and writes them to ``summary.json``.

    They are the numbers of updates, episodes and steps, the report of the environment (``MetaEnv.report``; for the real
    game its version, the WebGL renderer and the number of restarts) and the seconds. The seconds are those of the whole
    run, without the time that a killed process spent after its last checkpoint. The file also contains the seconds by
    part, the versions of packages, and the machine.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._earlier = 0.0  # seconds of the processes before a resume
        self._earlier_parts = dict.fromkeys(PARTS, 0.0)
        self._progress = Progress()  # replaced by that of the data module in setup
        self._compilation = 0.0  # seconds of preparation in this process

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._earlier, self._earlier_parts = 0.0, dict.fromkeys(PARTS, 0.0)  # load_state_dict sets them on resume
        self._progress = env_data(trainer).progress
        self._compilation = env_data(trainer).preparation_seconds

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        self._progress.seconds.clear()  # remove those of an earlier fit in this process

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # before the data module closes the env
        if not trainer.is_global_zero:
            return
        seconds = self._seconds()
        facts = self.facts(trainer) | {"seconds": round(seconds, 1)}
        parts = {part: round(spent, 1) for part, spent in split(seconds, self._parts()).items()}
        width = max(map(len, facts))
        print("\nRun summary:\n" + "\n".join(f"{name:>{width}}  {value}" for name, value in facts.items()))
        print(f"{'by part':>{width}}  " + ", ".join(f"{part} {spent}" for part, spent in parts.items()))
        if trainer.log_dir is not None and not is_trial(trainer):
            print(f"{'files':>{width}}  {trainer.log_dir}")
            facts |= {"seconds_by_part": parts, "versions": versions(), "hardware": hardware()}
            (Path(trainer.log_dir) / "summary.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds(), "parts": self._parts()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._earlier = state_dict["seconds"]
        self._earlier_parts |= state_dict.get("parts", {})  # missing in checkpoints of earlier versions

    def _seconds(self) -> float:
        return self._earlier + self._compilation + time.monotonic() - self._started

    def _parts(self) -> dict[str, float]:
        parts = {part: earlier + self._progress.seconds.get(part, 0.0) for part, earlier in self._earlier_parts.items()}
        compilation = parts.pop(COMPILATION, 0.0) + self._compilation
        return parts | ({COMPILATION: compilation} if compilation else {})

    @staticmethod
    def facts(trainer: Trainer) -> dict[str, Any]:
        """Number of updates, counts of this process, and the report of the environment."""
        data = env_data(trainer)
        return {"updates": trainer.global_step} | data.progress.counts() | data.env.report()


def split(seconds: float, parts: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of a run by part; the time that no part has measured is that of the updates."""
    return {**parts, "updates": max(seconds - sum(parts.values()), 0.0)}
