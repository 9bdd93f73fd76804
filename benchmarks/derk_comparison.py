"""Comparison of the simulator with a recording of the real game: counts of agreements, and causes of differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.derk.recordings import DERKLINGS, Recording

TOLERANCE = 1e-3
CAUSES = {
    "chasing": "units that chase a focus: they turn by an angle",
    "touched": "units near a unit that differs, or in its focus: that unit pushes them",
    "casting": "other units that cast: a cast waits for an angle",
    "unit, unexplained": "other units",
    "seen": "numbers observed in an arena in which a unit differs",
    "behind": "angles to something exactly behind, recorded with the opposite sign or not at all",
    "number, unexplained": "other observed numbers",
}
"""Causes of differences after one step: first those of units, then those of observed numbers."""
CHASE_COLUMN, CAST_COLUMN = 2, 3
"""Columns of ChaseFocus and CastingSlot in an action."""
REACH = 2.0
"""Metres: units touch at half of this distance, and move less than the other half in a step."""


@dataclass
class Tally:
    """Counts of comparisons of one kind, and the largest difference."""

    right: int = 0
    compared: int = 0
    worst: float = 0.0
    sample: str = ""

    @property
    def share(self) -> float:
        return self.right / self.compared if self.compared else float("nan")

    def add(self, difference: Tensor, valid: Tensor, describe: Any) -> None:
        """Count the valid entries of ``difference``; ``describe`` converts the index of the largest one to text."""
        difference = torch.where(valid, difference.double(), 0.0)
        self.right += int(((difference <= TOLERANCE) & valid).sum())
        self.compared += int(valid.sum())
        if difference.numel() and float(difference.max()) > self.worst:
            self.worst = float(difference.max())
            self.sample = describe(np.unravel_index(int(difference.argmax()), tuple(difference.shape)))


@dataclass
class Comparison:
    """Tallies of one file by name, differences by cause, and the steps of the free runs."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    free_steps: list[int] = field(default_factory=list)
    never: int = 0

    def tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally())


def count_causes(
    into: Comparison,
    recording: Recording,
    step: int,
    differences: Tensor,
    observed: Tensor,
    units: Tensor,
    rows: Tensor,
) -> None:
    """Count each difference after a step under the first of ``CAUSES`` that applies.

    Args:
        into: Comparison that gets the counts.
        recording: The recording.
        step: Number of the step.
        differences: Largest difference in the state of each unit ``[arena, unit]``.
        observed: Differences of the observations ``[side, arena, agent, 64]``.
        units: Whether a unit is compared ``[arena, unit]``.
        rows: Whether an observation is compared ``[side, arena, agent]``.
    """
    differs = (differences > TOLERANCE) & units
    start, action = recording.state(step), recording.actions[step]
    chase = action[..., CHASE_COLUMN].transpose(0, 1).flatten(1)  # [arena, unit]
    focus = start["focus"][:, DERKLINGS], recording.state(step + 1)["focus"][:, DERKLINGS]
    chasing = differs & (chase > 0) & ((focus[0] >= 0) | (focus[1] >= 0))
    place = start["position"][:, DERKLINGS].nan_to_num()
    near = torch.cdist(place, place) < REACH
    others = differs.unsqueeze(1) & ~torch.eye(len(DERKLINGS), dtype=torch.bool)
    aimed_at = focus[1].unsqueeze(1) == torch.tensor(DERKLINGS).unsqueeze(1)
    touched = differs & ~chasing & ((near | aimed_at) & others).any(-1)
    slot = action[..., CAST_COLUMN].transpose(0, 1).flatten(1)
    casting = differs & ~chasing & ~touched & (slot > 0)
    wrong = (observed > TOLERANCE) & rows.unsqueeze(-1)
    seen = wrong & differs.any(1).reshape(1, -1, 1, 1)
    recorded = recording.observations[step].abs()
    behind = wrong & ~seen & (observed > 1 - TOLERANCE) & ((recorded > 1 - TOLERANCE) | (recorded == 0))
    for name, found in (
        ("chasing", chasing),
        ("touched", touched),
        ("casting", casting),
        ("unit, unexplained", differs & ~chasing & ~touched & ~casting),
        ("seen", seen),
        ("behind", behind),
        ("number, unexplained", wrong & ~seen & ~behind),
    ):
        into.causes[name] += int(found.sum())


def merged(comparisons: Sequence[Comparison]) -> Comparison:
    """Sum of the comparisons of several files."""
    total = Comparison()
    for comparison in comparisons:
        for name, tally in comparison.tallies.items():
            both = total.tally(name)
            both.right, both.compared = both.right + tally.right, both.compared + tally.compared
            if tally.worst > both.worst:
                both.worst, both.sample = tally.worst, tally.sample
        for cause, count in comparison.causes.items():
            total.causes[cause] += count
        total.free_steps += comparison.free_steps
        total.never += comparison.never
    return total
