"""The blocks of the documentation work: Python runs, commands and options exist, configs parse."""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from doc_blocks import PAGES, ROOT, Block, blocks, pearl_commands, write_titled
from pytorch_lightning import Trainer

from pearl_lightning.callbacks import AdaptationEvaluation
from pearl_lightning.cli import main
from pearl_lightning.commands.parser import PearlParser

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

SHELLS = ("sh", "bash")
UPDATES = 10
DOCUMENTED = "documented"
"""The module in which the Python of a page runs."""


class Parsed(BaseException):
    """A command's options are all right."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def having(*languages: str) -> list[Path]:
    return [page for page in PAGES if any(block.language in languages for block in blocks(page))]


def is_executed(block: Block) -> bool:
    return block.mark == "run" or (block.language == "python" and not block.mark and not block.title)


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder whose modules can be imported; they are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path or name == DOCUMENTED:
            del sys.modules[name]


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No training of a page makes more than ``UPDATES`` updates or draws its evaluations, which takes longer."""
    original = Trainer.__init__

    def init(self: Trainer, **options: Any) -> None:
        if options["max_steps"] > UPDATES:
            options |= {"max_steps": UPDATES, "val_check_interval": UPDATES}
        for callback in options.get("callbacks") or []:
            if isinstance(callback, AdaptationEvaluation):
                callback.figures = False
        original(self, **options)

    monkeypatch.setattr(Trainer, "__init__", functools.wraps(original)(init))


@pytest.mark.parametrize("page", [p for p in PAGES if any(map(is_executed, blocks(p)))], ids=name)
@pytest.mark.usefixtures("short_trainings")
def test_the_code_of_a_page_runs(page: Path, users_folder: Path) -> None:
    write_titled(page, users_folder)
    module = types.ModuleType(DOCUMENTED)
    sys.modules[DOCUMENTED] = module
    for block in blocks(page):
        if not is_executed(block):
            continue
        if block.language == "python":
            exec(compile(block.code, block.where, "exec"), module.__dict__)
            continue
        commands = list(pearl_commands(block))
        assert len(commands) == len([line for line in block.code.replace("\\\n", "").splitlines() if line]), block.where
        for command in commands:
            assert main(command) == 0, f"{block.where}: {command}"


@pytest.mark.parametrize("page", having("python"), ids=name)
def test_python_that_is_not_run_compiles(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.code, block.where, "exec")


@pytest.mark.parametrize("page", having(*SHELLS), ids=name)
def test_shell_blocks_are_well_formed(page: Path) -> None:
    for block in blocks(page):
        if block.language in SHELLS:
            checked = subprocess.run(["bash", "-n"], input=block.code, text=True, capture_output=True, timeout=20)
            assert checked.returncode == 0, f"{block.where}: {checked.stderr}"


@pytest.mark.parametrize("page", having(*SHELLS), ids=name)
def test_commands_options_and_configs_exist(
    page: Path, users_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_titled(page, users_folder)

    def parse_only(original: Any) -> Any:
        def parse(self: Any, args: Any = None, *rest: Any, **options: Any) -> NoReturn:
            original(self, args, *rest, **options)
            raise Parsed

        return parse

    for parser in (PearlParser, argparse.ArgumentParser):
        monkeypatch.setattr(parser, "parse_args", parse_only(parser.parse_args))
    for block in blocks(page):
        if block.language not in SHELLS:
            continue
        for command in pearl_commands(block):
            for word in command:
                is_config = word.endswith(".yaml") and not word.startswith("runs/")
                assert not is_config or Path(word).is_file(), f"{block.where}: there is no {word}"
            try:
                status = main(command)
            except Parsed:
                continue
            assert status == 0, f"{block.where}: pearl {' '.join(command)}: {capfd.readouterr().err}"


@pytest.mark.parametrize("page", having("yaml"), ids=name)
def test_configs_are_mappings(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.code), dict), block.where


def test_every_guide_shows_something_that_is_checked() -> None:
    for page in (ROOT / "docs" / "guides").glob("*.md"):
        assert any(block.language in ("python", *SHELLS) for block in blocks(page)), page.name
