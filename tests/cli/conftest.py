"""Trainings that several tests look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import WRITER, FakeHub
from huggingface_hub import constants

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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub that ``huggingface_hub`` talks to, with a token that may write, and an empty cache."""
    fake = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", fake.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # another protocol, which the fake does not have
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.chdir(tmp_path)
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def shared_files(_one_update: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that ``pearl push`` writes for the run of one update, beside a copy of the run; nobody writes into it."""
    folder = tmp_path_factory.mktemp("shared")
    run = shutil.copytree(_one_update, folder / "tiny")
    assert main(["push", str(run), "me/agent", "--out", str(folder / "files"), "--license", "mit"]) == 0
    return folder / "files"


@pytest.fixture
def pushed(shared_files: Path, hub: FakeHub) -> FakeHub:
    """The Hub with the agent ``me/agent``."""
    hub.put("me/agent", {file.name: file.read_bytes() for file in shared_files.iterdir()})
    return hub
