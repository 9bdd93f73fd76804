"""Comparison of the simulator with recordings of the real game: ``python -m benchmarks.derk_parity DIR``.

A recording is an ``.npz`` file (see ``pearl_lightning.derk.recordings``): states at every step, actions, observations
and rewards of some matches. Each recording is compared in two ways:

- *One step*: at the start of every step the simulator is set to the recorded state and plays the recorded actions. Its
  state, observation and reward after the step are compared with the recorded ones.
- *Free*: the simulator is set to the first recorded state only. The result is the number of steps until the position of
  some unit differs.

Values that a recording lacks are kept from the simulator's previous step: shots in flight, and everything that is NaN
(in recordings by ``benchmarks.derk_record``: heights, velocities and contact with the ground). Hitpoints before the
last regeneration follow from the hitpoints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.derk_comparison import CAUSES, TOLERANCE, Comparison, count_causes, merged
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.interface import OBSERVATION_KEYS, SIDES
from pearl_lightning.derk.recordings import DERKLINGS, STATE_FIELDS, Recording, read_recording

OTHERS = tuple(name for name in STATE_FIELDS if name not in ("position", "heading"))
BROKEN_AFTER = {"nan_all": 10}
"""Scenarios that break a unit of the real game, and the first step that is not compared."""


def make_simulator(recording: Recording, arithmetic: str, device: str) -> SimulatorBackend:
    """Create a simulator with the settings of a recording, at the start of its matches."""
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
    """Set the simulator to the recorded state before a step; values that were not recorded are kept."""
    current = simulator.state()
    state = {
        name: torch.where(value.isnan(), current[name].cpu(), value).to(simulator.device)
        for name, value in recording.state(step).items()
    }
    simulator.load_state({**state, "tick": torch.tensor(step * recording.substeps)})


def comparable(recording: Recording, step: int) -> Tensor:
    """Whether each arena ``[arena]`` is compared in a step."""
    valid = recording.is_valid(step)
    for scenario, last in BROKEN_AFTER.items():
        if step >= last and scenario in recording.names:
            valid[recording.names.index(scenario)] = False
    return valid


def one_steps(recording: Recording, simulator: SimulatorBackend, into: Comparison) -> None:
    """Compare every step, each from its recorded state."""
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
        rewarded = (reward.cpu().double() - recording.rewards[step].double()).abs()
        into.tally("reward").add(rewarded, rows, agent)


def free_runs(recording: Recording, simulator: SimulatorBackend, into: Comparison) -> None:
    """Play from the first recorded state, and count the steps until a position differs."""
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
    """Compare one recording in both ways."""
    result = Comparison()
    one_steps(recording, make_simulator(recording, arithmetic, device), result)
    free_runs(recording, make_simulator(recording, arithmetic, device), result)
    return result


def print_comparison(name: str, comparison: Comparison) -> None:
    """Print the table row of one file, and its fields with the most differences."""
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
    """Compare the recordings in a folder and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="folder of recordings (.npz)")
    parser.add_argument("--arithmetic", choices=("plain", "recorded"), default="plain")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    files = sorted(options.directory.glob("*.npz"))
    if not files:
        parser.error(f"no recordings (.npz) in {options.directory}")
    print(f"{options.arithmetic} arithmetic; shares within {TOLERANCE:g}")
    print("free: median steps until a position differs (share of matches in which none does)")
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
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
