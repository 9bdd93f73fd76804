"""``pearl export``: an agent's policy and encoder as files that run without this library."""

from __future__ import annotations

from pathlib import Path

from pearl_lightning.agent import load_agent
from pearl_lightning.commands.entrants import SHIPPED, run_of
from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.commands.worlds import env_settings, one_workers
from pearl_lightning.export import export_agent

FOLDER = "export"
"""Where it goes, in the run's folder."""
_SHOWN = ("observe_time", "observe_task")


def run(arguments: list[str]) -> None:
    """Write a checkpoint's policy and encoder; print where they are."""
    quiet()
    options = _parser().parse_args(arguments)
    checkpoint = Path(options.checkpoint or SHIPPED)
    agent = load_agent(checkpoint)
    _, folder, config = run_of(checkpoint)
    name = FOLDER if checkpoint.stem == "last" else f"{FOLDER}-{checkpoint.stem}"  # of several, each its own
    folder = Path(FOLDER) if checkpoint == SHIPPED else folder / name
    written = export_agent(agent, Path(options.out) if options.out else folder, _shown(config))
    print(f"written: {', '.join(str(path) for path in written)}")


def _shown(config: Path) -> dict[str, bool | None]:
    """What the world of a config shows beside the game's own observation; null where there is no config to tell."""
    if not config.is_file():
        return dict.fromkeys(_SHOWN)
    world = one_workers(env_settings([config])).get("init_args", {})
    return {name: bool(world.get(name, False)) for name in _SHOWN}


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl export", description="Policy and encoder of a checkpoint as torch.export programs and as ONNX."
    )
    parser.add_argument(
        "checkpoint",
        type=str | None,
        nargs="?",
        help="A .ckpt of pearl fit; the agent that comes with the package when left out.",
    )
    parser.add_argument(
        "--out",
        type=str | None,
        help=f"Folder to write to; {FOLDER}/ in the run's folder when left out, or here for the package's own agent.",
    )
    return parser
