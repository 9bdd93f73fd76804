"""Settings are the same whether a class's settings are parsed once or every time, and saved with or without a check."""

from __future__ import annotations

from pathlib import Path

import parsed_once
import pytest
from jsonargparse import ArgumentParser

from pearl_lightning.commands.config_files import find_config
from pearl_lightning.commands.fit_config import CLI_SETTINGS, ConfigReader

CONFIGS = [["derk", "families/bounties", "baselines/rl2"], ["sparse_point_robot"], ["locomotion", "mujoco/ant_dir"]]


def reader(names: list[str]) -> ConfigReader:
    options = [f"--config={find_config(name)}" for name in names]
    return ConfigReader(**CLI_SETTINGS, parser_kwargs={"fit": {}}, args=["fit", *options])


@pytest.mark.parametrize("names", CONFIGS, ids=" ".join)
def test_settings_are_those_that_jsonargparse_makes(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = reader(names).config, reader(names).config
    monkeypatch.setattr(ArgumentParser, "parse_object", parsed_once.PARSE)
    assert first == again == reader(names).config


def test_a_class_of_the_same_name_in_another_folder_is_parsed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--size", type=int)
    assert parser.parse_object({"size": "2"}).size == 2
    before = len(parsed_once.parsed)
    assert parser.parse_object({"size": "2"}).size == 2
    assert len(parsed_once.parsed) == before
    monkeypatch.syspath_prepend(tmp_path)
    assert parser.parse_object({"size": "2"}).size == 2
    assert len(parsed_once.parsed) == before + 1


@pytest.mark.parametrize("names", CONFIGS, ids=" ".join)
def test_what_is_saved_without_a_check_is_what_is_saved_with_one(names: list[str], tmp_path: Path) -> None:
    cli = reader(names)
    options = {"skip_unset": False, "skip_link_targets": False, "format": "yaml"}
    assert cli.parser.dump(cli.config, **options) == cli.parser.dump(cli.config, skip_validation=False, **options)
    saved = [tmp_path / "unchecked.yaml", tmp_path / "checked.yaml"]
    cli.parser.save(cli.config, saved[0], skip_unset=False)
    cli.parser.save(cli.config, saved[1], skip_unset=False, skip_validation=False)
    assert saved[0].read_text() == saved[1].read_text()
