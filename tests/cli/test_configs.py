"""Every ready-made config makes its parts, and the page of the configs has a valid command for each."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Trainer

from pearl_lightning.agents.on_policy import OnPolicyAgent
from pearl_lightning.agents.sac import ValueSAC
from pearl_lightning.agents.temperatures import FixedTemperature
from pearl_lightning.callbacks import AdaptationEvaluation, EpisodeCollector, ReplayCheckpoint
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.cli import main
from pearl_lightning.commands.config_files import find_config, kind, with_config_files
from pearl_lightning.commands.environments import family_overlay, make_env
from pearl_lightning.commands.fit_config import CALLBACKS

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
CONFIGS = {
    "quickstart": ["quickstart"],
    "point_robot": ["point_robot"],
    "sparse_point_robot": ["sparse_point_robot"],
    "derk": ["derk"],
    "derk_gpu": ["derk", "derk_gpu"],
    "derk_game": ["derk", "derk_game"],
    "ray": ["derk", "derk_game", "ray"],
    "reference": ["point_robot", "reference"],
    "few_steps": ["point_robot", "few_steps"],
    "ddp": ["point_robot", "ddp"],
    "self_play": ["derk", "self_play"],
    "locomotion": ["locomotion"],
    "reference_locomotion": ["locomotion", "reference_locomotion", "mujoco/ant_dir"],
    "mujoco/cheetah_vel": ["locomotion", "mujoco/cheetah_vel"],
    "mujoco/cheetah_dir": ["locomotion", "mujoco/cheetah_dir"],
    "mujoco/ant_dir": ["locomotion", "mujoco/ant_dir"],
    "mujoco/ant_goal": ["locomotion", "mujoco/ant_goal"],
    "mujoco/humanoid_dir": ["locomotion", "mujoco/humanoid_dir"],
    "mujoco/walker_params": ["locomotion", "mujoco/walker_params"],
    "mujoco/hopper_params": ["locomotion", "mujoco/hopper_params"],
    "gymnasium": ["gymnasium"],
    "gym/pendulum": ["gymnasium", "gym/pendulum"],
    "gym/cartpole": ["gymnasium", "gym/cartpole"],
    "gym/acrobot": ["gymnasium", "gym/acrobot"],
    "metaworld": ["metaworld"],
    "metaworld/ml1_reach": ["metaworld", "metaworld/ml1_reach"],
    "metaworld/ml10": ["metaworld", "metaworld/ml10"],
    "families/loadouts": ["derk", "families/loadouts"],
    "families/opponents": ["derk", "families/opponents"],
    "families/sentinels": ["derk", "families/sentinels"],
    "families/bounties": ["derk", "families/bounties"],
    "families/blind_loadouts": ["derk", "families/blind_loadouts"],
    "baselines/context_free": ["point_robot", "baselines/context_free"],
    "baselines/oracle": ["derk", "families/bounties", "baselines/oracle"],
    "baselines/ppo": ["derk", "families/bounties", "baselines/ppo"],
    "baselines/rl2": ["point_robot", "baselines/rl2"],
    "baselines/evolution_strategy": ["derk", "baselines/evolution_strategy"],
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments with which the command line called ``Trainer.fit``; nothing is trained."""
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
    if name.startswith("metaworld"):
        pytest.importorskip("metaworld", reason="needs the extra metaworld")
    options = [option for config in CONFIGS[name] for option in ("--config", config)]
    if name == "derk_gpu" and not torch.cuda.is_available():
        options += ["--trainer.accelerator", "cpu", "--data.env.backend_options.device", "cpu"]
    assert main(["fit", *options, "--runs_dir", str(tmp_path), "--threads", "1"]) == 0
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
    assert "device must be cpu because torch finds no CUDA GPU, got 'cuda'" in capsys.readouterr().err


def test_every_config_is_tested() -> None:
    folder = ROOT / "configs"
    assert {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")} == set(CONFIGS)


def test_the_reference_overlay_has_the_reference_constants(made: dict[str, Any], tmp_path: Path) -> None:
    options = [f"--config={name}" for name in CONFIGS["reference"]]
    assert main(["fit", *options, "--runs_dir", str(tmp_path)]) == 0
    model = made["model"]
    assert isinstance(model.sac, ValueSAC)
    assert isinstance(model.sac.temperature, FixedTemperature)
    assert (float(model.sac.temperature()[0]), model.sac.discount, model.sac.reward_scale) == (1.0, 0.9, 100.0)
    assert (model.kl_weight, model.resample_every) == (1.6, None)


def page_commands() -> list[list[str]]:
    """The ``pearl`` commands on the page of the ready-made configs."""
    page = (ROOT / "docs" / "reference" / "configs.md").read_text(encoding="utf-8")
    lines = [
        line.split("#")[0] for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()
    ]
    return [shlex.split(line)[1:] for line in lines if line.startswith("pearl ")]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_page_has_the_command_of_a_config(name: str) -> None:
    options = [option for each in CONFIGS[name] for option in ("--config", each.rpartition("/")[2])]
    assert ["fit", *options] in page_commands()


def test_the_page_links_to_every_config_once() -> None:
    page = (ROOT / "docs" / "reference" / "configs.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[`([\w/]+)`\]\(\.\./\.\./configs/([\w/]+)\.yaml\) \|", page, re.MULTILINE)
    assert all(shown == target for shown, target in linked)
    assert sorted(shown for shown, _ in linked) == sorted(CONFIGS)


def test_the_pages_overrides_reach_their_parts(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    [command] = [command for command in page_commands() if "--model.sac.discount" in command]
    assert main([*command, "--runs_dir", str(tmp_path)]) == 0
    assert (made["model"].sac.discount, made["data"].env.arenas) == (0.95, 200)


def combinations() -> list[list[str]]:
    """Two of the configs that ``CONFIGS`` puts together, in the wrong order."""
    pairs = {tuple(reversed(pair)) for names in CONFIGS.values() for pair in pairwise(names)}
    return sorted(list(pair) for pair in pairs)


@pytest.mark.parametrize("names", combinations(), ids=" ".join)
def test_configs_in_the_wrong_order_are_refused_by_name(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if {kind(find_config(name)) for name in names} == {"Overlay"}:
        pytest.skip("overlays may come in any order")
    first, second = names
    assert main(["fit", "--config", first, f"--config={second}"]) == 1
    expected = f"--config {Path(second).stem} \\(\\w+\\) must come before --config {Path(first).stem} "
    assert re.search(expected, capsys.readouterr().err)
    assert main(["tasks", *names]) == 1
    assert re.search(expected, capsys.readouterr().err)


def test_a_copy_of_a_config_keeps_its_place_in_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("derk", "bounties"):
        assert main(["init", name]) == 0
    assert with_config_files(["--config", "derk.yaml", "--config=bounties.yaml", "--name", "x"]) == [
        "--config",
        "derk.yaml",
        "--config=bounties.yaml",
        "--name",
        "x",
    ]
    with pytest.raises(ValueError, match="--config derk .environment. must come before --config bounties .family."):
        with_config_files(["--config", "bounties.yaml", "--config", "derk.yaml"])


def test_a_file_comes_before_a_ready_made_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("derk") == ROOT / "pearl_lightning" / "configs" / "derk.yaml"
    Path("derk").write_text("name: mine")
    assert find_config("derk") == Path("derk")


def test_all_configs_together_are_short_and_repeat_no_callbacks() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "configs").rglob("*.yaml")]
    assert sum(len(text.splitlines()) for text in texts) <= 750
    listed = [yaml.safe_load(text).get("trainer", {}).get("callbacks", []) for text in texts]
    assert sum(map(bool, listed)) == 2  # SelfPlayPool and MatchPage


def test_a_callback_that_has_a_key_of_its_own_is_refused_among_the_users(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = ["--trainer.callbacks+=ReplayCheckpoint", "--runs_dir", str(tmp_path)]
    assert main(["fit", "--config", "point_robot", *twice]) == 1
    assert "trainer.callbacks must not contain a ReplayCheckpoint: set checkpoint instead" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", CALLBACKS)
def test_a_null_key_leaves_its_callback_out(key: str, made: dict[str, Any], tmp_path: Path) -> None:
    assert main(["fit", "--config", "point_robot", f"--{key}=null", "--runs_dir", str(tmp_path)]) == 0
    present = [each for each, kind in CALLBACKS.items() if any(isinstance(c, kind) for c in made["trainer"].callbacks)]
    assert present == [each for each in CALLBACKS if each != key]


def test_callbacks_come_in_our_order_with_the_users_own_before_the_checkpoint(
    made: dict[str, Any], tmp_path: Path
) -> None:
    own = ["--trainer.callbacks+=LearningRateMonitor", "--runs_dir", str(tmp_path)]
    assert main(["fit", "--config", "point_robot", *own]) == 0
    names = [type(callback).__name__ for callback in made["trainer"].callbacks]
    # Lightning puts what writes checkpoints last
    expected = ["AdaptationEvaluation", "EpisodeCollector", "LearningRateMonitor", "RunSummary", "ReplayCheckpoint"]
    assert [name for name in names if name in expected] == expected


def test_evaluate_plays_derk_on_the_backend_it_is_told() -> None:
    config = ROOT / "configs" / "derk.yaml"
    for told, backend in ((None, "simulator"), ("simulator", "simulator"), ("game", "game")):
        env = make_env(config, told)
        assert env._backend_choice.name == backend  # started at the first reset only
        assert len(env.tasks.test) == 64


def test_evaluate_plays_another_family_on_demand() -> None:
    overlay, name = family_overlay("opponents/new_styles")
    tasks = make_env([ROOT / "configs" / "derk.yaml", *overlay]).tasks
    assert {tasks[index].opponent for index in tasks.splits[name]} == {"disruptor", "runner"}
    assert family_overlay("known_styles") == ([], "known_styles")
    with pytest.raises(ValueError, match="one of the families blind_loadouts, .*, opponents, sentinels, got 'chess'"):
        family_overlay("chess/test")


def test_evaluate_keeps_the_options_of_the_configs_own_backend(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "configs" / "derk.yaml").read_text())
    content["data"]["env"]["init_args"]["backend_options"] = {"episode_ticks": 2400}
    config = tmp_path / "long.yaml"
    config.write_text(yaml.safe_dump(content))
    assert [make_env(config, told).horizon for told in ("simulator", "game")] == [300, 150]


def test_evaluate_on_a_backend_is_for_derk_alone() -> None:
    with pytest.raises(ValueError, match="--backend game requires Derk's Gym, but the env of .* has no backend"):
        make_env(ROOT / "configs" / "point_robot.yaml", "game")
