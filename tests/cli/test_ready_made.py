"""``pearl`` without torch: its help, the list of ready-made configs, and copies of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pearl_lightning import __version__
from pearl_lightning.cli import main
from pearl_lightning.commands.config_files import FOLDER, ready_made
from pearl_lightning.commands.configs import purpose

WITHOUT_TORCH = """
import sys
from pearl_lightning.cli import main
status = main(sys.argv[1:])
assert not {"torch", "pytorch_lightning", "numba"} & set(sys.modules), "torch was imported"
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["--version"], 0), (["configs"], 0), (["init", "nothing"], 1)]
)
def test_quick_commands_import_no_torch_and_answer_within_a_second(
    arguments: list[str], status: int, tmp_path: Path
) -> None:
    seconds = []
    for _ in range(3):  # the best: the machine may be at work
        start = time.monotonic()
        command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        seconds.append(time.monotonic() - start)
        assert (result.returncode, "Traceback" in result.stderr) == (status, False), result.stderr
    assert min(seconds) < 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pearl-lightning {__version__}\n"


def test_every_ready_made_config_is_listed_once_in_its_group_with_its_purpose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["configs"]) == 0
    *groups, how = capsys.readouterr().out.split("\n\n")
    listed = {group.splitlines()[0].rstrip(":"): group.splitlines()[1:] for group in groups}
    families = [heading for heading in listed if heading.startswith("Task families")]
    assert list(listed) == [
        "Environments, complete configs",
        "Overlays for an environment",
        *families,
        "Baselines, overlays that come last",
    ]
    lines = [line.split(maxsplit=1) for group in listed.values() for line in group]
    files = {str(file.relative_to(FOLDER).with_suffix("")): file for file in FOLDER.rglob("*.yaml")}
    assert sorted(name for name, _ in lines) == sorted(files)
    for name, told in lines:
        assert files[name].read_text().partition(": ")[2].lower().startswith(told.lower())
        assert told.endswith(".")
    worlds = {line.split()[0] for line in listed["Environments, complete configs"]}
    complete = {
        name for name, file in files.items() if {"model", "data", "trainer"} <= yaml.safe_load(file.read_text()).keys()
    }
    assert worlds <= complete
    for heading in families:
        base = heading.removeprefix("Task families, overlays for ")
        assert base in worlds
        assert len({line.split()[0].partition("/")[0] for line in listed[heading]}) == 1  # in one folder
        assert all(files[line.split()[0]].read_text().startswith(f"# Family for {base}") for line in listed[heading])
    assert "pearl fit --config derk --config bounties\n" in how


def test_a_purpose_is_the_first_sentence(tmp_path: Path) -> None:
    config = tmp_path / "some.yaml"
    config.write_text("# Overlay for x (A. et al. 2019): PPO of A. et al. 2017. Put it last.\n# More.\nname: x\n")
    assert purpose(config) == "PPO of A. et al. 2017."


def test_the_commands_that_configs_tells_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["configs"])
    commands = re.findall(r"^  pearl (.*)", capsys.readouterr().out, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["fit", "init", "fit"]
    assert main(commands[1].split()) == 0
    for command in (commands[0], commands[2]):
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--print_config"])
        assert end.value.code == 0


def test_a_copy_is_the_ready_made_config_and_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "derk"]) == 0
    assert capsys.readouterr().out == "Wrote derk.yaml. Use it with pearl fit --config derk.yaml\n"
    assert Path("derk.yaml").read_text() == ready_made()["derk"].read_text()
    Path("derk.yaml").write_text("mine")
    assert main(["init", "derk"]) == 1
    assert capsys.readouterr().err == "pearl: error: derk.yaml already exists: give another file with --to\n"
    assert Path("derk.yaml").read_text() == "mine"
    assert main(["init", "families/bounties", "--to", "my/own.yaml"]) == 0
    assert "pearl fit --config ENVIRONMENT --config my/own.yaml" in capsys.readouterr().out
    assert Path("my/own.yaml").read_text() == ready_made()["families/bounties"].read_text()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("drek", "derk"),
        ("bountys", "families/bounties"),
        ("configs/derk.yaml", "derk"),
        ("baselines/pp", "baselines/ppo"),
    ],
)
def test_an_unknown_name_is_told_those_like_it(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", given]) == 1
    told = capsys.readouterr().err
    assert told.startswith(
        f"pearl: error: NAME must be a ready-made config in the list of pearl configs, got '{given}'"
    )
    assert meant in re.split(r"[ ,?]+", told.strip().partition("did you mean ")[2])
    assert not list(tmp_path.iterdir())


def test_a_missing_name_is_said_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 1
    assert capsys.readouterr().err == "pearl: error: the following arguments are required: NAME\n"


def settings(value: object, path: str = "") -> set[str]:
    """Paths of all values in a config."""
    if isinstance(value, dict):
        return {each for name, part in value.items() for each in settings(part, f"{path}.{name}")}
    return {path}


@pytest.mark.parametrize("family", ["cheetah_vel", "ant_goal", "humanoid_dir"])
def test_a_family_of_many_tasks_keeps_the_sizes_and_schedule_of_the_reference_preset(family: str) -> None:
    folder = Path(__file__).parents[2] / "configs"
    paths = (folder / "reference_locomotion.yaml", folder / "mujoco" / f"{family}.yaml")
    reference, own = (settings(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in paths)
    assert reference & own == {".name"}
