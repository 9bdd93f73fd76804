"""The agent that comes with the package: how it is put there, and that it plays right after installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import ship
from pearl_lightning.agents.agent import load_agent
from pearl_lightning.cli import main
from pearl_lightning.commands.playing import evaluated_deterministically
from pearl_lightning.trained import SHIPPED

pytestmark = pytest.mark.slow


def test_without_a_checkpoint_the_packages_own_agent_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--tasks", "loadouts/test", "--episodes", "1", "--matches", "1"]
    assert main(["evaluate", *options]) == 0  # plays samples, as its run's evaluations did
    file = "runs/shipped/evaluation-derk-loadouts-test-sampled-episodes_1-matches_1.json"
    assert f"Wrote {file}" in capfd.readouterr().out
    table = json.loads((tmp_path / file).read_text())
    assert (table["tasks"], table["split"]) == (64, "loadouts/test")
    assert table["episodes"][0]["win_rate"] > 0.9  # against random actions


def test_it_plays_both_sides_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    played = ["--tasks", "loadouts/test", "--episodes", "1", "--matches", "1", "--sampled"]
    assert (
        main(["evaluate", *played, "--side", "both", "--json", "table.json", "--png", "a.png", "--csv", "a.csv"]) == 0
    )
    home, away = (json.loads((tmp_path / f"table-{side}.json").read_text()) for side in ("home", "away"))
    assert (home["side"], away["side"]) == ("home", "away")
    assert (
        main(["evaluate", *played, "--side", "away", "--json", "alone.json", "--png", "a.png", "--csv", "a.csv"]) == 0
    )
    assert json.loads((tmp_path / "alone.json").read_text())["episodes"] == away["episodes"] != home["episodes"]
    lead = away["episodes"][0]["return_mean"] - home["episodes"][0]["return_mean"]
    assert f"away over home, last episode: return {lead:+.2f} [" in capfd.readouterr().out


def test_it_is_small_and_names_no_place_of_a_machine() -> None:
    assert SHIPPED.stat().st_size < 4 * 2**20
    assert str(Path.home()) not in SHIPPED.with_suffix(".yaml").read_text()
    assert "run_folder" not in torch.load(SHIPPED, weights_only=True)
    assert set(yaml.safe_load(SHIPPED.with_suffix(".yaml").read_text())) == {"evaluation", "data"}


def test_shipping_keeps_the_weights_and_the_world_and_nothing_else(
    one_update: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "package" / "agent.ckpt"
    monkeypatch.setattr(ship, "SHIPPED", shipped)
    ship.main([str(one_update)])
    ours, theirs = (load_agent(path) for path in (shipped, one_update / "checkpoints" / "last.ckpt"))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    assert "optimizer_states" not in torch.load(shipped, weights_only=True)
    config = yaml.safe_load((one_update / "config.yaml").read_text())
    env = yaml.safe_load(shipped.with_suffix(".yaml").read_text())["data"]["init_args"]["env"]
    assert env == config["data"]["init_args"]["env"]
    assert evaluated_deterministically([shipped.with_suffix(".yaml")]) is True
