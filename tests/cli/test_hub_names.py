"""``hf://OWNER/NAME`` in place of a checkpoint: where it works, what is refused, and what runs no foreign code."""

from __future__ import annotations

import json
import pickle
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fake_hub import READER, WRITER, FakeHub
from huggingface_hub import constants

from pearl_lightning import hub as hub_module
from pearl_lightning import load_agent
from pearl_lightning.cli import main
from pearl_lightning.derk.commands import league
from pearl_lightning.derk.opponents import make_opponent
from pearl_lightning.derk.opponents.checkpoint import CheckpointOpponent
from pearl_lightning.derk.tasks import OpponentTasks
from pearl_lightning.hub import download
from pearl_lightning.trained import SHIPPED

pytestmark = pytest.mark.slow

Refused = Callable[[str], str]


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """The one line with which ``pearl evaluate`` refuses a checkpoint."""

    def line(name: str) -> str:
        assert main(["evaluate", name]) == 1
        (told,) = capfd.readouterr().err.splitlines()
        return told.removeprefix("pearl: error: ")

    return line


def replaced(hub: FakeHub, file: str, content: bytes) -> None:
    """Commit another content of a file of ``me/agent``."""
    hub.put("me/agent", hub.files("me/agent") | {file: content})


def test_only_the_files_that_commands_read_are_downloaded(pushed: FakeHub) -> None:
    checkpoint = download("hf://me/agent")
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["agent.ckpt", "agent.yaml", "tasks.json"]


def test_a_revision_is_a_commit_of_its_own(pushed: FakeHub) -> None:
    first = list(pushed.repos["me/agent"].commits)[0]
    weights = torch.load(download("hf://me/agent"), weights_only=True)
    changed = {name: value + 1 for name, value in weights["state_dict"].items()}
    torch.save(weights | {"state_dict": changed}, "changed.ckpt")
    replaced(pushed, "agent.ckpt", Path("changed.ckpt").read_bytes())
    for name, expected in ((f"hf://me/agent@{first}", weights["state_dict"]), ("hf://me/agent@main", changed)):
        loaded = load_agent(name).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in expected.items())


def test_a_cached_agent_needs_no_network(pushed: FakeHub) -> None:
    first = download("hf://me/agent")
    pushed.close()
    assert download("hf://me/agent") == first


def test_other_commands_take_it(pushed: FakeHub, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "hf://me/agent", "--out", "exported"]) == 0
    assert json.loads(Path("exported/agent.json").read_text())["observation_features"] == 2
    for command in ("watch", "serve"):  # both find its environment
        assert main([command, "hf://me/agent"]) == 1
    watch, serve = capfd.readouterr().err.splitlines()
    assert watch.endswith("needs an environment that draws pictures, but PointRobot does not")
    assert "env must be Derk's Gym to be served, got PointRobot in" in serve


def test_it_is_an_opponent_of_derks_gym(hub: FakeHub) -> None:
    settings = SHIPPED.with_suffix(".yaml").read_bytes()
    hub.put("me/derk", {"agent.ckpt": SHIPPED.read_bytes(), "agent.yaml": settings})
    tasks = OpponentTasks(styles=["checkpoint:hf://me/derk"], train_tasks=1, validation_tasks=0, test_tasks=0)
    expected = load_agent(SHIPPED).state_dict()
    for opponent in (make_opponent(tasks[0].opponent), league._player("hf://me/derk")):
        assert isinstance(opponent, CheckpointOpponent)
        assert all(torch.equal(value, expected[name]) for name, value in opponent.agent.state_dict().items())


def test_training_cannot_be_resumed_from_it_but_its_tasks_are_played(
    pushed: FakeHub, tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", str(tiny_config), "--ckpt_path", "hf://me/agent"]
    assert main(["fit", *options]) == 1
    assert capfd.readouterr().err.startswith("pearl: error: ckpt_path must be a checkpoint of a run on this machine")
    assert pushed.requests == []
    assert main(["test", *options]) == 0


@pytest.mark.parametrize("name", ["hf://agent", "hf://a/b/c", "hf://", "hf://a/b@", "hf://a/b@../../x", "hf:///b"])
def test_a_wrong_name_is_refused(name: str, refused: Refused, hub: FakeHub) -> None:
    assert refused(name).endswith(f"must be named hf://OWNER/NAME or hf://OWNER/NAME@REVISION, got {name}")
    assert hub.requests == []


@pytest.mark.parametrize("token", [None, WRITER])
def test_a_missing_repository_is_named(
    token: str | None, hub: FakeHub, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    assert refused("hf://me/nothing").startswith(f"there is no repository me/nothing on {hub.url}, or it is private")


def test_a_private_agent_needs_a_token(pushed: FakeHub, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed.repos["me/agent"].private = True
    monkeypatch.delenv("HF_TOKEN")
    assert "or it is private: then log in with 'hf auth login', or set HF_TOKEN" in refused("hf://me/agent")
    monkeypatch.setenv("HF_TOKEN", READER)
    assert download("hf://me/agent").is_file()


def test_other_refusals_of_the_hub_are_explained(pushed: FakeHub, refused: Refused) -> None:
    assert refused("hf://me/agent@v9") == f"me/agent on {pushed.url} has no revision v9"
    pushed.repos["me/agent"].gated = True
    assert refused("hf://me/agent").startswith("access to me/agent must be granted by its owner")


@pytest.mark.parametrize("file", ["agent.ckpt", "agent.yaml"])
def test_a_repository_of_something_else_is_refused(file: str, pushed: FakeHub, refused: Refused) -> None:
    files = pushed.files("me/agent")
    pushed.put("me/other", {name: content for name, content in files.items() if name != file})
    told = f"hf://me/other has no file {file}: it must be a repository that pearl push has written"
    assert refused("hf://me/other") == told


def test_a_hub_that_cannot_be_reached_is_named(hub: FakeHub, refused: Refused) -> None:
    hub.close()
    assert refused("hf://me/agent").startswith(f"{hub.url} cannot be reached: ")


def test_the_offline_mode_is_named(hub: FakeHub, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused("hf://me/agent") == "HF_HUB_OFFLINE forbids requests, and me/agent is not in the cache"


def test_a_hub_that_does_not_answer_is_given_up(
    hub: FakeHub, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.silence = 60.0
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    began = time.monotonic()
    assert refused("hf://me/agent").startswith(f"{hub.url} cannot be reached: ")
    assert time.monotonic() - began < 30


def test_without_the_package_the_extra_is_named(
    hub: FakeHub, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setattr("pearl_lightning.missing.find_spec", lambda name: None)
    assert refused("hf://me/agent") == "hub needs huggingface_hub: pip install 'pearl-lightning[hub]'"


class Bomb:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_malicious_checkpoint_is_not_unpickled(kind: str, pushed: FakeHub, refused: Refused) -> None:
    if kind == "pickle":
        Path("bomb.ckpt").write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"state_dict": {}, "hyper_parameters": Bomb(), "global_step": 0}, "bomb.ckpt")
    content = Path("bomb.ckpt").read_bytes()
    torch.load("bomb.ckpt", weights_only=False) if kind == "torch" else pickle.loads(content)
    Path("exploded").unlink()  # it is one
    replaced(pushed, "agent.ckpt", content)
    told = refused("hf://me/agent")
    assert re.match(r"hf://me/agent cannot be loaded: \S+ is not a checkpoint that torch.load\(weights_only", told)
    assert not Path("exploded").exists()


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported, which writes a file when it is."""
    (tmp_path / "foreign_module.py").write_text("from pathlib import Path\nPath('exploded').touch()\nclass Env: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "foreign_module"


@pytest.mark.parametrize(
    "env",
    [
        {"class_path": "M.Env"},
        "M.Env",
        '{"class_path": "M.Env"}',
        {"class_path": "PointRobot", "init_args": {"tasks": '{class_path: "\\x66oreign_module.Env"}'}},
        {"class_path": "GymnasiumEnv", "init_args": {"id": "M:Env-v0", "arenas": 1}},
        {"class_path": "GymnasiumEnv", "init_args": {"id": " M.Env", "arenas": 1}},
        {"class_path": "PointRobot", "init_args": {"tasks": "tasks.json"}},
        {"class_path": "PointRobot", "init_args": {"tasks": "SECRET"}},
        {"class_path": "pearl_lightning.cli.main"},
        {"class_path": "pearl_lightning.__main__.Env"},
        {"class_path": "pearl_lightning.envs.ray.env.RayEnv", "init_args": {"address": "ray://far.away:1"}},
        {"class_path": "torch.nn.modules.module.Path.touch"},
    ],
)
def test_settings_that_name_foreign_code_are_refused(
    env: Any, foreign: str, pushed: FakeHub, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "secret.yaml").write_text(f"class_path: {foreign}.Env")
    text = json.dumps({"data": {"env": env}}).replace("M.Env", f"{foreign}.Env").replace("M:Env", f"{foreign}:Env")
    settings = json.loads(text.replace("SECRET", str(tmp_path / "secret.yaml")))
    replaced(pushed, "agent.yaml", yaml.safe_dump(settings).encode())
    told = refused("hf://me/agent")
    assert told.startswith("hf://me/agent is not loaded, because its settings contain ")
    assert told.endswith("hf download me/agent --local-dir FOLDER, and use FOLDER/agent.ckpt")
    assert not Path("exploded").exists()


@pytest.mark.parametrize("key", ["_class_path", "encoder"])
def test_a_checkpoint_that_names_foreign_code_is_refused(
    key: str, foreign: str, pushed: FakeHub, refused: Refused
) -> None:
    weights = torch.load(download("hf://me/agent"), weights_only=True)
    path = f"{foreign}.Env"
    weights["hyper_parameters"][key] = path if key == "_class_path" else {"class_path": path}
    torch.save(weights, "other.ckpt")
    replaced(pushed, "agent.ckpt", Path("other.ckpt").read_bytes())
    assert f"its settings contain '{foreign}.Env'" in refused("hf://me/agent")
    assert not Path("exploded").exists()


def test_a_local_copy_of_a_refused_agent_is_trusted(pushed: FakeHub, tmp_path: Path) -> None:
    """The error proposes this way: download the files, and name the local checkpoint."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in pushed.files("me/agent").items():
        (copy / name).write_bytes(content)
    settings = yaml.safe_load((copy / "agent.yaml").read_text())
    settings["data"]["init_args"]["env"]["class_path"] = "trusted_module.Robot"
    (copy / "agent.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "trusted_module.py").write_text(
        "from pearl_lightning.envs.point_robot import PointRobot\nclass Robot(PointRobot): pass\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert main(["evaluate", str(copy / "agent.ckpt"), "--episodes", "1", "--matches", "1"]) == 0


def test_the_cache_gets_no_results(pushed: FakeHub) -> None:
    assert main(["evaluate", "hf://me/agent", "--episodes", "1", "--matches", "1"]) == 0
    assert len(list(Path("runs/hub/me/agent").glob("evaluation-agent-*.json"))) == 1
    cached = [path.name for path in Path(constants.HF_HUB_CACHE).rglob("*.*") if path.suffix in (".png", ".csv")]
    assert cached == []
