"""Other learners through the same command line: overlays put them in, and their runs resume and are evaluated alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from test_resume import assert_equal, fit, probe, resume

from pearl_lightning.agents.agent import load_agent
from pearl_lightning.agents.evolution_strategy import EvolutionStrategy
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.agents.rl2 import RL2
from pearl_lightning.cli import main

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

GROUPS = """
collector: {class_path: RolloutCollector, init_args: {tasks_per_iteration: 2}}
summary: {class_path: RunSummary}
"""
OVERLAYS = {
    "ppo": """
model:
  class_path: PPO
  init_args: {value_hidden: [8], actor: {hidden: [8]}}
data: {class_path: RolloutDataModule, init_args: {minibatches: 2, epochs: 2}}
""",
    "rl2": """
model:
  class_path: RL2
  init_args: {value_hidden: [8], actor: {hidden: [8]}, memory: 8, memory_hidden: [8], episodes: 2}
data: {class_path: RolloutDataModule, init_args: {minibatches: 2, epochs: 2}}
""",
    "evolution": """
model:
  class_path: EvolutionStrategy
  init_args: {hidden: [4], members: 2, kept: 1}
data: {class_path: RolloutDataModule, init_args: {minibatches: 1, epochs: 1}}
""",
}
CLASSES = {"ppo": PPO, "rl2": RL2, "evolution": EvolutionStrategy}
EPISODE = 4 * 20  # steps of four arenas
ENV_STEPS = {"ppo": 3 * EPISODE, "rl2": 6 * EPISODE, "evolution": 12 * EPISODE}
"""Updates per iteration, in runs of twelve updates."""


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    path = tmp_path / f"{request.param}.yaml"
    path.write_text(OVERLAYS[request.param] + GROUPS)
    return request.param, path


def test_a_baseline_trains_resumes_exactly_and_is_evaluated(
    overlay: tuple[str, Path], tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, path = overlay
    put = ["--config", str(path)]
    assert fit(tiny_config, tmp_path / "a", *put) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    whole = tmp_path / "a" / "tiny"
    assert json.loads((whole / "summary.json").read_text())["env_steps"] == ENV_STEPS[name]
    assert yaml.safe_load((whole / "config.yaml").read_text())["data"]["init_args"]["env"]["init_args"]["arenas"] == 4
    agent = load_agent(whole / "checkpoints" / "last.ckpt")
    assert type(agent) is CLASSES[name]

    assert fit(tiny_config, tmp_path / "b", *put, *probe("CrashAfter", updates=6)) == 1
    resume(tiny_config, tmp_path / "b" / "tiny", *put)
    saved = [torch.load(tmp_path / run / "tiny" / "checkpoints" / "last.ckpt", weights_only=True) for run in ("a", "b")]
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert_equal(saved[0][key], saved[1][key], key)
    columns = [(tmp_path / run / "tiny" / "metrics.csv").read_text() for run in ("a", "b")]
    assert columns[0] == columns[1]

    capfd.readouterr()
    assert main(["evaluate", str(whole / "checkpoints" / "last.ckpt"), "random", "--matches", "2"]) == 0
    assert "random over tiny, last episode: return " in capfd.readouterr().out
    table = json.loads((whole / "evaluation-last-matches_2.json").read_text())
    assert "z_std" not in table["episodes"][0]  # nothing is believed


def test_a_collector_of_another_learner_is_refused(
    tiny_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(GROUPS)
    assert fit(tiny_config, tmp_path, "--config", str(path)) == 1
    assert "RolloutCollector requires an on-policy agent, got PEARL" in capfd.readouterr().err
    assert fit(tiny_config, tmp_path, "--model.class_path", "pearl_lightning.agents.ppo.PPO") == 1
    assert "EpisodeCollector requires an off-policy agent, got PPO" in capfd.readouterr().err
    path.write_text(OVERLAYS["ppo"] + GROUPS)
    wrong_data = ["--data", "MetaBatchDataModule"]
    assert fit(tiny_config, tmp_path, "--config", str(path), *wrong_data) == 1
    assert "the trainer's data must be a RolloutDataModule, got MetaBatchDataModule" in capfd.readouterr().err
