"""The files of a release: accepted by PyPI, complete, and enough for an installation from them alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from empty_venv import clean_environment, install_alone
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
REPOSITORY = "pearl-lightning/pearl-lightning"
TARGET = r'\]\(([^)\s]+)\)|src="([^"]+)"'
PICTURE = r'!\[[^\]]*\]\(([^)\s]+)\)|src="([^"]+)"'


def run(*command: str | Path, cwd: Path) -> str:
    arguments = [str(part) for part in command]
    result = subprocess.run(arguments, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=250)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this tree and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(released: Path) -> Path:
    (path,) = released.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        message = message_from_string(archive.read(name).decode())
    return dict(message.items()) | {"readme": str(message.get_payload())}


def test_pypi_accepts_the_files(released: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *released.iterdir(), cwd=released)


def test_the_sdist_has_the_version_of_its_tree(released: Path, metadata: dict[str, str], tmp_path: Path) -> None:
    """The fixture's wheel is built from the sdist, which has no git."""
    (sdist,) = released.glob("*.tar.gz")
    assert sdist.name == f"pearl_lightning-{metadata['Version']}.tar.gz"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CITATION.cff", "Dockerfile", "LICENSE", "README.md", "constraints.txt", "tests/conftest.py"} <= names
    assert not any(name.startswith((".git/", ".venv/", "runs/", "site/")) for name in names)


def matches(pattern: str, text: str) -> list[str]:
    return [first or second for first, second in re.findall(pattern, text)]


def test_links_and_pictures_of_the_readme_lead_to_the_tag_of_the_release(metadata: dict[str, str]) -> None:
    source, tag = (ROOT / "README.md").read_text(encoding="utf-8"), f"v{metadata['Version']}"
    pictures = matches(PICTURE, source)

    def absolute(target: str) -> str:
        if target.startswith("https:"):
            return target
        if target in pictures:
            return f"https://raw.githubusercontent.com/{REPOSITORY}/{tag}/{target}"
        return f"https://github.com/{REPOSITORY}/blob/{tag}/{target}"

    targets = matches(TARGET, source)
    assert len([target for target in targets if absolute(target) != target]) > 20
    assert matches(TARGET, metadata["readme"]) == [absolute(target) for target in targets]


def test_the_wheel_alone_in_an_empty_environment_lists_configs_and_trains(
    wheel: Path, metadata: dict[str, str], tmp_path: Path
) -> None:
    commands = install_alone(wheel, tmp_path / "venv")
    pearl = commands / "pearl"
    assert run(pearl, "--version", cwd=tmp_path) == f"pearl-lightning {metadata['Version']}\n"
    assert str(tmp_path / "venv") in run(pearl, "configs", cwd=tmp_path)
    fit = ["fit", "--config", "point_robot", "--trainer.max_steps", "2", "--runs_dir", tmp_path / "runs"]
    printed = run(pearl, *fit, cwd=tmp_path)
    assert re.search(r"^ +updates +2$", printed, flags=re.MULTILINE), printed
    with pytest.raises(AssertionError, match="No module named pytest"):
        run(commands / "python", "-m", "pytest", cwd=tmp_path)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the files that decide on the version."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitattributes", ".git_archival.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    run("git", "init", "--quiet", cwd=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    author = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    run("git", "add", "--all", cwd=folder)
    run("git", *author, "commit", "--quiet", "--allow-empty", "--message", "A commit", cwd=folder)


def version_of(folder: Path) -> Version:
    return Version(run(sys.executable, "-m", "hatchling", "version", cwd=folder).strip())


def test_a_version_is_the_tag_or_a_development_version_after_it(clone: Path) -> None:
    assert version_of(clone).is_devrelease
    run("git", "tag", "v1.2.0", cwd=clone)
    assert str(version_of(clone)) == "1.2.0"
    commit(clone)
    assert str(version_of(clone)).startswith("1.2.1.dev1+g")


def test_an_archive_of_a_tag_has_its_version_and_a_bare_tree_is_none(clone: Path, tmp_path: Path) -> None:
    run("git", "tag", "v1.2.0", cwd=clone)
    archive, unpacked = tmp_path / "archive.tar", tmp_path / "unpacked"
    run("git", "archive", "--output", archive, "v1.2.0", cwd=clone)
    with tarfile.open(archive) as opened:
        opened.extractall(unpacked, filter="data")
    assert str(version_of(unpacked)) == "1.2.0"
    (unpacked / ".git_archival.txt").unlink()
    assert str(version_of(unpacked)) == "0.0.0"
