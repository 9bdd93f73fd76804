"""``pearl evaluate``: how checkpoints adapt to tasks they were not trained on, as tables, JSON, CSV and plots."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, Literal

from pearl_lightning.commands.entrants import entrants
from pearl_lightning.commands.outputs import output_file
from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.commands.worlds import (
    add_config_argument,
    add_tasks_argument,
    family_overlay,
    make_env,
    split,
)
from pearl_lightning.evaluation import (
    AdaptationResult,
    compare,
    evaluate_adaptation,
    format_comparison,
    format_side_by_side,
    format_table,
    write_json,
    write_matches,
)
from pearl_lightning.plots import plot_adaptation, plot_belief
from pearl_lightning.progress_bar import progress_bar

BACKENDS = ("simulator", "game")
"""What ``--backend both`` compares."""
SIDES = ("home", "away")
"""What ``--side both`` does."""
_USUAL = {"episodes": 3, "matches": 4, "seed": 0}
"""Defaults, which the names of the files leave out."""


def run(arguments: list[str]) -> None:
    """Play test tasks, or others, with each checkpoint, on each backend and side; print, write and draw how it goes."""
    quiet()
    options = _parser().parse_args(arguments)
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    sides = SIDES if options.side == "both" else (options.side,)
    for kind in ("json", "png", "csv"):
        if options[kind] is not None:
            output_file(kind, options[kind], f".{kind}")
    overlay, split_name = family_overlay(options.tasks)
    entered = entrants(options.checkpoints, options.config or [], overlay)
    results: dict[str, AdaptationResult] = {}
    first_world: Any = None
    for entrant, backend, side in product(entered, backends, sides):
        env = make_env(entrant.configs, backend, side, statistics=True)
        try:
            agent, indices = entrant.agent(env), split(env, split_name)
            world = [env.tasks[index] for index in indices], env.arenas, env.horizon
            if first_world is not None and world != first_world:
                raise ValueError(
                    f"{entrant.checkpoint} has other tasks, arenas or steps in its config than the first checkpoint"
                )
            first_world = world
            with progress_bar(_joined("evaluation", entrant.name, backend, side), "episodes") as progress:
                result = evaluate_adaptation(
                    env,
                    agent,
                    indices,
                    episodes=options.episodes,
                    matches=options.matches,
                    deterministic=not options.sampled,
                    wrong_context=options.wrong_context,
                    seed=options.seed,
                    progress=progress,
                )
        finally:
            env.close(raise_if_closed=False)
        place = _joined(backend, side)
        label = _joined(entrant.name if len(entered) > 1 else None, place)
        label = label if label not in results else f"{label} {len(results)}"
        results[label] = result
        if label:
            print(f"{label}:")
        print(format_table(result.table()))
        settings = {"checkpoint": str(entrant.checkpoint or entrant.name), "config": str(entrant.configs[0])}
        settings |= {"split": options.tasks, "backend": backend, "side": side}
        settings |= {name: options[name] for name in ("sampled", "wrong_context", "seed")}
        stem = entrant.checkpoint.stem if entrant.checkpoint else entrant.name
        is_one = len(entered) * len(backends) * len(sides) == 1
        paths = {
            kind: _path(options[kind], "" if is_one else label)
            or entrant.folder / f"{_joined('evaluation', stem, _variant(options), place)}.{kind}"
            for kind in ("json", "png", "csv")
        }
        _write(result, settings, paths)
    if len(results) > 1:
        print(format_side_by_side({label: result.table() for label, result in results.items()}))
        (first, reference), *others = results.items()
        for label, result in others:
            print(f"{label} over {first}, last episode: {format_comparison(compare([reference], [result]))}")


def _write(result: AdaptationResult, settings: dict[str, Any], paths: dict[str, Path]) -> None:
    """The table as JSON, every match as CSV, and the figures."""
    table = result.table()
    write_json(settings | table, paths["json"])
    write_matches(result, paths["csv"])
    paths["png"].parent.mkdir(parents=True, exist_ok=True)
    plot_adaptation(table).savefig(paths["png"])
    if result.trace is not None:
        paths |= {"belief": paths["png"].with_stem(f"{paths['png'].stem}-belief")}
        plot_belief(result).savefig(paths["belief"])
    print(f"written: {', '.join(str(path) for path in paths.values())}")


def _path(given: str | None, label: str) -> Path | None:
    """Where an option says, with ``label`` in names that would clash."""
    path = Path(given) if given else None
    return path.with_stem(f"{path.stem}-{label.replace(' ', '-')}") if path and label else path


def _joined(*parts: str | None) -> str:
    return "-".join(part for part in parts if part)


def _variant(options: Any) -> str:
    """What tells one evaluation of a checkpoint from another; nothing for the usual one."""
    split_name = "" if options.tasks == "test" else options.tasks.replace("/", "-")
    flags = [name for name in ("wrong_context", "sampled") if options[name]]
    counts = [f"{name}_{options[name]}" for name, usual in _USUAL.items() if options[name] != usual]
    return _joined(split_name, *flags, *counts)


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl evaluate", description="Adaptation of a checkpoint to the test tasks, or another split."
    )
    parser.add_argument(
        "checkpoints",
        type=str,
        nargs="*",
        help="A .ckpt of pearl fit, or several to compare on the same matches; random plays uniform legal actions, "
        "sniper and the like a script of Derk's Gym. The agent that comes with the package when left out.",
    )
    add_config_argument(parser)
    parser.add_argument("--episodes", type=int, default=_USUAL["episodes"], help="Episodes per task, at least 1.")
    parser.add_argument(
        "--matches", type=int, default=_USUAL["matches"], help="Independent adaptations per task, at least 1."
    )
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    add_tasks_argument(parser)
    parser.add_argument(
        "--wrong_context", action="store_true", help="A control: each belief reads another task's episodes."
    )
    parser.add_argument("--seed", type=int, default=_USUAL["seed"], help="Fixes starts and draws.")
    parser.add_argument(
        "--backend",
        type=Literal["simulator", "game", "both"] | None,
        help="Play Derk's Gym on this backend, or on both to compare them; the config's when left out.",
    )
    parser.add_argument(
        "--side",
        type=Literal["home", "away", "both"] | None,
        help="Play this team of Derk's Gym, or both in turn; the config's when left out.",
    )
    parser.add_argument("--json", type=str | None, help="Where the table goes; the run's folder when left out.")
    parser.add_argument("--png", type=str | None, help="Where the PNG goes; the run's folder when left out.")
    parser.add_argument("--csv", type=str | None, help="Where every match goes; the run's folder when left out.")
    return parser
