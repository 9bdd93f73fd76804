"""Every way to install the package brings the callbacks and the configs under the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from mypy.modulefinder import FindModuleCache, SearchPaths
from pearl_processes import without_coverage

import pearl_lightning
from pearl_lightning import callbacks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LINKED = ("callbacks", "configs")
FIND = """
from importlib.util import find_spec
from pathlib import Path

callbacks = find_spec("pearl_lightning.callbacks")
configs = Path(callbacks.origin).parent.parent / "configs"
found = (path.relative_to(configs).as_posix() for path in configs.rglob("*.yaml"))
print(callbacks.origin, *found, sep="\\n")
"""

USE = """
from pearl_lightning import callbacks
from pearl_lightning.cli import main

assert main(["configs"]) == main(["tasks", "point_robot"]) == 0
print(callbacks.RunSummary.__module__)
"""


def python(*arguments: str | Path, path: Path | None = None) -> str:
    environment = {name: value for name, value in without_coverage().items() if not name.startswith("PYTHON")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=250)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def names(folder: str) -> set[str]:
    root = ROOT / folder
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in (".py", ".yaml")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.mark.parametrize("name", LINKED)
def test_the_package_reaches_the_top_level_folders_by_relative_links(name: str) -> None:
    link = ROOT / "pearl_lightning" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"


def test_the_sdist_holds_each_folder_once(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = [Path(name).parts[1:] for name in archive.getnames()]
    for name in LINKED:
        assert {"/".join(part[1:]) for part in members if part[:1] == (name,)} == names(name)


def test_a_wheel_from_the_sdist_and_one_from_the_tree_hold_the_same(built: Path, tmp_path: Path) -> None:
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT)
    contents = []
    for folder in (built, tmp_path):
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            contents.append(sorted(archive.namelist()))
    assert contents[0] == contents[1]
    assert {
        "pearl_lightning/trained/derk.ckpt",
        "pearl_lightning/trained/derk.yaml",
        "pearl_lightning/report/page.css",
        "pearl_lightning/report/templates/page.html",
        *(f"pearl_lightning/derk/watching/page.{kind}" for kind in ("css", "html", "js")),
    } <= set(contents[0])
    for name in LINKED:
        prefix = f"pearl_lightning/{name}/"
        assert {entry.removeprefix(prefix) for entry in contents[0] if entry.startswith(prefix)} == names(name)


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installation_imports_the_callbacks_and_finds_the_configs(kind: str, built: Path, tmp_path: Path) -> None:
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    source = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    what = [*built.glob(source[kind])] if kind in source else ["--editable", ROOT]
    python(*install, "--target", tmp_path, *what)
    path = tmp_path if kind != "editable" else Path(*(p.read_text().strip() for p in tmp_path.glob("*.pth")))
    found = python("-c", FIND, path=path).splitlines()
    assert Path(found[0]) == path / "pearl_lightning" / "callbacks" / "__init__.py"
    assert set(found[1:]) == names("configs")
    if kind == "wheel":
        python("-c", "from pearl_lightning.callbacks import ReplayCheckpoint, UpdateProgress", path=path)


@pytest.mark.parametrize("left", ["text files", "nothing"])
def test_a_tree_that_was_unpacked_without_symbolic_links_works(left: str, tmp_path: Path) -> None:
    """Archives, and checkouts on some file systems, hold a link as a text file with its target, or not at all."""
    for name in ("pearl_lightning", *LINKED):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        link = tmp_path / "pearl_lightning" / name
        link.unlink()
        if left == "text files":
            link.write_text(f"../{name}", encoding="utf-8")
    printed = python("-c", USE, path=tmp_path)
    assert f"The files are in {tmp_path / 'configs'}" in printed
    assert "test: 20 tasks" in printed  # of a config that is named without a path
    assert printed.splitlines()[-1] == "pearl_lightning.callbacks.summary"


def test_pytest_and_mypy_know_the_callbacks_by_the_same_name() -> None:
    searched = FindModuleCache(SearchPaths((str(ROOT),), (), (), ()), None, None)
    seen = {source.module for source in searched.find_modules_recursive("pearl_lightning")}
    stems = {Path(name).stem for name in names("callbacks")} - {"__init__"}
    assert {module for module in seen if module.startswith("pearl_lightning.callbacks")} == {
        "pearl_lightning.callbacks"
    } | {f"pearl_lightning.callbacks.{stem}" for stem in stems}
    assert callbacks.AdaptationEvaluation.__module__ == "pearl_lightning.callbacks.adaptation"
    assert Path(pearl_lightning.__file__).resolve() == ROOT / "pearl_lightning" / "__init__.py"


@pytest.mark.parametrize("name", sorted(names("configs")))
def test_each_config_is_a_mapping_with_a_comment_that_says_its_purpose(name: str) -> None:
    text = (ROOT / "configs" / name).read_text()
    assert text.startswith("# ")
    assert isinstance(yaml.safe_load(text), dict)
