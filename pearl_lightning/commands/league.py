"""``pearl league``: every player against every other, and their ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pearl_lightning.commands.outputs import output_file
from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.envs.derk.env import make_backend
from pearl_lightning.envs.derk.league import cross_table
from pearl_lightning.envs.derk.opponents import Opponent, make_opponent
from pearl_lightning.envs.derk.tasks import LoadoutTasks
from pearl_lightning.evaluation import write_json
from pearl_lightning.plots import plot_cross_table
from pearl_lightning.progress_bar import progress_bar


def run(arguments: list[str]) -> None:
    """Play every pair on both sides with loadouts at random; print, write and draw who beats whom."""
    quiet()
    options = _parser().parse_args(arguments)
    for name in ("matches", "arenas"):
        if options[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {options[name]}")
    for kind in ("json", "png"):
        if options[kind] is not None:
            output_file(kind, options[kind], f".{kind}")
    if len(set(options.players)) < len(options.players):
        raise ValueError(f"players must be different ones, got {', '.join(options.players)}")
    players = dict(zip(_names(options.players), map(_player, options.players), strict=True))
    tasks = LoadoutTasks(train_tasks=options.matches, test_tasks=0, seed=options.seed).train
    backend = make_backend(options.backend, options.arenas)
    try:
        with progress_bar("league", "matches") as progress:
            table = cross_table(
                backend, list(tasks), players, matches=options.matches, seed=options.seed, progress=progress
            )
    finally:
        backend.close()
    print(table)
    if options.json is not None:
        write_json(table.to_json(), Path(options.json))
    if options.png is not None:
        plot_cross_table(table).savefig(options.png)


def _player(given: str) -> Opponent:
    if given.startswith("selves:"):
        raise ValueError(f"players must be fixed ones, got {given}, whose pool is filled in training only")
    return make_opponent(f"checkpoint:{given}" if given.endswith(".ckpt") and ":" not in given else given)


def _names(players: list[str]) -> list[str]:
    """Short names: a run's folder for its last or best checkpoint, else a file's name; in full where these clash."""
    short = []
    for given in players:
        path = Path(given.removeprefix("checkpoint:"))
        in_run = path.stem in ("last", "best") and path.parent.name == "checkpoints"
        short.append(given if "://" in given else path.parent.parent.name if in_run else path.stem)
    return [name if short.count(name) == 1 else given for name, given in zip(short, players, strict=True)]


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl league",
        description="Every player against every other, home and away, without adaptation: cross table and Elo.",
    )
    parser.add_argument("players", type=str, nargs="+", help="A .ckpt of pearl fit, or the name of an opponent.")
    parser.add_argument("--matches", type=int, default=8, help="Of each pair on each side, at least 1.")
    parser.add_argument(
        "--backend", type=Literal["simulator", "game"], default="simulator", help="What plays the matches."
    )
    parser.add_argument("--arenas", type=int, default=64, help="Matches side by side, at least 1.")
    parser.add_argument("--seed", type=int, default=0, help="Fixes loadouts, starts and draws.")
    parser.add_argument("--json", type=str | None, help="Where the table goes.")
    parser.add_argument("--png", type=str | None, help="Where the figure goes.")
    return parser
