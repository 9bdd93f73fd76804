"""What a shell offers after ``pearl ...``, asked of the shell itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pearl_lightning.cli import main

ASK = {
    "bash": """
        source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pearl
        if ((${#COMPREPLY[@]})); then printf "%s\\n" "${COMPREPLY[@]}"
        elif [[ $(complete -p pearl) == *"-o default"* ]]; then compgen -f -- "${COMP_WORDS[COMP_CWORD]}"; fi
    """,
    "zsh": """
        compdef() { }
        compadd() { shift; for word in "$@"; do [[ $word == $words[CURRENT]* ]] && print -r -- $word; done; return 0 }
        _files() { compadd -- *(N) }
        source "$0"; words=("$@"); CURRENT=$#; _pearl
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
    assert {"--trainer.max_steps", "--trainer.max_epochs"} <= offered(script, "pearl", "fit", "--trainer.max_")
    assert offered(script, "pearl", "evaluate", "runs/a.ckpt", "--s") == {"--sampled", "--seed", "--side"}
    assert offered(script, "pearl", "league", "--tra") == set()  # an option of other commands
    assert offered(script, "pearl", "init", "families/b") == {"families/blind_loadouts", "families/bounties"}
    assert offered(script, "pearl", "completion", "z") == {"zsh"}


def test_files_are_offered_where_pearl_has_nothing_of_its_own(script: Path) -> None:
    (script.parent / "mine.yaml").touch()
    assert offered(script, "pearl", "fit", "--config", "mi") == {"mine.yaml"}
    assert offered(script, "pearl", "tasks", "mi") == {"mine.yaml"}


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 1
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
