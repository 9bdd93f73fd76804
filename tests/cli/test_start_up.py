"""A command imports what it needs and nothing else: importing takes most of the time of the quick ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pearl_processes import without_coverage

import pearl_lightning
from pearl_lightning.commands.environments import FAMILIES, make_env, make_tasks
from pearl_lightning.registry import COMMANDS

CONFIGS = Path(pearl_lightning.__file__).parent / "configs"
TRAINING = ("fit", "validate", "test")
PROGRAM = """
import contextlib, sys
from pearl_lightning.cli import main
for command in sys.argv[1].split(","):
    with contextlib.suppress(SystemExit):
        assert main(command.split()) == 0
print("modules:", *sys.modules)
"""


def imported(*commands: str) -> set[str]:
    """Modules that a process has imported after it ran some commands."""
    program = [sys.executable, "-c", PROGRAM, ",".join(commands)]
    run = subprocess.run(program, env=without_coverage(), capture_output=True, text=True, check=True, timeout=200)
    return set(run.stdout.rpartition("modules:")[2].split())


def test_help_imports_no_torch() -> None:
    modules = imported(*(f"{command} --help" for command in COMMANDS if command not in TRAINING))
    assert modules >= {command.entry.partition(":")[0] for name, command in COMMANDS.items() if name not in TRAINING}
    assert modules.isdisjoint({"torch", "numba", "matplotlib", "PIL"})


def test_reading_configs_imports_nothing_that_compiles_or_plays() -> None:
    modules = imported("tasks derk")
    assert "pearl_lightning.derk.tasks" in modules
    assert modules.isdisjoint({"numba", "gym_derk"})


@pytest.mark.parametrize(("given", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_waiting_threads_leave_their_core_to_other_programs_unless_the_user_decides(
    given: dict[str, str], expected: str
) -> None:
    """The setting must be made before torch is imported, which reads it."""
    inherited = {name: value for name, value in without_coverage().items() if name != "GOMP_SPINCOUNT"}
    program = "import os, sys, pearl_lightning; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], env=inherited | given, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == [expected, "False"]


@pytest.mark.parametrize("family", sorted(path.stem for path in FAMILIES.glob("*.yaml")))
def test_tasks_read_without_their_environment_are_the_environments(family: str) -> None:
    files = [CONFIGS / "derk.yaml", FAMILIES / f"{family}.yaml"]
    env, tasks = make_env(files), make_tasks(files)
    assert tasks.splits == env.tasks.splits
    assert [tasks.record(index) for index in range(len(tasks))] == [
        env.tasks.record(index) for index in range(len(env.tasks))
    ]
