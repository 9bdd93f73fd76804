"""Agent steps per second of the simulator and of the real game: ``python -m benchmarks.simulator``.

The time includes observations and rewards, but not the drawing of random legal actions. The real game is measured in
the same run, with ``GameBackend`` and 64 arenas.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.figures_file import write_figures
from pearl_lightning.derk.backends.game import GameBackend, GameUnavailable
from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.backends.simulator.state import MatchState
from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, SIDES
from pearl_lightning.derk.tasks import LoadoutTasks

GAME_ARENAS = 64
GAME_STEPS = 20
WARM_UP_STEPS = 15
"""Steps before the timed part, after which units meet and cast."""
ROUNDS = 7


def make_simulator(arenas: int, threads: int | None, device: str) -> Callable[[int], None]:
    """Return a function that plays a given number of steps of ``arenas`` matches, which restart when they end."""
    simulator = SimulatorBackend(arenas=arenas, threads=threads, device=device)
    tasks = LoadoutTasks(train_tasks=64, test_tasks=0, bounties="shaped")
    matches = [tasks[arena % len(tasks)] for arena in range(arenas)]
    generator = torch.Generator(device).manual_seed(0)
    actions = ACTION_SPACE.sample((16, SIDES, arenas, AGENTS), generator, device)
    played = simulator.episode_steps

    def play(steps: int) -> None:
        nonlocal played
        for _ in range(steps):
            if played == simulator.episode_steps:
                simulator.reset(matches, 0)
                played = 0
            simulator.step(actions[played % len(actions)])
            played += 1
        if device == "cuda":
            torch.cuda.synchronize()

    play(WARM_UP_STEPS)
    return play


def simulator_rate(arenas: int, threads: int | None, device: str) -> float:
    """Measure the median agent steps per second over rounds of about a fifth of a second."""
    play = make_simulator(arenas, threads, device)
    start = time.perf_counter()
    play(2)
    steps = max(2, min(100, int(0.4 / (time.perf_counter() - start))))
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        play(steps)
        rates.append(SIDES * AGENTS * arenas * steps / (time.perf_counter() - start))
    return statistics.median(rates)


def game_rate() -> float | None:
    """Measure the median agent steps per second of the real game; None if it cannot be played."""
    tasks = LoadoutTasks(train_tasks=GAME_ARENAS, test_tasks=0)
    actions = ACTION_SPACE.sample((GAME_STEPS, SIDES, GAME_ARENAS, AGENTS), torch.Generator().manual_seed(0))
    try:
        game = GameBackend(arenas=GAME_ARENAS)
    except GameUnavailable as error:
        print(f"the game is not measured: {error}")
        return None
    try:
        game.reset([tasks[arena] for arena in range(GAME_ARENAS)], 0)
        seconds = []
        for action in actions:
            start = time.perf_counter()
            game.step(action)
            seconds.append(time.perf_counter() - start)
    finally:
        game.close()
    return SIDES * AGENTS * GAME_ARENAS / statistics.median(seconds)


def bytes_per_arena() -> int:
    """Memory of one match between steps, including the internal state of the rules."""
    tensors = [value for value in vars(MatchState(1, torch.device("cpu"), False)).values() if isinstance(value, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--arenas", type=int, nargs="+", help="numbers of arenas; by default 64, 1024 and 8192, on a GPU also 65536"
    )
    parser.add_argument("--no-game", action="store_true", help="do not measure the real game")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    cuda = options.device == "cuda"
    sizes = options.arenas or [64, 1024, 8192] + [65536] * cuda
    threads: list[int | None] = [None] if cuda else sorted({1, torch.get_num_threads()})  # type: ignore[type-var]
    figures: dict[str, Any] = {"device": options.device, "bytes_per_arena": bytes_per_arena(), "agent_steps_per_s": {}}
    rates: dict[tuple[int, int | None], float] = {}
    for arenas in sizes:
        for count in threads:
            rates[arenas, count] = rate = simulator_rate(arenas, count, options.device)
            name = options.device if count is None else f"{count} thread{'s' * (count > 1)}"
            figures["agent_steps_per_s"][f"{arenas} arenas, {name}"] = rate
            print(f"{arenas:6d} arenas, {name}: {rate / 1e6:6.2f} M agent steps/s")
    if len(threads) > 1:
        for arenas in sizes:
            gain = rates[arenas, threads[-1]] / rates[arenas, 1]
            figures.setdefault("gain_of_threads", {})[arenas] = gain
            print(f"{arenas:6d} arenas: {gain:.2f} x from one thread to {threads[-1]}")
    print(f"memory of one match: {figures['bytes_per_arena']} bytes")
    game = None if options.no_game else game_rate()
    if game is not None and GAME_ARENAS in sizes:
        ratio = rates[GAME_ARENAS, threads[-1]] / game
        figures |= {"game_agent_steps_per_s": game, "ratio_to_game": ratio}
        print(f"the game at {GAME_ARENAS} arenas: {game:.0f} agent steps/s; the simulator is {ratio:.0f} x as fast")
    if options.json is not None:
        write_figures(options.json, figures)


if __name__ == "__main__":
    main()
