"""The ``pearl`` command."""

from __future__ import annotations

import sys
from typing import Any

USAGE = """usage: pearl COMMAND [options]

commands:
  fit        meta-train:            pearl fit --config configs/point_robot.yaml
  validate   play the held-out tasks of a config with a checkpoint
  test       the same, once, for a final figure
  evaluate   adaptation table, JSON and plot of a checkpoint: pearl evaluate runs/NAME/checkpoints/last.ckpt
  doctor     tell what the real game still needs on this machine

pearl COMMAND --help shows a command's options."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(USAGE)
        return 0
    if command == "doctor":
        from pearl_lightning import doctor

        return doctor.main(arguments[1:])
    if command == "evaluate":
        from pearl_lightning.evaluate import main as evaluate

        return _readable(evaluate, arguments[1:])
    if command in ("fit", "validate", "test"):
        from pearl_lightning.training_cli import run

        return _readable(run, arguments)
    print(f"pearl: unknown command {command!r}\n\n{USAGE}", file=sys.stderr)
    return 2


def _readable(command: Any, arguments: list[str]) -> int:
    """Run a command; a wrong value or a missing file becomes one line on stderr, without a traceback."""
    try:
        command(arguments)
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError) as error:
        if "--traceback" in arguments:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"pearl: error: {message}", file=sys.stderr)
        return 1
    return 0
