"""The completions that a shell offers after ``pearl ...``; the tests run the shell itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pearl_lightning.cli import main

ASK = {
    "bash": """
        source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_pearl
        if ((${#COMPREPLY[@]})); then printf "%s\\n" "${COMPREPLY[@]}"; fi
    """,
    "zsh": r"""
        # an interactive zsh, in which the Tab key notes down what would be listed
        zmodload zsh/zpty
        export folder=$(mktemp -d)
        cp $0 $folder/_pearl
        print -r -- '
            PS1= fpath=($folder $fpath)
            autoload -Uz compinit; compinit -u -D
            compadd() {
                if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
                local -a listed; builtin compadd -A listed "$@"; print -rl -- $listed >> $folder/listed
                builtin compadd "$@"
            }
            finish() { zle list-choices; print -r -- END >> $folder/listed }
            zle -N finish; bindkey "^I" finish
            print READY' > $folder/rc
        zpty shell zsh -f -i
        zpty -w shell "source $folder/rc"
        zpty -r shell output '*READY*'
        zpty -w -n shell "$*"$'\t'
        until [[ -e $folder/listed && $(tail -n 1 $folder/listed) == END ]]; do sleep 0.05; done
        grep -v '^END$' $folder/listed
        zpty -d shell; rm -r $folder
    """,
    "fish": "source $argv[1]; complete -C (string join ' ' -- $argv[2..-1]) | string replace -r '\\t.*' ''",
}
"""Prints what the script ``$0`` offers for the last of the words that follow it."""


@pytest.fixture(scope="module", params=ASK)
def script(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a user makes it."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    path = tmp_path_factory.mktemp("completion") / shell
    with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert main(["completion", shell]) == 0
    return path


def offered(script: Path, *words: str) -> set[str]:
    shell = script.name
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    command = [shell, *flags, "-c", ASK[shell], str(script), *words]
    result = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    return set(result.stdout.split())


def test_commands_options_and_configs_are_completed(script: Path) -> None:
    assert offered(script, "pearl", "ev") == {"evaluate"}
    assert offered(script, "pearl", "t") == {"test", "tasks"}
    assert offered(script, "pearl", "fit", "--ckpt") == {"--ckpt_path"}
    assert {"--trainer.callbacks", "--trainer.callbacks+"} <= offered(script, "pearl", "fit", "--trainer.call")
    assert {"--trainer.max_steps", "--trainer.max_epochs"} <= offered(script, "pearl", "fit", "--trainer.max_")
    assert offered(script, "pearl", "evaluate", "runs/a.ckpt", "--s") == {"--sampled", "--seed", "--side"}
    assert offered(script, "pearl", "league", "--tra") == set()  # an option of other commands
    assert offered(script, "pearl", "init", "families/b") == {"families/blind_loadouts", "families/bounties"}
    assert offered(script, "pearl", "completion", "z") == {"zsh"}


def test_files_are_offered_where_pearl_has_nothing_of_its_own(script: Path) -> None:
    (script.parent / "mine.yaml").touch()
    for option in ("--config", "--trainer.callbacks+"):
        assert offered(script, "pearl", "fit", option, "mi") == {"mine.yaml"}
    assert offered(script, "pearl", "tasks", "mi") == {"mine.yaml"}


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 1
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
