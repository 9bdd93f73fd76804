"""``pearl export``, and the example that plays what it wrote."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pearl_processes import Pearl, without_coverage

from examples import play_exported
from pearl_lightning import export
from pearl_lightning.cli import main
from pearl_lightning.commands.export import _shown

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
FILES = ["policy.pt2", "policy.onnx", "encoder.pt2", "encoder.onnx", "agent.json"]


def python(*arguments: str | Path) -> tuple[str, str]:
    """Output and errors of a process that sees this copy of the library."""
    environment = without_coverage() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def exported(start_pearl: Callable[..., Pearl], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own agent, without a word of the exporters on the screen."""
    folder = tmp_path_factory.mktemp("shipped") / "agent"
    with start_pearl("export", "--out", folder) as process:
        status, printed, errors = process.finish()
    assert status == 0, errors
    assert printed == f"Wrote {', '.join(str(folder / name) for name in FILES)}\n"
    assert errors == ""
    return folder


def test_the_packages_own_agent_is_described(exported: Path) -> None:
    description = json.loads((exported / "agent.json").read_text())
    assert description["observation_features"] == 64
    assert (description["observe_time"], description["observe_task"]) == (False, False)


def test_the_example_plays_it(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--backend", "simulator", "--arenas", "8", "--episodes", "2", "--sampled"]
    play_exported.main([str(exported), *options])
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("episode")]
    returns = [float(re.fullmatch(r"episode \d: return (\S+), \d+% won", line)[1]) for line in printed]
    assert len(returns) == 2
    assert min(returns) > 5  # random actions get about 0 from random ones


def test_the_example_needs_no_lightning_and_no_network_of_ours() -> None:
    code = "import examples.play_exported, sys; print(sorted({'pytorch_lightning', 'pearl_lightning.networks', "
    code += "'pearl_lightning.derk.env'} & set(sys.modules)))"
    assert python("-c", code)[0] == "['pearl_lightning.derk.env']\n"


def test_a_runs_checkpoint_is_exported_into_its_folder(one_update: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(one_update / "checkpoints" / "last.ckpt")]) == 0
    assert sorted(path.name for path in (one_update / "export").iterdir()) == sorted(FILES)
    assert capfd.readouterr().err == ""


def test_settings_of_the_observation_are_the_configs_or_unknown(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    assert _shown(config) == {"observe_time": None, "observe_task": None}
    config.write_text(
        "data: {env: {class_path: DerkEnv, init_args: {arenas: 2, observe_time: true, tasks: LoadoutTasks}}}"
    )
    assert _shown(config) == {"observe_time": True, "observe_task": False}
    config.write_text("name: x")
    with pytest.raises(ValueError, match=r"data: the following arguments are required: env"):
        _shown(config)


def test_the_packages_own_agent_goes_into_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    monkeypatch.setattr(
        "pearl_lightning.export.export_agent", lambda agent, folder, settings: folders.append(folder) or []
    )
    assert main(["export"]) == 0
    assert folders == [Path("export")]


def test_what_is_wrong_is_named_on_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "no.ckpt"]) == 1
    assert capfd.readouterr().err == "pearl: error: there is no checkpoint no.ckpt\n"
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert main(["export", "--out", str(tmp_path)]) == 1
    told = "pearl: error: export needs onnx and onnxscript: pip install 'pearl-lightning[export]'\n"
    assert capfd.readouterr().err == told
