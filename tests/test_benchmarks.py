"""The comparisons of docs/results: the settings that differ between two runs, and how runs are combined."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from benchmarks import (
    collection,
    curves,
    environments,
    locomotion,
    parameters,
    point_robot,
    update,
    update_ratio,
    within_derk,
    within_episode,
)
from benchmarks.ablations import ABLATIONS, PLACES
from benchmarks.families import OTHERS, budget, check_budget
from benchmarks.family_measures import at_equal_seconds, pool_seeds
from benchmarks.pages import update_ratio as ratio_pages
from benchmarks.pages import within_episode as within_pages
from benchmarks.pages.tables import read_rows
from benchmarks.pages.within_episode import AGENTS
from benchmarks.runs import Run, train_all
from pearl_lightning.cli import main
from pearl_lightning.commands.configs import ready_made
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
from pearl_lightning.evaluation import AdaptationResult, Evaluation, write_history

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

ROOT = Path(__file__).parent.parent


def flat(settings: Any, name: str = "") -> dict[str, Any]:
    """Settings by their dotted names; entries of a list by their numbers."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if not isinstance(settings, dict):
        return {name: settings}
    return {inner: value for key, part in settings.items() for inner, value in flat(part, f"{name}.{key}").items()}


def settings(family: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    configs = [f"--config={ROOT}/configs/{name}.yaml" for name in ("derk", PLACES[family][0]) if name is not None]
    with pytest.raises(SystemExit, match="0"):
        main(["fit", *configs, *options, "--print_config"])
    return flat(yaml.safe_load(capsys.readouterr().out))


def named_by(option: str) -> list[str]:
    """Dotted names of the settings that an option of the command line gives."""
    name, _, given = option.replace("--", ".", 1).partition("=")
    value = yaml.safe_load(given)
    return [f"{name}{inner}" for inner in flat(value)] if isinstance(value, dict) else [name]


@pytest.mark.parametrize("family", ABLATIONS)
def test_an_ablation_changes_what_it_names_and_nothing_else(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    as_it_is = settings(family, [], capsys)
    for variant, options in ABLATIONS[family].items():
        changed = settings(family, options, capsys)
        differing = {
            name for name in as_it_is.keys() | changed.keys() if as_it_is.get(name, "-") != changed.get(name, "-")
        }
        named = [name for option in options for name in named_by(option)]
        assert differing, variant
        for each in differing:
            within = any(f"{each}.".startswith(f"{name}.") for name in named)
            around = as_it_is.get(each, "-") is None and any(name.startswith(f"{each}.") for name in named)
            assert within or around, (variant, each)
        plays_itself = any("selves:" in str(value) for value in changed.values())
        assert plays_itself == any(str(value).endswith("SelfPlayPool") for value in changed.values())


def test_demonstrations_alone_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    as_it_is = settings("opponents", [], capsys)
    changed = settings("opponents", ABLATIONS["opponents"]["without demonstrations"], capsys)
    assert all(".init_args.demonstrat" in name for name in as_it_is if as_it_is[name] != changed.get(name))
    assert not any("Sniper" in str(value) for value in changed.values())


def test_the_matches_of_several_seeds_count_alike() -> None:
    generator = np.random.default_rng(0)

    def result(shift: float) -> AdaptationResult:
        returns = generator.normal(size=(3, 4, 2)) + shift
        return AdaptationResult((5, 6, 7), returns, np.sign(returns), np.zeros((3, 4, 2, 1)), np.ones((3, 4, 2, 1)), 24)

    seeds = [result(shift) for shift in (0.0, 1.0, 5.0)]
    pooled = pool_seeds(seeds)
    assert (pooled.tasks, pooled.returns.shape, pooled.env_steps) == ((5, 6, 7), (3, 12, 2), 72)
    table, tables = pooled.table(), [each.table() for each in seeds]
    assert table.episodes[1].return_mean == pytest.approx(np.mean([each.episodes[1].return_mean for each in tables]))
    assert table.episodes[1].win_rate == pytest.approx(np.mean([each.episodes[1].win_rate for each in tables]))
    assert table.gain.mean == pytest.approx(np.mean([each.gain.mean for each in tables]))


@pytest.mark.parametrize(("agent", "updates"), [("ppo", 4 * 40), ("evolution_strategy", 4)])
def test_a_baseline_has_pearls_steps_and_seconds_at_least(agent: str, updates: int) -> None:
    pearl = {"env_steps": 3 * 9600 + 1, "seconds": 100.4}  # of iterations of 9,600
    options = budget(agent, pearl)
    assert "--trainer.max_time={'seconds': 101}" in options
    assert f"--trainer.min_steps={updates}" in options
    check_budget(agent, {"env_steps": 4 * 9600, "seconds": 101.0}, pearl)
    for facts in ({"env_steps": 3 * 9600, "seconds": 101.0}, {"env_steps": 4 * 9600, "seconds": 100.0}):
        with pytest.raises(RuntimeError, match=f"{agent} had .*: train it again"):
            check_budget(agent, facts, pearl)


@pytest.mark.parametrize("agent", OTHERS)
def test_a_baselines_iteration_takes_as_many_updates_as_its_config_has(agent: str) -> None:
    overlay, updates = OTHERS[agent]
    data = yaml.safe_load((ROOT / "configs" / f"{overlay}.yaml").read_text())["data"]["init_args"]
    assert data["minibatches"] * data["epochs"] == updates


def test_equal_seconds_are_those_of_the_faster_run(tmp_path: Path) -> None:
    def made(name: str, seconds: float, returns: list[float]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "summary.json").write_text(json.dumps({"updates": 300, "seconds": seconds}))
        lines = [f"{step},{step},{score - 1},{score}" for step, score in zip((0, 99, 199, 299), returns, strict=True)]
        lines.insert(2, "150,150,,")  # a row of something else
        head = "step,env_steps,evaluation/return_0,evaluation/return_1"
        (folder / "metrics.csv").write_text("\n".join([head, *lines]) + "\n")
        return folder

    fast, slow = made("fast", 90.0, [1, 2, 3, 4]), made("slow", 130.0, [10, 20, 30, 40])
    between = 30 + 10 * (300 * 90 / 130 - 200) / 100  # 207 of its 300 updates were done by then
    assert at_equal_seconds([fast], [slow]) == pytest.approx([4, between])
    assert at_equal_seconds([slow, fast], [fast, fast]) == pytest.approx([(between + 4) / 2, 4])


def test_matches_on_different_tasks_are_not_put_together() -> None:
    nothing = np.zeros((1, 4, 2, 1))
    results = [AdaptationResult((task,), np.zeros((1, 4, 2)), None, nothing, nothing, 8) for task in (3, 4)]
    with pytest.raises(ValueError, match="results must have the same tasks to be pooled"):
        pool_seeds(results)


def test_what_was_trained_is_kept_what_was_interrupted_goes_on_and_a_failure_stops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fit(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        folder = Path(command[command.index("--config") + 1]).parent
        if "--name" in command:
            folder = tmp_path / command[command.index("--name") + 1]
            folder.mkdir()  # fails where an interrupted one was left
        if folder.name == "fails":
            return subprocess.CompletedProcess(command, 1, "", "no room")
        (folder / "summary.json").write_text(json.dumps({"seconds": 3.0}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("benchmarks.runs.subprocess.run", fit)
    for name, left in (("done", "summary.json"), ("stopped", "checkpoints/last.ckpt"), ("begun", "config.yaml")):
        (tmp_path / name / left).parent.mkdir(parents=True)
        (tmp_path / name / left).write_text(json.dumps({"seconds": 2.0}))
        config = yaml.safe_load((ROOT / "configs" / "derk.yaml").read_text())
        made_with = {"configs": [config], "seed": 5, "options": ["--threads", "1"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(made_with))
    runs = {name: Run(name, ["derk"], 5, ["--threads", "1"]) for name in ("done", "stopped", "begun", "new")}
    summaries = train_all(runs, tmp_path, 1)
    assert {name: summary["seconds"] for name, summary in summaries.items()} == {
        "done": 2.0,
        "stopped": 3.0,
        "begun": 3.0,
        "new": 3.0,
    }
    resumed, begun, new = commands
    last = str(tmp_path / "stopped" / "checkpoints" / "last.ckpt")
    assert resumed[4:] == ["--config", str(tmp_path / "stopped" / "config.yaml"), "--ckpt_path", last]
    for command, name in ((begun, "begun"), (new, "new")):
        assert command[command.index("--name") + 1] == name
        assert command[-2:] == ["--threads", "1"]

    with pytest.raises(RuntimeError, match="fails failed with status 1: no room"):
        train_all({name: Run(name, ["derk"], 5) for name in ("fails", "later", "latest")}, tmp_path, 1)
    assert not (tmp_path / "latest").exists()

    commands.clear()
    train_all(runs, tmp_path, 1)
    assert not commands
    for other in (Run("new", ["derk"], 6, ["--threads", "1"]), Run("new", ["derk"], 5), Run("new", ["point_robot"], 5)):
        with pytest.raises(RuntimeError, match=r"new was made with other settings, according to new\.json"):
            train_all({"new": other}, tmp_path, 1)
    (tmp_path / "new.json").unlink()  # nobody knows any more
    with pytest.raises(RuntimeError, match="new was made with other settings"):
        train_all({"new": runs["new"]}, tmp_path, 1)


def test_the_hashed_combinations_hold_every_config_that_needs_no_other_machine() -> None:
    hashed = {name for combination in parameters.COMBINATIONS for name in combination}
    assert set(ready_made()) - hashed == {"ddp", "derk_game", "derk_gpu", "ray"}


def test_a_shrunk_config_changes_the_sizes_alone() -> None:
    config = yaml.safe_load(ready_made()["derk"].read_text(encoding="utf-8"))
    small = parameters.shrunk(config)
    assert small["model"]["sac"]["temperature"] == config["model"]["sac"]["temperature"]
    assert small["model"]["sac"]["discount"] == config["model"]["sac"]["discount"]
    assert small["data"]["env"]["init_args"]["arenas"] == 4
    assert parameters.shrunk(small) == small


def test_the_hash_of_a_config_is_repeated_and_depends_on_the_config(tmp_path: Path) -> None:
    runs = [("point_robot",), ("point_robot",), ("sparse_point_robot",)]
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    first, second, other = map(parameters.parameters_hash, runs, folders)
    assert first == second != other


def evaluated(updates: int, env_steps: int, *returns: float, protocol: str = "pearl", success: bool = False) -> Any:
    """An evaluation of two tasks, whose second task returns 2 more than the first."""
    scores = np.stack([np.array([returns]) - 1, np.array([returns]) + 1])
    nothing = np.zeros((*scores.shape, 0))
    statistics = {"success": scores > 0} if success else {}
    result = AdaptationResult((5, 6), scores, None, nothing, nothing, 8, statistics=statistics, protocol=protocol)
    return Evaluation(updates, env_steps, result.table())


def test_a_curve_has_a_row_per_evaluation_of_the_last_protocol(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    history = [evaluated(0, 0, 1.0, 5.0, protocol="adaptive")]
    history += [evaluated(updates, 10 * updates, -3.0, updates / 10, success=True) for updates in (0, 50, 100)]
    write_history(history, run / "adaptation.json")
    (run / "summary.json").write_text(json.dumps({"updates": 100, "seconds": 30.0}))
    (run / "config.yaml").write_text("name: run\n")
    curves.main([str(run), str(tmp_path / "new" / "run.csv")])
    head, *rows = (tmp_path / "new" / "run.csv").read_text().splitlines()
    names = "env_steps,updates,seconds,return_0,return_1,success_0,success_1,gain,gain_low,gain_high,protocol"
    assert head == names
    assert rows[1] == "500,50,15.0,-3.0,5.0,0.0,1.0,8.0,nan,nan,pearl"
    curve = curves.read_curve(tmp_path / "new" / "run.csv")
    assert (curve.protocol, curve.episodes, curve.final("seconds")) == ("pearl", 2, 30.0)
    assert curve.last_returns.tolist() == [0.0, 5.0, 10.0]
    assert curves.value_at(curve.env_steps, curve.last_returns, 750) == 7.5
    assert np.isnan(curves.value_at(curve.env_steps, curve.last_returns, 1001))
    (tmp_path / "empty.csv").write_text("env_steps,updates\n")
    with pytest.raises(ValueError, match=r"empty\.csv must be a file of benchmarks\.curves"):
        curves.read_curve(tmp_path / "empty.csv")


def test_the_missing_runs_of_a_page_are_trained_with_their_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Run] = []
    monkeypatch.setattr("benchmarks.curve_runs.train_all", lambda runs, *_: wanted.extend(runs.values()))
    options = ["--families", "ant_goal", "--seeds", "0", "2", "--data", str(tmp_path), "--runs_dir", str(tmp_path)]
    locomotion.main([*options, "--reference", "--trainer.max_steps=3"])
    assert [run.name for run in wanted] == ["mujoco_ant_goal-seed0_reference", "mujoco_ant_goal-seed2_reference"]
    assert wanted[0].configs == ["locomotion", "reference_locomotion", "mujoco/ant_goal"]
    assert list(wanted[1].options) == ["--threads", "1", "--evaluation.protocol", "pearl", "--trainer.max_steps=3"]


def test_each_agent_that_adapts_within_the_episode_is_trained_on_its_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Run] = {}
    monkeypatch.setattr("benchmarks.within_episode.train_all", lambda runs, *_: wanted.update(runs))
    options = ["--families", "cheetah_vel", "point_robot_dense", "--data", str(tmp_path), "--runs_dir", str(tmp_path)]
    within_episode.main([*options, "--seeds", "3"])
    assert list(wanted) == [
        "within_cheetah_vel-seed3",
        "within_point_robot_dense-seed3",
        "rl2_point_robot_dense-seed3",
    ]
    assert wanted["within_cheetah_vel-seed3"].configs == ["locomotion", "mujoco/cheetah_vel"]
    assert list(wanted["within_cheetah_vel-seed3"].options) == ["--threads", "1", "--model.belief.observe_every", "20"]
    assert wanted["rl2_point_robot_dense-seed3"].configs == ["point_robot", "baselines/rl2"]


def test_an_agent_that_adapts_within_derks_episode_is_trained_played_and_gets_a_row_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[tuple[str, str, int], Run] = {}
    monkeypatch.setattr(within_derk, "train_all", lambda runs, *_: wanted.update(runs))
    returns = np.array([[[1.0, 2.0, 4.0], [3.0, 4.0, 5.0]]])
    outcomes = np.sign(returns - 2.5)
    z = np.zeros((1, 2, 3, 0))
    played = AdaptationResult(tasks=(0,), returns=returns, outcomes=outcomes, z_mean=z, z_std=z, env_steps=6)
    monkeypatch.setattr(within_derk, "play", lambda *_: played)
    curves: list[tuple[str, str]] = []
    monkeypatch.setattr(within_derk, "write_curve", lambda run, path: curves.append((run.name, path.name)))
    options = ["--families", "opponents", "--data", str(tmp_path), "--runs_dir", str(tmp_path)]

    def rows(seed: str) -> list[dict[str, str]]:
        folder = tmp_path / f"posterior_opponents-seed{seed}"
        folder.mkdir()
        (folder / "summary.json").write_text('{"env_steps": 600, "seconds": 71.6}', encoding="utf-8")
        within_derk.main([*options, "--agents", "posterior", "--seeds", seed])
        return read_rows(tmp_path / within_derk.FILE)

    assert [row["seed"] for row in rows("1")] == ["1", "1"]  # two splits
    assert curves == [("posterior_opponents-seed1", "posterior_opponents-seed1.csv")]
    found = rows("0")
    assert [(row["seed"], row["test_tasks"]) for row in found] == [
        (seed, split) for split in ("known_styles", "new_styles") for seed in ("0", "1")
    ]
    numbers = ["family", "agent", "matches", "return_0", "return_2", "won_0_percent", "won_2_percent", "seconds"]
    assert [found[0][name] for name in numbers] == [
        "opponents",
        "posterior",
        "2",
        "2.00",
        "4.50",
        "50.0",
        "100.0",
        "72",
    ]
    run = wanted["posterior", "opponents", 0]
    assert run.configs == ["derk", "families/opponents"]
    given = dict(zip(run.options[::2], run.options[1::2], strict=True))
    assert given["--model.belief.condition"] == "PosteriorCondition"
    assert given["--model.belief.observe_every"] == "10"
    assert within_derk.make_run("rl2", "opponents", 0, []).configs[-1] == "baselines/rl2"
    wanted.clear()
    within_derk.main([*options, "--seeds", "1"])
    assert [agent for agent, _, _ in wanted] == [agent for agent in within_derk.AGENTS if agent != "within_mean"]


def test_a_ratio_of_updates_to_steps_is_that_of_the_runs_collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[tuple[str, int], Run] = {}
    monkeypatch.setattr("benchmarks.update_ratio.train_all", lambda runs, *_: wanted.update(runs))
    monkeypatch.setattr("benchmarks.update_ratio.write_curve", lambda *_: None)
    update_ratio.main(["--seeds", "5", "--runs_dir", str(tmp_path)])
    config = yaml.safe_load(ready_made()["point_robot"].read_text(encoding="utf-8"))
    config["collector"] |= yaml.safe_load(ready_made()["few_steps"].read_text(encoding="utf-8"))["collector"]
    episodes = [config["collector"][f"{kind}_episodes"] for kind in ("prior", "posterior", "rl")]
    steps = config["collector"]["tasks_per_iteration"] * sum(episodes) * PointRobot(arenas=1, tasks=GoalTasks()).horizon
    for (ratio, seed), run in wanted.items():
        assert (run.seed, run.configs) == (seed, ["point_robot", "few_steps"])
        options = dict(zip(run.options[::2], run.options[1::2], strict=True))
        assert int(options["--collector.every_n_updates"]) / steps == pytest.approx(float(Fraction(ratio)))
        assert options["--trainer.val_check_interval"] == options["--collector.every_n_updates"]
    few = wanted["1/4", 5].options
    assert few[few.index("--collector.every_n_updates") + 1] == str(config["collector"]["every_n_updates"])


def test_the_first_evaluation_with_a_return_says_what_it_took(tmp_path: Path) -> None:
    assert ratio_pages.finding(tmp_path) == ["No ratio has been run yet."]
    head = "env_steps,updates,seconds,return_0,return_1,return_2,protocol\n"
    slow = ["0,0,0,-20,-20,-20", "100,5,60,-18,-9,-9", "200,10,120,-18,-8.5,-8"]
    fast = ["0,0,0,-20,-20,-20", "100,50,600,-18,-7.9,-7", "200,90,999,-18,-8.1,-7"]
    for every, rows in ((100, slow), (2000, fast)):
        lines = "".join(f"{row},adaptive\n" for row in rows)
        (tmp_path / f"update_ratio_{every}-seed0.csv").write_text(head + lines, encoding="utf-8")
    assert ratio_pages.finding(tmp_path) == [
        "To a return of -8 in the second episode, the dense point robot needs this number of environment steps: "
        "more than 200 with 1/80 updates per step, 100 with 1/4 updates per step."
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in ratio_pages.returns(tmp_path)[2:]]
    assert [row[:5] for row in rows] == [["1/80", "0", "–", "–", "-18.0"], ["1/4", "0", "100", "600", "-18.0"]]
    assert [row[-3:] for row in rows] == [["10", "200", "120"], ["90", "200", "999"]]


def write_returns(path: Path, *returns: float) -> None:
    names = [f"return_{number}" for number in range(len(returns))]
    numbers = ["1000", "10", "5", *map(str, returns), "0", "0", "0"]
    head = ["env_steps", "updates", "seconds", *names, "gain", "gain_low", "gain_high", "protocol"]
    path.write_text(",".join(head) + "\n" + ",".join([*numbers, "adaptive"]) + "\n", encoding="utf-8")


def test_the_first_episodes_of_agents_that_update_their_beliefs_differently_are_compared(tmp_path: Path) -> None:
    assert within_pages.finding(tmp_path) == ["No agent that adapts within the episode has been run yet."]
    write_returns(tmp_path / "point_robot_dense-seed0.csv", -18, -8, -7)
    write_returns(tmp_path / "point_robot_dense-seed1.csv", -16, -8, -7)
    write_returns(tmp_path / "within_point_robot_dense-seed0.csv", -12, -8, -7)
    write_returns(tmp_path / "rl2_point_robot_dense-seed0.csv", -15, -14, -13)
    [sentence] = within_pages.finding(tmp_path)
    assert sentence.endswith("the first episode's return changes from -17.0 to -12.0 (point robot, dense).")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in within_pages.returns(tmp_path)[2:]]
    assert [row[1:4] for row in rows] == [
        ["PEARL, belief updated between episodes", "0", "-18.0"],
        ["PEARL, belief updated between episodes", "1", "-16.0"],
        ["PEARL, belief also updated within episodes", "0", "-12.0"],
        ["RL²", "0", "-15.0"],
    ]


def test_derks_agents_are_compared_on_the_same_test_tasks(tmp_path: Path) -> None:
    head = "return_0,return_1,return_2,won_0_percent,won_1_percent,won_2_percent"
    usual = ["known styles,its own,0,10,12,13,70,80,90", "known styles,another task's,0,1,1,1,1,1,1"]
    lines = [f"test_tasks,context,seed,{head}", *usual, "new styles,its own,0,2,2,2,2,2,2"]
    (tmp_path / "opponents_seeds.csv").write_text("\n".join(lines), encoding="utf-8")
    assert within_pages.derk(tmp_path) == []
    rows = ["opponents,known_styles,within,4,12,12.5,13,84.5,86,90,3000,50"]
    rows += [
        "opponents,known_styles,between,1,11,12,13,75,80,85,2000,",
        "opponents,new_styles,within,4,3,3,3,3,3,3,9,9",
    ]
    lines = [f"family,test_tasks,agent,seed,{head},env_steps,seconds", *rows]
    (tmp_path / "within_derk.csv").write_text("\n".join(lines), encoding="utf-8")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in within_pages.derk(tmp_path)[2:]]
    assert [row[0] for row in table] == ["Opponents, known styles"] * 3
    assert [row[1:] for row in table] == [
        [AGENTS["between"], "1", "11", "12", "13", "75 %", "80 %", "85 %", "2,000", "–"],
        [AGENTS["within"], "4", "12", "12.5", "13", "84.5 %", "86 %", "90 %", "3,000", "50"],
        [AGENTS["within_mean"], "0", "10", "12", "13", "70 %", "80 %", "90 %", "–", "–"],  # the config's agent
    ]
    assert within_pages.finding(tmp_path)[0].endswith("changes from 11.0 to 12.0 (Opponents, known styles).")


def finished_run(folder: Path) -> Path:
    """A run's folder with an evaluation before the first update and one at the end."""
    folder.mkdir(parents=True)
    write_history(
        [evaluated(updates, 10 * updates, -3.0, updates / 10) for updates in (0, 50)], folder / "adaptation.json"
    )
    (folder / "summary.json").write_text(json.dumps({"updates": 50, "seconds": 30.0}))
    (folder / "config.yaml").write_text("name: run\n")
    return folder


def test_runs_that_exist_become_files_without_training(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs" / "mujoco_ant_dir-seed1")
    locomotion.main(["--no-train", "--data", str(tmp_path / "data"), "--runs_dir", str(tmp_path / "runs")])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mujoco_ant_dir-seed1.csv"]
    assert curves.read_curve(tmp_path / "data" / "mujoco_ant_dir-seed1.csv").last_returns.tolist() == [0.0, 5.0]


def test_the_point_robot_has_a_file_per_variant_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[Run] = []
    monkeypatch.setattr("benchmarks.point_robot.train_all", lambda runs, *_: wanted.extend(runs.values()))
    for variant in ("dense", "sparse"):
        finished_run(tmp_path / "runs" / f"point_robot_{variant}-seed4")
    point_robot.main(["--seeds", "4", "--data", str(tmp_path / "data"), "--runs_dir", str(tmp_path / "runs")])
    assert [run.configs for run in wanted] == [["point_robot"], ["sparse_point_robot"]]
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == ["point_robot_dense-seed4.csv", "point_robot_sparse-seed4.csv"]


def test_collection_and_the_plain_loop_are_measured_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    small = ["--environments", "pendulum", "--arenas", "2", "--rounds", "2", "--steps", "20"]
    environments.main([*small, "--json", str(tmp_path / "rates.json")])
    rates = json.loads((tmp_path / "rates.json").read_text())["pendulum"]
    assert set(rates) == {"collection", "loop", "ratio"}
    assert all(rate > 0 for rate in rates.values())


def test_the_parts_of_collection_are_all_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    plays = collection.make_plays("point_robot", 4)
    played, evaluated = plays["episode"](), plays["evaluation"]()
    assert (played["steps"], evaluated["steps"]) == (4 * 20, 2 * 4 * 20)
    assert played["simulator"] == 0.0
    assert min(played["policy"], played["environment"], played["recording"]) > 0
    assert sum(played[part] for part in collection.PARTS) == pytest.approx(played["seconds"])


class FakePlaying:
    """Plays at given rates, one after another."""

    def __init__(self, *rates: float) -> None:
        self.rates = iter(rates)

    def play(self, case: str, arenas: int, what: str) -> dict[str, float]:
        seconds = 0.5 if what == "evaluation" else 1 / next(self.rates)
        return {"steps": 1, "seconds": seconds} | dict.fromkeys(collection.PARTS, seconds / 4)


def test_ratios_are_those_of_the_same_round_and_the_first_one_does_not_count() -> None:
    ours, other = FakePlaying(99.0, 2.0, 4.0, 9.0), FakePlaying(1.0, 1.0, 1.0, 3.0)
    found = collection.measure([ours, other], "derk", 64, rounds=3)  # type: ignore[list-item]
    assert found["agent_steps_per_cpu_second"] == [4.0, 1.0]
    assert found["ratio"] == 3.0  # the median of 2, 4 and 3
    assert found["evaluation_cost"] == 0.5 * 4.0
    assert found["microseconds_per_agent_step"][0] == dict.fromkeys(collection.PARTS, 1e6 / 4 / 4)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository's commits")
def test_another_commit_is_read_from_the_repository() -> None:
    with collection.files_of("HEAD") as folder:
        assert (folder / "pearl_lightning" / "callbacks" / "collector.py").is_file()  # through a symbolic link
    assert not folder.exists()


def test_the_share_of_the_gemm_rate_follows_from_counted_operations_and_times() -> None:
    found = update.measure_config("point_robot", 30, 1)
    expected = found["gflop"] / (found["milliseconds"] / 1e3) / found["gemm_gflop_per_second"]
    assert found["share_of_gemm_rate"] == pytest.approx(expected)
    assert 0 < found["share_of_gemm_rate"] < 1
