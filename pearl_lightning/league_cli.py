"""``pearl league``: every player against every other, and their ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pearl_lightning.envs.derk.env import make_backend
from pearl_lightning.envs.derk.league import cross_table
from pearl_lightning.envs.derk.opponents import Opponent, make_opponent
from pearl_lightning.envs.derk.tasks import LoadoutTasks
from pearl_lightning.evaluation import write_json
from pearl_lightning.plots import plot_cross_table
from pearl_lightning.training_cli import PearlParser, quiet


def run(arguments: list[str]) -> None:
    """Play every pair on both sides with loadouts at random; print, write and draw who beats whom."""
    quiet()
    options = _parser().parse_args(arguments)
    for name in ("matches", "arenas"):
        if options[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {options[name]}")
    players = {_name(given): _player(given) for given in options.players}
    if len(players) < len(options.players):
        raise ValueError(f"players must have names of their own, got {', '.join(map(_name, options.players))}")
    tasks = LoadoutTasks(train_tasks=options.matches, test_tasks=0, seed=options.seed).train
    backend = make_backend(options.backend, options.arenas)
    try:
        table = cross_table(backend, list(tasks), players, matches=options.matches, seed=options.seed)
    finally:
        backend.close()
    print(table)
    if options.json is not None:
        write_json(table.to_json(), Path(options.json))
    if options.png is not None:
        Path(options.png).parent.mkdir(parents=True, exist_ok=True)
        plot_cross_table(table).savefig(options.png)


def _player(given: str) -> Opponent:
    return make_opponent(f"checkpoint:{given}" if given.endswith(".ckpt") else given)


def _name(given: str) -> str:
    path = Path(given)
    in_run = path.stem in ("last", "best") and path.parent.name == "checkpoints"
    return path.parent.parent.name if in_run else path.stem


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
