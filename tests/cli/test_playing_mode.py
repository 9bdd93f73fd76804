"""``pearl evaluate`` and the like play a policy's mode or its samples: as its run's own evaluation did, unless told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pearl_lightning.callbacks import AdaptationEvaluation
from pearl_lightning.cli import main
from pearl_lightning.commands.playing import evaluated_deterministically
from pearl_lightning.derk.backends.game import agent_server
from pearl_lightning.derk.watching import viewer
from pearl_lightning.trained import SHIPPED

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

PLAYED = ["--tasks", "validation", "--episodes", "2", "--matches", "2"]
"""Options of an evaluation as long as that of a tiny run."""
Runs = dict[bool, Path]


class OwnEvaluation(AdaptationEvaluation):
    """A user's, which plays samples by default."""

    def __init__(self, deterministic: bool = False, **settings: Any) -> None:
        super().__init__(deterministic=deterministic, **settings)


OWN = f"{__name__}.OwnEvaluation"


@pytest.fixture(scope="module")
def runs(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two runs, by whether their evaluations play the mode."""
    folder = tmp_path_factory.mktemp("runs")
    config = yaml.safe_load(tiny_config.read_text())
    for deterministic in (True, False):
        config["evaluation"]["deterministic"] = deterministic
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        name = ["--name", "mode" if deterministic else "samples"]
        fit = ["fit", "--config", str(folder / "config.yaml"), "--runs_dir", str(folder), *name]
        assert main([*fit, "--trainer.max_steps", "5"]) == 0
    return {True: folder / "mode", False: folder / "samples"}


def last(run: Path) -> str:
    return str(run / "checkpoints" / "last.ckpt")


def table(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_evaluation_agrees_with_the_runs_own(runs: Runs, deterministic: bool) -> None:
    run = runs[deterministic]
    assert main(["evaluate", last(run), *PLAYED]) == 0
    variant = "validation" if deterministic else "validation-sampled"
    ours = table(run / f"evaluation-last-{variant}-episodes_2-matches_2.json")
    assert ours["episodes"] == table(run / "adaptation.json")["history"][-1]["table"]["episodes"]
    assert ours["sampled"] is not deterministic


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_option_overrides_the_runs_own_way_and_names_its_files_alike(
    runs: Runs, deterministic: bool, tmp_path: Path
) -> None:
    """The same way to play gives the same numbers in a file of the same name, whoever asked for it."""
    run, tables = runs[deterministic], []
    for options, variant in (([], not deterministic), (["--sampled"], True), (["--deterministic"], False)):
        for file in run.glob("evaluation-*"):
            file.unlink()
        assert main(["evaluate", last(run), *PLAYED, *options]) == 0
        (written,) = run.glob("evaluation-*.json")
        assert ("-sampled-" in written.name) is variant
        tables.append(table(written))
        assert tables[-1]["sampled"] is variant
    same, other = (tables[2], tables[1]) if deterministic else (tables[1], tables[2])
    assert tables[0]["episodes"] == same["episodes"] != other["episodes"]


def test_checkpoints_of_runs_that_played_differently_are_compared_each_in_its_way_and_that_is_said(
    runs: Runs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [f"--{kind}={tmp_path / f'both.{kind}'}" for kind in ("json", "csv", "png")]
    names = [last(runs[True]), last(runs[False]), "random"]
    assert main(["evaluate", *names, *PLAYED, *files]) == 0
    printed = capfd.readouterr().out
    assert f"{names[0]} plays its mode, as in its run's evaluations" in printed
    assert f"{names[1]} plays samples, as in its run's evaluations" in printed
    assert "random plays" not in printed
    for label, deterministic in (("mode", True), ("samples", False)):
        ours = table(tmp_path / f"both-{label}.json")
        assert ours["sampled"] is not deterministic
        history = table(runs[deterministic] / "adaptation.json")["history"]
        assert ours["episodes"] == history[-1]["table"]["episodes"]
    assert table(tmp_path / "both-random.json")["sampled"] is True  # it has no mode
    assert main(["evaluate", *names[:2], *PLAYED, *files, "--sampled"]) == 0
    assert "evaluations" not in capfd.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "watch", "serve"])
def test_both_options_at_once_are_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command, str(SHIPPED), "--sampled", "--deterministic"]) == 1
    assert capfd.readouterr().err == "pearl: error: only one of --deterministic and --sampled may be given, got both\n"


@pytest.mark.parametrize(("options", "expected"), [([], False), (["--sampled"], False), (["--deterministic"], True)])
def test_a_match_of_the_shipped_agent_is_played_as_its_run_evaluated_it(
    options: list[str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[bool] = []

    def write(env: Any, agent: Any, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
        asked.append(settings["deterministic"])
        out.touch()
        return ""

    monkeypatch.setattr(viewer, "_write_simulator", write)
    assert main(["watch", *options]) == 0
    assert asked == [expected]


@pytest.mark.parametrize(("options", "expected"), [([], False), (["--deterministic"], True)])
def test_a_server_plays_as_its_agents_run_evaluated_it(
    options: list[str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    players: list[bool] = []

    class Server:
        def __init__(self, player: Callable[[int, int], Any], **_: Any) -> None:
            players.append(player(0, 1).player.deterministic)

        async def serve(self, ready: Any) -> None:
            """Nobody connects."""

    monkeypatch.setattr(agent_server, "AgentServer", Server)
    assert main(["serve", *options]) == 0
    assert players == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x", True),
        ("evaluation: null", True),
        ("evaluation: {deterministic: false}", False),
        ("evaluation: AdaptationEvaluation", True),
        ("evaluation: {class_path: AdaptationEvaluation, init_args: {deterministic: false}}", False),
        (f"evaluation: {{class_path: {OWN}, init_args: {{deterministic: true}}}}", True),
    ],
)
def test_the_setting_is_read_as_pearl_fit_reads_it(
    text: str, expected: bool, tiny_config: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert evaluated_deterministically([tiny_config, config]) is expected
