"""Table of the speed of collection, from ``environments.json``, which ``benchmarks.environments`` writes."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.pages.tables import table

NAMES = {
    "cheetah": "half-cheetah (`CheetahVel`, HalfCheetah-v5)",
    "ant_goal": "ant, never ends early (`AntGoal`, Ant-v5)",
    "ant_dir": "ant, untrained, falls (`AntDir`, Ant-v5)",
    "pendulum": "pendulum (`GymnasiumEnv`, Pendulum-v1)",
}
"""Descriptions of the environments, in the order of the rows."""


def speeds(data: Path) -> list[str]:
    """Table of environment steps per CPU second."""
    measured = json.loads((data / "environments.json").read_text(encoding="utf-8"))
    rows = [
        [text, *(f"{measured[name][side]:,.0f}" for side in ("collection", "loop")), f"{measured[name]['ratio']:.1f}"]
        for name, text in NAMES.items()
    ]
    return table(["environment", "collection", "Gymnasium loop", "ratio"], rows)
