"""``pearl export``: export the policy and the encoder of an agent to files that run without this library."""

from __future__ import annotations

from pathlib import Path

from pearl_lightning.commands.entrants import run_of
from pearl_lightning.commands.environments import env_settings, one_workers
from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.trained import SHIPPED

FOLDER = "export"
"""Folder for the exported files, in the run's folder."""
_SHOWN = ("observe_time", "observe_task")


def run(arguments: list[str]) -> None:
    """Export the policy and the encoder of a checkpoint; print the paths."""
    quiet()
    options = _parser().parse_args(arguments)
    from pearl_lightning.agents.agent import load_agent
    from pearl_lightning.checkpoints import checkpoint_file
    from pearl_lightning.export import export_agent

    checkpoint = checkpoint_file(options.checkpoint or str(SHIPPED))
    agent = load_agent(checkpoint)
    _, folder, config = run_of(checkpoint)
    name = FOLDER if checkpoint.stem == "last" else f"{FOLDER}-{checkpoint.stem}"  # a separate folder per checkpoint
    folder = Path(FOLDER) if checkpoint == SHIPPED else folder / name
    written = export_agent(agent, Path(options.out) if options.out else folder, _shown(config))
    print(f"Wrote {', '.join(str(path) for path in written)}")


def _shown(config: Path) -> dict[str, bool | None]:
    """Features that the environment of a config appends to the observation; None for each if there is no config."""
    if not config.is_file():
        return dict.fromkeys(_SHOWN)
    env_arguments = one_workers(env_settings([config])).get("init_args", {})
    return {name: bool(env_arguments.get(name, False)) for name in _SHOWN}


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl export",
        description="Export policy and encoder of a checkpoint as torch.export programs and as ONNX.",
    )
    parser.add_argument(
        "checkpoint",
        type=str | None,
        nargs="?",
        help="A .ckpt of pearl fit, a run's folder, or hf://OWNER/NAME; by default the agent of this package.",
    )
    parser.add_argument(
        "--out",
        type=str | None,
        help=f"Folder for the files; by default {FOLDER}/ in the run's folder, or here for the agent of this package.",
    )
    return parser
