"""``pearl completion``: scripts by which a shell completes commands, options and names of configs."""

from __future__ import annotations

import argparse
import contextlib
import io
import re

from pearl_lightning.cli import COMMANDS, PlainParser, main
from pearl_lightning.commands.configs import ready_made

SCRIPTS = {
    "bash": """\
_pearl() {{
    local IFS=$' \\t\\n' word=${{COMP_WORDS[COMP_CWORD]}} words=
    if ((COMP_CWORD == 1)); then
        words="{commands}"
    elif [[ $word == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{options}
        esac
    elif ((COMP_CWORD == 2)); then
        case ${{COMP_WORDS[1]}} in
{names}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _pearl pearl  # where there is nothing of pearl's own: files
""",
    "zsh": """\
#compdef pearl
_pearl() {{
    if (( CURRENT == 2 )); then
        compadd -- {commands}
    elif [[ $words[CURRENT] == -* ]]; then
        case $words[2] in
{options}
        esac
    elif (( CURRENT == 3 )); then
        case $words[2] in
{names}
            *) _files ;;
        esac
    else
        _files
    fi
}}
if [[ $funcstack[1] == _pearl ]]; then _pearl "$@"; else compdef _pearl pearl; fi  # in $fpath, or sourced
""",
    "fish": """\
complete -c pearl -n __fish_use_subcommand -f -a "{commands}"
{options}
{names}
""",
}
"""By shell: completes the commands, each command's options, and the names that may follow a command."""
OPTIONS = {
    "bash": '            {command}) words="{words}" ;;',
    "zsh": "            {command}) compadd -- {words} ;;",
    "fish": 'complete -c pearl -n "__fish_seen_subcommand_from {command}" -a "{words}"',
}
"""Of one command."""
NAMES = OPTIONS | {
    "fish": 'complete -c pearl -n "__fish_seen_subcommand_from {command}; and test (count (commandline -opc)) = 2" '
    '-f -a "{words}"'
}
KEEP = """\
where a script is found:
  bash  pearl completion bash > ~/.local/share/bash-completion/completions/pearl
  zsh   pearl completion zsh > FOLDER/_pearl      for a FOLDER of $fpath
  fish  pearl completion fish > ~/.config/fish/completions/pearl.fish
or source it; it is made from every command's --help, which takes some seconds."""


def run(arguments: list[str]) -> None:
    """Print a shell's script."""
    parser = PlainParser(
        prog="pearl completion",
        description="Print a script that completes commands, options and names of configs.",
        epilog=KEEP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SCRIPTS, help="Whose script.")
    shell = parser.parse_args(arguments).shell
    options = {command: shown_options(command) for command in COMMANDS}
    names = {"init": list(ready_made()), "completion": list(SCRIPTS)}
    print(
        SCRIPTS[shell].format(
            commands=" ".join(COMMANDS), options=_lines(OPTIONS[shell], options), names=_lines(NAMES[shell], names)
        ),
        end="",
    )


def _lines(template: str, words: dict[str, list[str]]) -> str:
    """One line per command that has any words."""
    return "\n".join(
        template.format(command=command, words=" ".join(those)) for command, those in words.items() if those
    )


def shown_options(command: str) -> list[str]:
    """The long options that ``pearl COMMAND --help`` shows."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([command, "--help"])
    named = re.findall(r"^  (-\S.*?)(?:  |$)", shown.getvalue(), flags=re.MULTILINE)  # its meaning is further right
    return [option for names in named for option in re.findall(r"(?<!\S)--[\w.]+\+?", names)]
