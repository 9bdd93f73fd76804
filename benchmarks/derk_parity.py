"""The simulator against recordings of the real game: ``python -m benchmarks.derk_parity DIR``.

A recording is an ``.npz`` file (see ``pearl_lightning.envs.derk.recordings``): states at every step, actions,
observations and rewards of some matches. Two questions are put to each:

- *One step*: the simulator is put into the recorded state at the start of every step, plays the recorded actions, and
  is compared with the recorded state, observation and reward at its end.
- *Free*: it starts once, from the first recorded state; after how many steps is any unit's position off?

What recordings lack is carried over from the simulator's own previous step: shots in flight, and what is NaN (of
recordings by ``benchmarks.derk_record``: heights, velocities and contact with the ground). Hitpoints before the last
regeneration follow from the hitpoints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pearl_lightning.envs.derk.interface import OBSERVATION_KEYS, SIDES
from pearl_lightning.envs.derk.recordings import DERKLINGS, STATE_FIELDS, Recording, read_recording
from pearl_lightning.envs.derk.simulator import SimulatorBackend

TOLERANCE = 1e-3
OTHERS = tuple(name for name in STATE_FIELDS if name not in ("position", "heading"))
BROKEN_AFTER = {"nan_all": 10}
"""Scenarios that break a unit of the real game, and the step from which they are not compared."""


CAUSES = {
    "chasing": "units that chase a focus: they turn by an angle",
    "touched": "units that one which is off touches or has in focus: it shoves and pushes them",
    "casting": "other units that are told to cast: a cast waits for an angle",
    "unit, unexplained": "other units",
    "seen": "numbers observed in an arena where a unit is off",
    "behind": "angles to what is exactly behind, recorded with the other sign or as no number",
    "number, unexplained": "other observed numbers",
}
"""What the comparisons that differ in one step are put down to: units first, then numbers of observations."""
CHASE_COLUMN, CAST_COLUMN = 2, 3
"""Of ChaseFocus and CastingSlot in an action."""
REACH = 2.0
"""Metres: units touch at half of it, and move less than the other half in a step."""


@dataclass
class Tally:
    """Comparisons of one kind, and the worst of them."""

    right: int = 0
    compared: int = 0
    worst: float = 0.0
    sample: str = ""

    @property
    def share(self) -> float:
        return self.right / self.compared if self.compared else float("nan")

    def add(self, difference: Tensor, valid: Tensor, describe: Any) -> None:
        """Count entries of ``difference`` where ``valid``; ``describe`` tells of the worst one's index."""
        difference = torch.where(valid, difference.double(), 0.0)
        self.right += int(((difference <= TOLERANCE) & valid).sum())
        self.compared += int(valid.sum())
        if difference.numel() and float(difference.max()) > self.worst:
            self.worst = float(difference.max())
            self.sample = describe(np.unravel_index(int(difference.argmax()), tuple(difference.shape)))


@dataclass
class Comparison:
    """One file's tallies by name, and the free runs' steps."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    free_steps: list[int] = field(default_factory=list)
    never: int = 0

    def tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally())


def make_simulator(recording: Recording, arithmetic: str, device: str) -> SimulatorBackend:
    """A simulator with the recording's settings, at the first step of its matches."""
    simulator = SimulatorBackend(
        arenas=recording.arenas,
        substeps=recording.substeps,
        turbo=recording.turbo,
        arithmetic=arithmetic,  # type: ignore[arg-type]
        device=device,
    )
    simulator.reset(recording.tasks, 0)
    return simulator


def restart(simulator: SimulatorBackend, recording: Recording, step: int) -> None:
    """Put the simulator into the recorded state before a step; what is not known of it stays as it is."""
    own = simulator.state()
    state = {
        name: torch.where(value.isnan(), own[name].cpu(), value).to(simulator.device)
        for name, value in recording.state(step).items()
    }
    simulator.load_state({**state, "tick": torch.tensor(step * recording.substeps)})


def comparable(recording: Recording, step: int) -> Tensor:
    """Arenas ``[arena]`` that are compared in a step."""
    valid = recording.is_valid(step)
    for scenario, last in BROKEN_AFTER.items():
        if step >= last and scenario in recording.names:
            valid[recording.names.index(scenario)] = False
    return valid


def one_steps(recording: Recording, simulator: SimulatorBackend, into: Comparison) -> None:
    """Restart from every recorded state."""
    for step in range(recording.steps):
        restart(simulator, recording, step)
        end = recording.state(step + 1)
        observation, reward, _ = simulator.step(recording.actions[step].to(simulator.device), check=False)
        played = {name: value.cpu() for name, value in simulator.state().items()}
        valid = comparable(recording, step)
        units = valid.unsqueeze(1).expand(-1, len(DERKLINGS))
        rows = units.unflatten(1, (SIDES, -1)).transpose(0, 1)  # [side, arena, agent]

        def unit(index: Any, step: int = step) -> str:
            return f"{recording.names[index[0]]}, step {step}, member {DERKLINGS[index[1]]}"

        def agent(index: Any, step: int = step) -> str:
            key = f", {OBSERVATION_KEYS[index[3]]}" if len(index) > 3 else ""
            return f"{recording.names[index[1]]}, step {step}, {('home', 'away')[index[0]]} agent {index[2]}{key}"

        largest = torch.zeros(units.shape, dtype=torch.float64)
        other = torch.zeros(units.shape, dtype=torch.float64)
        for name in STATE_FIELDS:
            difference = (played[name][:, DERKLINGS].double() - end[name][:, DERKLINGS].double()).abs()
            if name == "heading":
                difference = (difference + torch.pi).remainder(2 * torch.pi).sub(torch.pi).abs()
            known = end[name][:, DERKLINGS].isfinite()
            difference = torch.where(known, difference.nan_to_num(torch.inf), 0.0)
            if difference.dim() == 3:
                difference, known = difference.amax(-1), known.any(-1)
            into.tally(name).add(difference, units & known, unit)
            largest = torch.maximum(largest, difference)
            if name in OTHERS:
                other = torch.maximum(other, difference)
        into.tally("other state").add(other, units, unit)
        statue = (played["hitpoints"][:, ::4].double() - end["hitpoints"][:, ::4].double()).abs()
        into.tally("statue hitpoints").add(statue, valid.unsqueeze(1).expand(-1, 2), lambda index: str(index))
        observed = (observation.cpu().double() - recording.observations[step].double()).abs()
        into.tally("observation").add(observed, rows.unsqueeze(-1).expand(observed.shape), agent)
        into.tally("observation rows").add(observed.amax(-1), rows, agent)
        count_causes(into, recording, step, largest, observed, units, rows)
        paid = (reward.cpu().double() - recording.rewards[step].double()).abs()
        into.tally("reward").add(paid, rows, agent)


def count_causes(
    into: Comparison,
    recording: Recording,
    step: int,
    differences: Tensor,
    observed: Tensor,
    units: Tensor,
    rows: Tensor,
) -> None:
    """Put what differs after a step down to the first of ``CAUSES`` that holds.

    Args:
        into: Counts.
        recording: What was compared.
        step: In which step.
        differences: Largest of a unit's state ``[arena, unit]``.
        observed: Of the observations ``[side, arena, agent, 64]``.
        units: Which units are compared ``[arena, unit]``.
        rows: Which observations are ``[side, arena, agent]``.
    """
    off = (differences > TOLERANCE) & units
    start, action = recording.state(step), recording.actions[step]
    chase = action[..., CHASE_COLUMN].transpose(0, 1).flatten(1)  # [arena, unit]
    focus = start["focus"][:, DERKLINGS], recording.state(step + 1)["focus"][:, DERKLINGS]
    chasing = off & (chase > 0) & ((focus[0] >= 0) | (focus[1] >= 0))
    place = start["position"][:, DERKLINGS].nan_to_num()
    near = torch.cdist(place, place) < REACH
    others = off.unsqueeze(1) & ~torch.eye(len(DERKLINGS), dtype=torch.bool)
    aimed_at = focus[1].unsqueeze(1) == torch.tensor(DERKLINGS).unsqueeze(1)
    touched = off & ~chasing & ((near | aimed_at) & others).any(-1)
    slot = action[..., CAST_COLUMN].transpose(0, 1).flatten(1)
    casting = off & ~chasing & ~touched & (slot > 0)
    wrong = (observed > TOLERANCE) & rows.unsqueeze(-1)
    seen = wrong & off.any(1).reshape(1, -1, 1, 1)
    recorded = recording.observations[step].abs()
    behind = wrong & ~seen & (observed > 1 - TOLERANCE) & ((recorded > 1 - TOLERANCE) | (recorded == 0))
    for name, found in (
        ("chasing", chasing),
        ("touched", touched),
        ("casting", casting),
        ("unit, unexplained", off & ~chasing & ~touched & ~casting),
        ("seen", seen),
        ("behind", behind),
        ("number, unexplained", wrong & ~seen & ~behind),
    ):
        into.causes[name] += int(found.sum())


def free_runs(recording: Recording, simulator: SimulatorBackend, into: Comparison) -> None:
    """Start once, and count the steps until a position is off."""
    restart(simulator, recording, 0)
    until = torch.full((recording.arenas,), recording.steps)
    for step in range(recording.steps):
        simulator.step(recording.actions[step].to(simulator.device), check=False)
        played = simulator.state()["position"].cpu()[:, DERKLINGS]
        recorded = recording.state(step + 1)["position"][:, DERKLINGS]
        difference = torch.where(recorded.isnan(), 0.0, (played - recorded).abs()).amax(dim=(1, 2))
        valid = comparable(recording, step)
        until = torch.where((difference > TOLERANCE) & valid, until.clamp(max=step), until)
    into.free_steps += until.tolist()
    into.never += int((until == recording.steps).sum())


def compare(recording: Recording, arithmetic: str, device: str) -> Comparison:
    """Both questions for one recording."""
    result = Comparison()
    one_steps(recording, make_simulator(recording, arithmetic, device), result)
    free_runs(recording, make_simulator(recording, arithmetic, device), result)
    return result


def merged(comparisons: Sequence[Comparison]) -> Comparison:
    """All files together."""
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


def print_comparison(name: str, comparison: Comparison) -> None:
    """One file's table row, and its worst fields."""
    shares = [comparison.tally(key).share for key in SHOWN]
    steps = sorted(comparison.free_steps)
    median = steps[len(steps) // 2]
    never = comparison.never / len(steps)
    print(f"{name:28}" + "".join(f"{share:11.3%}" for share in shares) + f"{median:8d} ({never:.0%})")
    wrong = [(key, t) for key, t in comparison.tallies.items() if t.right < t.compared and key != "other state"]
    for key, tally in sorted(wrong, key=lambda pair: pair[1].share)[:5]:
        print(
            f"{'':4}{key}: {tally.compared - tally.right} of {tally.compared} differ, at most by {tally.worst:.4g} "
            f"({tally.sample})"
        )
    counts = ", ".join(f"{cause} {count}" for cause, count in comparison.causes.items() if count)
    if counts:
        print(f"{'':4}by cause: {counts}")


SHOWN = ("position", "heading", "other state", "observation", "observation rows", "reward")


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="folder of recordings (.npz)")
    parser.add_argument("--arithmetic", choices=("plain", "recorded"), default="plain")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    files = sorted(options.directory.glob("*.npz"))
    if not files:
        parser.error(f"no recordings (.npz) in {options.directory}")
    print(f"{options.arithmetic} arithmetic; within {TOLERANCE:g}; free: median steps until a position is off (never)")
    print(f"{'':28}" + "".join(f"{key.replace('observation', 'obs'):>11}" for key in SHOWN) + f"{'free':>8}")
    comparisons = {}
    for path in files:
        comparisons[path.stem] = compare(read_recording(path), options.arithmetic, options.device)
        print_comparison(path.stem, comparisons[path.stem])
    comparisons["total"] = merged(list(comparisons.values()))
    print_comparison("total", comparisons["total"])
    for cause, meaning in CAUSES.items():
        print(f"{cause}: {meaning}")
    if options.json is not None:
        figures = {
            name: {
                "matches": {key: tally.share for key, tally in comparison.tallies.items()},
                "mismatches": {key: tally.compared - tally.right for key, tally in comparison.tallies.items()},
                "worst": {key: [tally.worst, tally.sample] for key, tally in comparison.tallies.items() if tally.worst},
                "causes": comparison.causes,
                "free_steps": comparison.free_steps,
            }
            for name, comparison in comparisons.items()
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
