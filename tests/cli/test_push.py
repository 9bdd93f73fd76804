"""``pearl push``: what it uploads, and that ``hf://`` then names the same agent, number by number."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
import yaml
from fake_hub import READER, FakeHub
from huggingface_hub import ModelCard
from PIL import Image

from pearl_lightning import load_agent
from pearl_lightning.cli import main
from pearl_lightning.evaluation import AdaptationTable

DRAWN = """
import numpy as np
from pearl_lightning.envs.point_robot import PointRobot


class Drawn(PointRobot):
    def picture(self):
        return np.zeros((20, 120, 3), np.uint8)
"""
pytestmark = pytest.mark.slow
FILES = {"README.md", "adaptation.json", "agent.ckpt", "agent.yaml", "config.yaml", "tasks.json"}
PLAYED = ["--episodes", "2", "--matches", "1", "--png", "a.png", "--csv", "a.csv"]


def evaluated(checkpoint: str | Path, *options: str) -> dict[str, object]:
    assert main(["evaluate", str(checkpoint), *PLAYED, "--json", "table.json", *options]) == 0
    return json.loads(Path("table.json").read_text())


def test_a_pushed_agent_plays_as_the_local_one(
    hub: FakeHub, one_update: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(one_update), "me/tiny"]) == 0
    told = capfd.readouterr()
    assert "No clip: pearl watch needs an environment that draws pictures, but PointRobot does not\n" in told.out
    assert told.out.endswith(f"Pushed to {hub.url}/me/tiny\nuse it with: pearl evaluate hf://me/tiny\n")
    assert "hf_writer" not in told.out + told.err
    assert set(hub.files("me/tiny")) - {".gitattributes"} == FILES
    assert any(request.startswith("PUT /objects/") for request in hub.requests)  # the weights go by LFS
    local, shared = evaluated(one_update), evaluated("hf://me/tiny")
    commit = list(hub.repos["me/tiny"].commits)[-1]
    assert shared.pop("checkpoint") == f"hf://me/tiny@{commit}"
    assert local.pop("checkpoint") == str(one_update / "checkpoints" / "last.ckpt")
    assert local.pop("config") != shared.pop("config")
    assert local == shared
    ours, theirs = load_agent(one_update).state_dict(), load_agent(f"hf://me/tiny@{commit}").state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_results_are_those_of_evaluate_which_runs_only_if_needed(
    shared_files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = shared_files.parent / "tiny"
    results = json.loads((run / "evaluation-last.json").read_text())
    published = json.loads((shared_files / "adaptation.json").read_text())
    assert results.keys() - published.keys() == {"checkpoint", "config"}
    assert published.items() <= results.items()
    assert main(["push", str(run), "me/agent", "--clip", "false", "--out", str(tmp_path / "again")]) == 0
    assert capfd.readouterr().out == f"Wrote {tmp_path / 'again'}\n"
    assert (tmp_path / "again" / "adaptation.json").read_text() == (shared_files / "adaptation.json").read_text()


def test_older_results_are_replaced_and_given_ones_are_used(
    one_update: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given.json").write_text(json.dumps(evaluated(one_update)))
    old = one_update / "evaluation-last.json"
    old.write_text("{}")
    os.utime(old, (0, 0))
    options = ["me/agent", "--clip", "false", "--out"]
    assert main(["push", str(one_update), *options, str(tmp_path / "new")]) == 0
    assert "Evaluating" in capfd.readouterr().out
    assert json.loads((tmp_path / "new" / "adaptation.json").read_text())["matches_per_task"] == 4
    given = ["--results", str(tmp_path / "given.json")]
    assert main(["push", str(one_update), *options, str(tmp_path / "with"), *given]) == 0
    assert json.loads((tmp_path / "with" / "adaptation.json").read_text())["matches_per_task"] == 1


def test_the_card_is_one_that_the_hub_understands(shared_files: Path) -> None:
    card = ModelCard.load(shared_files / "README.md")
    table = AdaptationTable.from_json(json.loads((shared_files / "adaptation.json").read_text()))
    assert (card.data.library_name, card.data.license) == ("pearl-lightning", "mit")
    values = {result.metric_name: result.metric_value for result in card.data.eval_results}
    for row in table.episodes:
        assert values[f"return, episode {row.episode}"] == pytest.approx(row.return_mean, abs=1e-4)
        assert f"| {row.episode} | {row.return_mean:.2f} | [{row.return_low:.2f}, {row.return_high:.2f}] |" in card.text
    assert values["gain, last minus first"] == pytest.approx(table.gain.mean, abs=1e-4)
    assert "pearl evaluate hf://me/agent\n" in card.text
    assert "adaptation.gif" not in card.text


def test_a_clip_is_drawn_and_foreign_code_is_announced(
    one_update: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drawing.py").write_text(DRAWN)
    monkeypatch.syspath_prepend(tmp_path)
    config = one_update / "config.yaml"
    config.write_text(re.sub(r"class_path: \S*PointRobot", "class_path: drawing.Drawn", config.read_text()))
    assert main(["push", str(one_update), "me/drawn", "--out", str(tmp_path / "files")]) == 0
    assert "hf://me/drawn will be refused, because it contains 'drawing.Drawn'" in capfd.readouterr().out
    with Image.open(tmp_path / "files" / "adaptation.gif") as clip:
        assert clip.n_frames > 2
    card = (tmp_path / "files" / "README.md").read_text()
    assert "(adaptation.gif)" in card
    assert "hf download me/drawn --local-dir drawn\npearl evaluate drawn/agent.ckpt\n" in card


def test_nothing_of_this_machine_and_of_training_is_shared(shared_files: Path, one_update: Path) -> None:
    weights = torch.load(shared_files / "agent.ckpt", weights_only=True)
    assert set(weights) == {"state_dict", "hyper_parameters", "global_step", "pytorch-lightning_version"}
    for file in shared_files.iterdir():
        assert str(shared_files.parent.parent).encode() not in file.read_bytes(), file.name
    config, run = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (shared_files, one_update))
    assert {"runs_dir", "ckpt_path"} == run.keys() - config.keys()
    assert set(run["trainer"]) - set(config["trainer"]) == {"logger"}
    assert config["model"] == run["model"]
    assert (shared_files / "tasks.json").read_text() == (one_update / "tasks.json").read_text()


def test_a_push_replaces_the_files_of_the_last_one(hub: FakeHub, shared_files: Path) -> None:
    hub.put("me/agent", {"adaptation.gif": b"old", "README.md": b"old", "notes.txt": b"kept"})
    assert main(["push", str(shared_files.parent / "tiny"), "me/agent", "--clip", "false"]) == 0
    files = hub.files("me/agent")
    assert set(files) == FILES | {"notes.txt"}
    assert files["agent.yaml"] == (shared_files / "agent.yaml").read_bytes()


def test_private_is_kept(hub: FakeHub, shared_files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = str(shared_files.parent / "tiny")
    assert main(["push", run, "me/secret", "--private", "--clip", "false"]) == 0
    assert hub.repos["me/secret"].private
    hub.put("me/public", {})
    assert main(["push", run, "me/public", "--private", "--clip", "false"]) == 1
    assert capfd.readouterr().err == "pearl: error: --private contradicts me/public, which exists and is public\n"
    assert hub.files("me/public") == {}


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "pearl push needs a token of the Hub with write access: log in with 'hf auth login', or set HF_TOKEN"),
        ("hf_wrong", "the token does not give access to me/x on URL (Invalid username or password.): log in"),
        (READER, "the token does not give access to me/x on URL (the token has no write access): log in"),
    ],
)
def test_a_push_without_access_is_refused_on_one_line(
    token: str | None,
    message: str,
    hub: FakeHub,
    shared_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    assert main(["push", str(shared_files.parent / "tiny"), "me/x", "--clip", "false"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"pearl: error: {message}".replace("URL", hub.url))
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "tiny"], "repo must be OWNER/NAME, got tiny"),
        (["hf://me/agent", "me/copy"], "checkpoint must be a file or a run's folder, got hf://me/agent"),
        (["no.ckpt", "me/agent", "--out", "new"], "there is no checkpoint no.ckpt"),
        (["RUN", "me/agent", "--out", "."], "out must be a new or an empty folder, got ."),
        (["RUN", "me/agent", "--out", "new", "--results", "TASKS"], "results must be a JSON file of pearl evaluate"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str], message: str, shared_files: Path, hub: FakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("something").touch()
    run = shared_files.parent / "tiny"
    named = {"RUN": str(run), "TASKS": str(run / "tasks.json")}
    assert main(["push", *(named.get(word, word) for word in arguments)]) == 1
    assert capfd.readouterr().err.startswith(f"pearl: error: {message}")
    assert hub.requests == []
