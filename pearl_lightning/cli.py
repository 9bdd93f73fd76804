"""The ``pearl`` command."""

from __future__ import annotations

import argparse
import os
import pkgutil
import re
import sys
from typing import NoReturn

from pearl_lightning import __version__

USAGE = """usage: pearl COMMAND [options]

commands:
  fit         meta-train:            pearl fit --config configs/point_robot.yaml
  validate    play the validation tasks of a config with a checkpoint
  test        the same of the test tasks, for a final figure
  evaluate    adaptation table, JSON and plot of a checkpoint: pearl evaluate runs/NAME/checkpoints/last.ckpt
  watch       a match to look at:    pearl watch runs/NAME/checkpoints/last.ckpt --out match.html
  league      cross table and Elo of agents and opponents: pearl league runs/NAME/snapshots/*.ckpt attacker gang
  report      a run, or several compared, as one HTML page: pearl report runs/NAME
  serve       an agent server for anybody's gym-derk session: pearl serve runs/NAME/checkpoints/last.ckpt
  export      policy and encoder as .pt2 and ONNX: pearl export runs/NAME/checkpoints/last.ckpt
  tasks       list the tasks of a config, split by split: pearl tasks configs/derk.yaml
  configs     list the ready-made configs, and how they are put together
  init        copy a ready-made config here, to be edited: pearl init derk
  doctor      tell what the real game still needs on this machine
  completion  print a script that completes commands, options and names of configs: pearl completion bash

pearl COMMAND --help shows a command's options. --traceback shows where an error came from.
pearl --version tells the version."""


COMMANDS = tuple(re.findall(r"^  (\w+) ", USAGE, flags=re.MULTILINE))
_ENTRIES = {
    "evaluate": "pearl_lightning.commands.evaluate:run",
    "export": "pearl_lightning.commands.export:run",
    "doctor": "pearl_lightning.commands.doctor:main",
    "league": "pearl_lightning.commands.league:run",
    "report": "pearl_lightning.commands.report:run",
    "serve": "pearl_lightning.commands.serve:run",
    "tasks": "pearl_lightning.commands.tasks:run",
    "watch": "pearl_lightning.commands.watch:run",
    "configs": "pearl_lightning.commands.configs:run",
    "init": "pearl_lightning.commands.configs:run_init",
    "completion": "pearl_lightning.commands.completion:run",
}
"""Imported when they are asked for: some take a second or more."""


class PlainParser(argparse.ArgumentParser):
    """A parser of commands that need no torch; it raises its complaints, without pages of usage."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(USAGE)
        return 0
    if command == "--version":
        print(f"pearl-lightning {__version__}")
        return 0
    if command in _ENTRIES:
        return _readable(_ENTRIES[command], arguments[1:], traceback)
    if command in ("fit", "validate", "test"):
        return _readable("pearl_lightning.commands.training:run", arguments, traceback)
    print(f"pearl: error: unknown command {command!r}: see pearl --help", file=sys.stderr)
    return 2


def _readable(entry: str, arguments: list[str], traceback: bool) -> int:
    """Import and run a command; whatever goes wrong becomes one line on stderr."""
    try:
        status: int | None = pkgutil.resolve_name(entry)(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough, as head has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("pearl: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if traceback:
            raise
        message = readable(str(error))
        if not message or not _speaks(error):
            message = f"{type(error).__name__}: {message}"
        process = os.environ.get("LOCAL_RANK", "0")
        where = "" if process == "0" else f" (process {process})"
        sys.stderr.write(f"pearl: error{where}: {message}\n")  # in one piece: other processes may write at once
        return 1
    return status or 0


def readable(message: str) -> str:
    """One line of a complaint: what is wrong with which key, without the types that were tried."""
    line = " ".join(message.split())
    for pattern, replacement in (
        (
            r"(- Expected a path but .*? )?((- )?Does not validate against any of the Union.*? Errors: )+- (.*?) - .*",
            r"\4",
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


def _speaks(error: Exception) -> bool:
    """Whether its message says enough without the error's name."""
    if isinstance(error, (ValueError, TypeError, OSError, RuntimeError, ArithmeticError)):
        return True
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    return isinstance(error, MisconfigurationException)
