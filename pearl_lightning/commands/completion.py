"""``pearl completion``: scripts with which a shell completes commands, options, names of configs and files."""

from __future__ import annotations

import argparse
import contextlib
from unittest import mock

import shtab

from pearl_lightning.cli import PlainParser, main
from pearl_lightning.commands.config_files import ready_made
from pearl_lightning.registry import COMMANDS

SHELLS = ("bash", "zsh", "fish")
KEEP = """\
install the script with:
  bash  pearl completion bash > ~/.local/share/bash-completion/completions/pearl
  zsh   pearl completion zsh > FOLDER/_pearl      for a FOLDER of $fpath
  fish  pearl completion fish > ~/.config/fish/completions/pearl.fish
The script is created from the --help of every command, which takes some seconds."""


def run(arguments: list[str]) -> None:
    """Print the script for a shell."""
    parser = PlainParser(
        prog="pearl completion",
        description="Print a script that completes commands, options and names of configs.",
        epilog=KEEP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="Shell of the script.")
    shell = parser.parse_args(arguments).shell
    print(shtab.complete(_whole_parser(shell), shell))


def _whole_parser(shell: str) -> argparse.ArgumentParser:
    """Create a parser with the parsers of all commands, which otherwise exist only while their command runs."""
    whole = argparse.ArgumentParser(prog="pearl")
    commands = whole.add_subparsers()
    for name in COMMANDS:
        parser = _parser_of(name)
        for action in parser._actions:
            if (name, action.dest) == ("init", "name"):
                action.choices = list(ready_made())
            elif action.nargs != 0 and not action.choices:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            if shell == "zsh":  # in zsh a last + means that the value may follow directly, so it must be doubled
                action.option_strings = [option.replace("+", "++") for option in action.option_strings]
        commands.add_parser(name, help=parser.description, parents=[parser], add_help=False)
    return whole


def _parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser that ``pearl COMMAND --help`` prints."""
    parsers: list[argparse.ArgumentParser] = []
    patch = mock.patch.object(argparse.ArgumentParser, "print_help", lambda parser, file=None: parsers.append(parser))
    with patch, contextlib.suppress(SystemExit):
        main([command, "--help"])
    return parsers[0]
