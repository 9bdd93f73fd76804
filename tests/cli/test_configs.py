"""Every ready-made config makes its parts, and the README's commands are ones that `pearl` takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Trainer

from pearl_lightning.baselines.on_policy import OnPolicyAgent
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, ReplayCheckpoint
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.cli import main
from pearl_lightning.commands.training import run
from pearl_lightning.commands.worlds import family_overlay, make_env
from pearl_lightning.objectives import SacConfig

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).parent.parent.parent
CONFIGS = {
    "point_robot": ["point_robot"],
    "sparse_point_robot": ["sparse_point_robot"],
    "derk": ["derk"],
    "derk_gpu": ["derk", "derk_gpu"],
    "derk_game": ["derk_game"],
    "ray": ["derk_game", "ray"],
    "reference": ["point_robot", "reference"],
    "ddp": ["point_robot", "ddp"],
    "self_play": ["derk", "self_play"],
    "families/loadouts": ["derk", "families/loadouts"],
    "families/opponents": ["derk", "families/opponents"],
    "families/sentinels": ["derk", "families/sentinels"],
    "families/bounties": ["derk", "families/bounties"],
    "families/blind_loadouts": ["derk", "families/blind_loadouts"],
    "baselines/context_free": ["point_robot", "baselines/context_free"],
    "baselines/oracle": ["derk", "families/bounties", "baselines/oracle"],
    "baselines/ppo": ["derk", "families/bounties", "baselines/ppo"],
    "baselines/evolution_strategy": ["derk", "baselines/evolution_strategy"],
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line handed to ``Trainer.fit`` in place of training."""
    parts: dict[str, Any] = {}

    def fit(
        trainer: Trainer,
        model: Any,
        datamodule: Any = None,
        ckpt_path: str | None = None,  # the command line takes its options from this signature
        weights_only: bool | None = None,
    ) -> None:
        parts.update(trainer=trainer, model=model, data=datamodule)

    monkeypatch.setattr(Trainer, "fit", fit)
    return parts


@pytest.mark.parametrize("name", CONFIGS)
def test_a_ready_made_config_makes_an_agent_that_fits_its_world(
    name: str, made: dict[str, Any], tmp_path: Path
) -> None:
    options = [option for config in CONFIGS[name] for option in ("--config", str(ROOT / "configs" / f"{config}.yaml"))]
    if name == "derk_gpu" and not torch.cuda.is_available():
        options += ["--trainer.accelerator", "cpu", "--data.env.init_args.backend_options.device", "cpu"]
    run(["fit", *options, "--runs_dir", str(tmp_path), "--threads", "1"])
    env, model = made["data"].env, made["model"]
    assert (model.observation_features, model.action_space) == (env.features, env.action_space)
    kinds = {type(callback) for callback in made["trainer"].callbacks}
    assert {AdaptationEvaluation, ReplayCheckpoint} <= kinds
    collector = next(c for c in made["trainer"].callbacks if isinstance(c, Collector))
    assert env.arenas % collector.tasks_per_iteration == 0
    if isinstance(collector, EpisodeCollector):
        assert collector.initial_iterations * collector.tasks_per_iteration >= made["data"].meta_batch
    else:
        assert isinstance(model, OnPolicyAgent)
        model.explore(env.arenas, torch.Generator())
    assert made["trainer"].max_steps % made["trainer"].val_check_interval == 0  # so that it ends with an evaluation


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_config_without_a_gpu_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--config={ROOT}/configs/{name}.yaml" for name in CONFIGS["derk_gpu"]]
    assert main(["fit", *options, "--runs_dir", str(tmp_path)]) == 1
    assert "device must be cpu where torch finds no CUDA GPU, got 'cuda'" in capsys.readouterr().err


def test_every_config_is_tested() -> None:
    folder = ROOT / "configs"
    assert {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")} == set(CONFIGS)


def test_the_reference_overlay_has_the_reference_constants(made: dict[str, Any], tmp_path: Path) -> None:
    options = [f"--config={ROOT}/configs/{name}.yaml" for name in CONFIGS["reference"]]
    run(["fit", *options, "--runs_dir", str(tmp_path)])
    assert made["model"].sac == SacConfig.reference()
    assert made["model"].z_steps is None


def readme_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("pearl ")]


def test_the_readme_names_configs_that_are_there() -> None:
    named = {word for command in readme_commands() for word in command if word.startswith("configs/")}
    assert named == {f"configs/{name}.yaml" for name in CONFIGS}


def test_the_readmes_overrides_reach_their_parts(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    [command] = [command for command in readme_commands() if "--model.sac.discount" in command]
    run([*command, "--runs_dir", str(tmp_path)])
    assert (made["model"].sac.discount, made["data"].env.arenas) == (0.95, 200)


@pytest.mark.parametrize("name", ["families/opponents", "families/sentinels", "self_play"])
def test_an_overlay_with_further_callbacks_keeps_the_schedule_of_what_it_lies_on(name: str) -> None:
    base, overlay = (yaml.safe_load((ROOT / "configs" / f"{each}.yaml").read_text()) for each in ("derk", name))
    added = {each["class_path"]: each.get("init_args", {}) for each in overlay["trainer"]["callbacks"]}
    for own in base["trainer"]["callbacks"]:
        assert own.get("init_args", {}).items() <= added[own["class_path"]].items()


def test_evaluate_plays_derk_on_the_backend_it_is_told() -> None:
    config = ROOT / "configs" / "derk.yaml"
    for told, backend in ((None, "simulator"), ("simulator", "simulator"), ("game", "game")):
        env = make_env(config, told)
        assert env._backend_name == backend  # started at the first reset only
        assert len(env.tasks.test) == 64


def test_evaluate_plays_another_family_on_demand() -> None:
    overlay, name = family_overlay("opponents/new_styles")
    tasks = make_env([ROOT / "configs" / "derk.yaml", *overlay]).tasks
    assert {tasks[index].opponent for index in tasks.splits[name]} == {"disruptor", "runner"}
    assert family_overlay("known_styles") == ([], "known_styles")
    assert family_overlay("0/test") == ([], "0/test")
    with pytest.raises(ValueError, match="one of the families blind_loadouts, .*, opponents, sentinels, got 'chess'"):
        family_overlay("chess/test")


def test_evaluate_keeps_the_options_of_the_configs_own_backend(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "configs" / "derk.yaml").read_text())
    content["data"]["init_args"]["env"]["init_args"]["backend_options"] = {"episode_ticks": 2400}
    config = tmp_path / "long.yaml"
    config.write_text(yaml.safe_dump(content))
    assert [make_env(config, told).horizon for told in ("simulator", "game")] == [300, 150]


def test_evaluate_on_a_backend_is_for_derk_alone() -> None:
    with pytest.raises(ValueError, match="--backend game is for Derk's Gym, but the env of .* names no backend"):
        make_env(ROOT / "configs" / "point_robot.yaml", "game")
