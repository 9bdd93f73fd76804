"""The ``pearl`` command."""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from collections.abc import Callable

USAGE = """usage: pearl COMMAND [options]

commands:
  fit        meta-train:            pearl fit --config configs/point_robot.yaml
  validate   play the held-out tasks of a config with a checkpoint
  test       the same, once, for a final figure
  evaluate   adaptation table, JSON and plot of a checkpoint: pearl evaluate runs/NAME/checkpoints/last.ckpt
  watch      a match to look at:    pearl watch runs/NAME/checkpoints/last.ckpt --out match.html
  league     cross table and Elo of agents and opponents: pearl league runs/NAME/snapshots/*.ckpt attacker gang
  serve      an agent server for anybody's gym-derk session: pearl serve runs/NAME/checkpoints/last.ckpt
  export     policy and encoder as .pt2 and ONNX: pearl export runs/NAME/checkpoints/last.ckpt
  tasks      list the tasks of a config, split by split: pearl tasks configs/derk.yaml
  doctor     tell what the real game still needs on this machine

pearl COMMAND --help shows a command's options. --traceback shows where an error came from."""


_COMMANDS = {
    "evaluate": "pearl_lightning.evaluation_cli:run",
    "export": "pearl_lightning.export_cli:run",
    "league": "pearl_lightning.league_cli:run",
    "serve": "pearl_lightning.serve_cli:run",
    "tasks": "pearl_lightning.tasks_cli:run",
    "watch": "pearl_lightning.watch_cli:run",
}
"""Imported when they are asked for: each takes a second or more."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(USAGE)
        return 0
    if command == "doctor":
        from pearl_lightning import doctor

        return doctor.main(arguments[1:])
    if command in _COMMANDS:
        return _readable(pkgutil.resolve_name(_COMMANDS[command]), arguments[1:], traceback)
    if command in ("fit", "validate", "test"):
        from pearl_lightning.training_cli import run

        return _readable(run, arguments, traceback)
    print(f"pearl: error: unknown command {command!r}: see pearl --help", file=sys.stderr)
    return 2


def _readable(command: Callable[[list[str]], None], arguments: list[str], traceback: bool) -> int:
    """Run a command; whatever goes wrong becomes one line on stderr."""
    try:
        command(arguments)
    except KeyboardInterrupt:
        print("pearl: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if traceback:
            raise
        message = readable(str(error))
        if not message or not isinstance(error, _speaking_errors()):
            message = f"{type(error).__name__}: {message}"
        process = os.environ.get("LOCAL_RANK", "0")
        where = "" if process == "0" else f" (process {process})"
        sys.stderr.write(f"pearl: error{where}: {message}\n")  # in one piece: other processes may write at once
        return 1
    return 0


def readable(message: str) -> str:
    """One line of a complaint: what is wrong with which key, without the types that were tried."""
    line = " ".join(message.split())
    for pattern, replacement in (
        (
            r"(- Expected a path but .*? )?(- )?Does not validate against any of the Union.*? Errors: - (.*?) - .*",
            r"\3",
        ),
        (r"Type \S+\[.*?\] expects a function or a callable class: ", ""),
        (r"Expected an? <class '(?:[\w.]+\.)?(\w+)'>", r"Expected \1"),
        (r"Expected an? typing\.Literal\[(.*?)\]", r"Expected one of \1"),
        (r'Parser key "([^"]+)":', r"\1:"),
        (r"^(model|data): (\w+): ", r"\1.\2: "),
        (r"Error\(s\) in loading state_dict for \w+: (.*?\)?)\. .*", r"the checkpoint does not fit the model: \1"),
    ):
        line = re.sub(pattern, replacement, line)
    return line


def _speaking_errors() -> tuple[type[Exception], ...]:
    """Those whose message says enough without the error's name."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    return ValueError, TypeError, OSError, RuntimeError, ArithmeticError, MisconfigurationException
