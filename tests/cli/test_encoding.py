"""Text is UTF-8 whatever the locale: configs, runs and pages move between machines."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pearl_processes import without_coverage

from pearl_lightning.cli import main

ROOT = Path(__file__).parents[2]
FOLDERS = ("pearl_lightning", "callbacks", "benchmarks", "examples", "docs/pages")
PEARL = str(Path(sys.executable).parent / "pearl")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NO_TEXT_FILES = {"os", "av", "Image", "OpenEXR"}
"""Modules whose ``open`` takes no encoding."""


def has_no_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the locale."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if "encoding" in given:
        return False
    if name in ("run", "Popen", "check_output"):
        return "text" in given or "universal_newlines" in given
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        modes = [value.value for value in [*call.args, *given.values()] if isinstance(value, ast.Constant)]
        is_binary = any(re.fullmatch("[rwxa+]*b[rwxa+]*", str(mode)) for mode in modes)
        return not is_binary and getattr(owner, "id", None) not in NO_TEXT_FILES
    return name in ("read_text", "write_text", "TextIOWrapper")


def test_every_text_file_is_opened_with_an_encoding() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 150
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and has_no_encoding(node)
    ]
    assert not wrong, "these calls need encoding='utf-8'"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open(path)", True),
        ("path.open('a', newline='')", True),
        ("open('table.csv')", True),
        ("path.read_text()", True),
        ("subprocess.run(command, text=True)", True),
        ("path.open('rb')", False),
        ("path.write_text(text, encoding='utf-8')", False),
        ("av.open(str(path), 'w')", False),
        ("subprocess.run(command)", False),
    ],
)
def test_the_check_above_finds_what_it_should(code: str, expected: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert has_no_encoding(call) == expected


@pytest.mark.parametrize("command", [["tasks"], ["fit", "--config"]])
def test_a_config_in_another_encoding_is_named(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "latin.yaml"
    config.write_bytes("# Länge\n".encode("latin-1"))
    assert main([*command, str(config)]) == 1
    assert capfd.readouterr().err.startswith(f"pearl: error: {config} is not UTF-8 text: 'utf-8' codec can't decode")


def run(*arguments: str | Path, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PEARL, *map(str, arguments)], cwd=cwd, env=without_coverage() | environment, capture_output=True, timeout=200
    )


@pytest.mark.slow
def test_a_run_is_the_same_under_an_ascii_locale(tiny_config: Path, tmp_path: Path) -> None:
    config = tmp_path / "größe.yaml"
    config.write_text(f"# Länge – 日本\n{tiny_config.read_text(encoding='utf-8')}", encoding="utf-8")
    options = ["--name", "größe", "--trainer.max_steps", "1"]
    trained = run("fit", "--config", config, *options, cwd=tmp_path, environment=ASCII)
    assert trained.returncode == 0, trained.stderr
    folder = tmp_path / "runs" / "größe"
    assert yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["name"] == "größe"
    reported = run("report", folder, cwd=tmp_path, environment=ASCII)
    assert reported.returncode == 0, reported.stderr
    assert "größe" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_output_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    shown = run("tasks", "größe.yaml", cwd=tmp_path, environment=ASCII | {"PYTHONIOENCODING": "ascii:strict"})
    assert (
        shown.stderr
        == b"pearl: error: there is no config gr\\xf6\\xdfe.yaml: give a file, or a ready-made config in the "
        b"list of pearl configs\n"
    )
