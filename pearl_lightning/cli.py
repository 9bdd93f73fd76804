"""The ``pearl`` command."""

from __future__ import annotations

import argparse
import codecs
import io
import locale
import os
import re
import sys
from typing import NoReturn

from pearl_lightning import __version__
from pearl_lightning.missing import explained, missing_package
from pearl_lightning.registry import COMMANDS, Command

COMMAND_LINES = "\n".join(f"  {name:10}  {command.purpose}" for name, command in COMMANDS.items())
USAGE = f"""usage: pearl COMMAND [options]

commands:
{COMMAND_LINES}

pearl COMMAND --help shows a command's options. --traceback shows the traceback of an error.
pearl --version prints the version."""


class PlainParser(argparse.ArgumentParser):
    """A parser for commands that do not need torch. It raises errors without printing the usage text."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status.

    Args:
        argv: Command and options. Defaults to those of this process.
    """
    if argv is None:
        _use_utf8()
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
    if command in COMMANDS:
        return _readable(COMMANDS[command], arguments[1:], traceback)
    print(f"pearl: error: unknown command {command!r}; see pearl --help", file=sys.stderr)
    return 2


def _use_utf8() -> None:
    """Restart this process in Python's UTF-8 mode if the locale has another encoding.

    Configs and all other files are UTF-8 on every system. From Python 3.15 on, this mode is the default.
    """
    if codecs.lookup(locale.getencoding()).name != "utf-8" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"  # also for child processes
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):  # PYTHONIOENCODING may have set another encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _readable(command: Command, arguments: list[str], traceback: bool) -> int:
    """Import and run a command; print any error as one line on stderr."""
    try:
        status = command.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("pearl: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if traceback:
            raise
        message = readable(str(error))
        if isinstance(error, ModuleNotFoundError) and (line := explained(error)) is not None:
            message = line
        elif not message or not _speaks(error):
            message = f"{type(error).__name__}: {message}"
        process = os.environ.get("LOCAL_RANK", "0")
        where = "" if process == "0" else f" (process {process})"
        sys.stderr.write(
            f"pearl: error{where}: {message}\n"
        )  # in a single write: other processes may write at the same time
        return 1
    return status or 0


def readable(message: str) -> str:
    """Shorten an error message of jsonargparse to one line: the key and the problem, without the types it tried."""
    line = " ".join(message.split())
    if (missing := missing_package(line)) is not None:
        return missing
    for pattern, replacement in (
        (r"- Expected a path but \S+ either not accessible or invalid ", ""),
        (r"(?<!Errors): - (?=\S)", ": "),
        # for a list, the error about the invalid entry follows one about the list
        (r"- Not a valid subclass of \w+\. Got value: \[Namespace.*?(- Problem with given class_path )", r"\1"),
        (
            r"(- Expected a path but .*? )?((- )?Does not validate against any of the Union.*? Errors: )+- (.*?) - .*",
            r"\4",
        ),
        (
            r"Expected an instantiatable class, but (?:\S+\.)?(\w+) is abstract",
            r"no \1 is named: an overlay comes after the config that it changes",
        ),
        (r"Type \S+\[.*?\] expects a function or a callable class: ", ""),
        (r"Expected a dot import path string: (\S+)", r"there is no class \1; give its path, module.Class"),
        (r"Expected an? <class '(?:[\w.]+\.)?(\w+)'>", r"Expected \1"),
        (r"Expected an? typing\.Literal\[(.*?)\]", r"Expected one of \1"),
        (r'Parser key "([^"]+)":', r"\1:"),
        *[(r"^((?:model|data)(?:\.\w+)*): (\w+): ", r"\1.\2: ")] * 2,  # a setting of a nested class
        (r"Error\(s\) in loading state_dict for \w+: (.*?\)?)\.( .*)?$", r"the checkpoint does not fit the model: \1"),
    ):
        line = re.sub(pattern, replacement, line)
    return line


def _speaks(error: Exception) -> bool:
    """Whether the message of an error is clear without the name of its class."""
    if isinstance(error, (ValueError, TypeError, OSError, RuntimeError, ArithmeticError)):
        return True
    exceptions = sys.modules.get(
        "pytorch_lightning.utilities.exceptions"
    )  # if it was not imported, Lightning raised no error
    return exceptions is not None and isinstance(error, exceptions.MisconfigurationException)
