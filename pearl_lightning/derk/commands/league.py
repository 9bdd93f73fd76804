"""``pearl league``: round-robin matches between players, and their ratings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pearl_lightning.commands.outputs import output_file
from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.hub import is_shared
from pearl_lightning.progress_bar import progress_bar

if TYPE_CHECKING:
    from pearl_lightning.derk.opponents import Opponent


def run(arguments: list[str]) -> None:
    """Play every pair of players on both sides with random loadouts; print, write and plot the results."""
    quiet()
    options = _parser().parse_args(arguments)
    for name in ("matches", "arenas"):
        if options[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {options[name]}")
    for kind in ("json", "png"):
        if options[kind] is not None:
            output_file(kind, options[kind], f".{kind}")
    if len(set(options.players)) < len(options.players):
        raise ValueError(f"players must all be different, got {', '.join(options.players)}")
    from pearl_lightning.derk.backends.choice import make_backend
    from pearl_lightning.derk.league import cross_table
    from pearl_lightning.derk.tasks import LoadoutTasks

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
        from pearl_lightning.evaluation import write_json

        write_json(table.to_json(), Path(options.json))
    if options.png is not None:
        from pearl_lightning.derk.plots import plot_cross_table

        plot_cross_table(table).savefig(options.png)


def _player(given: str) -> Opponent:
    from pearl_lightning.derk.opponents import make_opponent

    if given.startswith("selves:"):
        raise ValueError(f"players must not change, got {given}: its pool is filled during training only")
    is_checkpoint = is_shared(given) or (given.endswith(".ckpt") and ":" not in given)
    return make_opponent(f"checkpoint:{given}" if is_checkpoint else given)


def _names(players: list[str]) -> list[str]:
    """Short names: the run's folder for a last or best checkpoint, else the file name; the full name if not unique."""
    short = []
    for given in players:
        path = Path(given.removeprefix("checkpoint:"))
        in_run = path.stem in ("last", "best") and path.parent.name == "checkpoints"
        short.append(given if "://" in given else path.parent.parent.name if in_run else path.stem)
    return [name if short.count(name) == 1 else given for name, given in zip(short, players, strict=True)]


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl league",
        description="Play every player against every other, home and away, without adaptation. Print a cross table "
        "and Elo ratings.",
    )
    parser.add_argument(
        "players", type=str, nargs="+", help="A .ckpt of pearl fit, hf://OWNER/NAME, or the name of an opponent."
    )
    parser.add_argument("--matches", type=int, default=8, help="Number of matches per pair and side, at least 1.")
    parser.add_argument(
        "--backend", type=Literal["simulator", "game"], default="simulator", help="Backend for the matches."
    )
    parser.add_argument("--arenas", type=int, default=64, help="Number of matches in parallel, at least 1.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of loadouts, starts and samples.")
    parser.add_argument("--json", type=str | None, help="File for the table.")
    parser.add_argument("--png", type=str | None, help="File for the figure.")
    return parser
