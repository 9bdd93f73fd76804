"""The rooms of the library: who may import whom, and the public names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pearl_processes import without_coverage

import pearl_lightning

ROOT = Path(__file__).parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """``lint-imports`` over the package in a folder, without its cache."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run(
        [*command, "--no-cache"],
        cwd=folder,
        env=without_coverage() | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_imports_point_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout
    assert "5 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("commands/tasks.py", "derk.env", "Only Derk's own room knows Derk's Gym"),
        ("callbacks/summary.py", "derk.interface", "Only Derk's own room knows Derk's Gym"),
        ("envs/point_robot.py", "inference.belief", "Environments know nothing of learning"),
        ("networks/actors.py", "envs.meta_env", "Networks, inference and objectives know neither"),
        ("agents/sac.py", "envs.meta_env", "Agents know no environment"),
        ("experience/replay.py", "evaluation.result", "Rooms are layers"),
    ],
)
def test_a_wrong_import_breaks_its_contract(module: str, imported: str, contract: str, tmp_path: Path) -> None:
    package, copied = ROOT / "pearl_lightning", tmp_path / "pearl_lightning"
    shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = copied / module
    file.write_text(f"{file.read_text(encoding='utf-8')}\nimport pearl_lightning.{imported}\n", encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    broken = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), result.stdout


def test_every_public_name_can_be_imported() -> None:
    for name in pearl_lightning.__all__:
        assert getattr(pearl_lightning, name).__name__ == name
    assert set(pearl_lightning.__all__) == set(pearl_lightning._MODULES)
    assert set(pearl_lightning.__all__) <= set(dir(pearl_lightning))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = pearl_lightning.Nothing  # type: ignore[attr-defined]


def test_importing_the_package_imports_no_torch() -> None:
    program = "import sys, pearl_lightning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=without_coverage(), timeout=60).returncode == 0
