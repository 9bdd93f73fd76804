"""The files around the library: workflows, forms, citation and image are valid, and fit the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pearl_lightning.derk.backends.game.install import APT_PACKAGES

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RELEASE_FILES = [
    *(
        path
        for pattern in ("*.md", "*.toml", "*.txt", "*.cff", "*.yml", "*file", ".*ignore")
        for path in ROOT.glob(pattern)
    ),
    *(path for folder in (GITHUB, ROOT / ".ci") for path in folder.rglob("*") if path.is_file()),
]


def load(path: Path) -> dict[str, Any]:
    """A workflow; ``BaseLoader`` keeps its key ``on`` a string."""
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    return loaded


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_fits_the_schema_of_its_reader(schema: str) -> None:
    assert SCHEMAS[schema]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, SCHEMAS[schema])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_and_ends(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        if "steps" not in job:  # calls another workflow
            continue
        assert 1 <= int(job["timeout-minutes"]) <= 120, name
        assert "write-all" not in str(job.get("permissions"))
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@(release/)?v\d+", step.get("uses", "a@v1")), step


def test_only_the_job_that_publishes_may_ask_pypi_for_a_token() -> None:
    jobs = load(GITHUB / "workflows" / "publish.yml")["jobs"]
    assert {name for name, job in jobs.items() if "permissions" in job} == {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert set(jobs["publish"]["needs"]) == {"tests", "build"}
    assert not any("checkout" in step["uses"] for step in jobs["publish"]["steps"])


def test_the_oldest_and_the_newest_python_that_are_stated_are_tested() -> None:
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={stated[0]}"
    jobs = load(GITHUB / "workflows" / "tests.yml")["jobs"]
    assert jobs["tested"]["strategy"]["matrix"]["python"] == [stated[0], stated[-1]]
    bounds = {each["resolution"]: each["python"] for each in jobs["bounds"]["strategy"]["matrix"]["include"]}
    assert bounds == {"lowest-direct": stated[0], "highest": stated[-1]}
    assert f"FROM python:{stated[0]}-slim\n" in DOCKERFILE


def test_the_image_gets_the_packages_of_the_game_from_their_one_list() -> None:
    """``install.py`` runs as a script with the standard library alone; see ``test_game_deps.py``."""
    script = "pearl_lightning/derk/backends/game/install.py"
    assert f"COPY {script} /tmp/install.py\nRUN REQUIRE_GAME=1 python /tmp/install.py" in DOCKERFILE
    assert not any(package in DOCKERFILE for package in APT_PACKAGES)
    instructions = re.findall(r"^([A-Z]+) (.+)$", DOCKERFILE, flags=re.MULTILINE)
    assert [rest for name, rest in instructions if name in ("USER", "CMD")] == ["pearl", '["pearl", "doctor"]']
    assert [name for name, _ in instructions][-3:] == ["USER", "WORKDIR", "CMD"]


def test_the_context_of_the_image_is_what_the_wheel_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    wanted = {*wheel["wheel"]["only-include"], *PROJECT["license-files"], "README.md", "pyproject.toml"}
    assert kept == wanted | {"constraints.txt"}


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    local = re.compile(r"/(work|root|opt|home/(?!pearl\b)\w+)/|file://|localhost|devpi|mirror|nexus|artifactory")
    assert len(RELEASE_FILES) > 20
    for path in RELEASE_FILES:
        found = local.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found and found[0]}"
