"""Trainings that several tests look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pearl_lightning.cli import main


@pytest.fixture(scope="session")
def whole(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny run, trained from start to end; nobody writes into it."""
    runs = tmp_path_factory.mktemp("whole")
    assert main(["fit", "--config", str(tiny_config), "--runs_dir", str(runs)]) == 0
    return runs / "tiny"


@pytest.fixture(scope="session")
def _one_update(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("one_update")
    assert main(["fit", "--config", str(tiny_config), "--runs_dir", str(runs), "--trainer.max_steps", "1"]) == 0
    return runs / "tiny"


@pytest.fixture
def one_update(_one_update: Path, tmp_path: Path) -> Path:
    """Folder ``tmp_path / "tiny"`` of a run of one update, a copy of the test's own."""
    return Path(shutil.copytree(_one_update, tmp_path / "tiny"))
