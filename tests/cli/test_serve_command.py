"""``pearl serve``: the shipped agent as a server, and what is refused."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from pearl_lightning.cli import main
from pearl_lightning.trained import SHIPPED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


def test_the_shipped_agent_plays_as_a_server_until_it_is_interrupted(
    start_pearl: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with start_pearl("serve", "--port", "0", "--sampled", cwd=Path("/")) as server:
        ready = server.first_line()
        found = re.fullmatch(r"shipped plays at (ws://127\.0\.0\.1:\d+) until Ctrl-C", ready)
        assert found, ready
        assert main(["league", f"server:{found[1]}", "random", "--matches", "3", "--arenas", "6"]) == 0
        server.process.send_signal(signal.SIGINT)
        status, output, errors = server.finish(60)
    assert (status, errors) == (130, "pearl: interrupted\n")
    lines = output.splitlines()[1:]
    assert lines[0] == "session 1: 6 teams"
    assert re.fullmatch(r"session 1: episode 0: return \S+, [456] of 6 won", lines[1])  # it is much the better player
    league = capfd.readouterr().out.splitlines()
    assert league[1].split()[0] == f"server:{found[1]}"  # the strongest comes first


@pytest.fixture
def shipped_config(tmp_path: Path) -> Path:
    """The shipped agent's config, but its agents are told their task."""
    config = yaml.safe_load(SHIPPED.with_suffix(".yaml").read_text())
    config["data"]["init_args"]["env"]["init_args"]["observe_task"] = True
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def refused(capfd: pytest.CaptureFixture[str], *options: str | Path) -> str:
    assert main(["serve", *map(str, options)]) == 1
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1
    return errors.removeprefix("pearl: error: ").rstrip()


def test_an_agent_that_is_told_its_task_is_refused(shipped_config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = f"{SHIPPED} cannot be served: it is an oracle, but the game does not provide the task"
    assert refused(capfd, "--config", shipped_config) == told


def test_what_cannot_be_served_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    robot = CONFIGS / "point_robot.yaml"
    assert refused(capfd, "--config", robot).startswith("env must be Derk's Gym to be served, got")
    assert refused(capfd, "--port", "65536") == "port must be in [0, 65535], got 65536"
    assert refused(capfd, "missing.ckpt") == "there is no checkpoint missing.ckpt"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "address already in use" in refused(capfd, "--port", str(taken.getsockname()[1]))
