"""A run stores its tasks, and is neither resumed nor evaluated on others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from environments import NumberedTasks

from pearl_lightning.cli import main
from pearl_lightning.commands.environments import make_env
from pearl_lightning.commands.stored_tasks import check_tasks, store_tasks
from pearl_lightning.derk.tasks import BountyTasks
from pearl_lightning.envs.tasks import TaskDistribution

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def test_a_run_stores_its_tasks_and_refuses_others(
    one_update: Path, tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, last = one_update, str(one_update / "checkpoints" / "last.ckpt")
    written, tasks = (folder / "tasks.json").read_bytes(), make_env(folder / "config.yaml").tasks
    stored = json.loads(written)
    assert [tuple(task["goal"]) for task in stored["test"]] == [task.goal for task in tasks.test]
    assert [len(stored[name]) for name in ("train", "validation", "test")] == [
        len(tasks.splits[name]) for name in ("train", "validation", "test")
    ]

    # as if the version of today drew the second validation task in another way
    stored["validation"][1]["goal"] = [0.5, 0.5]
    (folder / "tasks.json").write_text(json.dumps(stored))
    config = (folder / "config.yaml").read_text()
    resumed = ["fit", "--config", str(folder / "config.yaml"), "--ckpt_path", last, "--trainer.max_steps", "2"]
    for command in (["evaluate", last], resumed):
        assert main(command) == 1
        error = capfd.readouterr().err
        assert f"differ from those in {folder / 'tasks.json'}, first at validation task 1: use the config" in error
    assert (folder / "config.yaml").read_text() == config
    assert main(["evaluate", last, "--config", str(tiny_config), "--matches", "2"]) == 0  # asked for in so many words

    (folder / "tasks.json").write_text(written.decode()[:40])
    assert main(["evaluate", last]) == 1
    assert "tasks.json is not valid JSON: delete it to play the tasks of the config" in capfd.readouterr().err
    (folder / "tasks.json").unlink()
    assert main(resumed) == 0
    assert (folder / "tasks.json").read_bytes() == written
    other = yaml.safe_load(config)
    other["data"]["init_args"]["env"]["init_args"]["tasks"]["init_args"]["seed"] = 7
    (folder / "config.yaml").write_text(yaml.safe_dump(other))
    assert main(["evaluate", last]) == 1
    assert "first at train task 0" in capfd.readouterr().err


@pytest.mark.parametrize("tasks", [NumberedTasks(), BountyTasks(train_tasks=3, validation_tasks=2)])
def test_any_familys_tasks_are_known_again(tasks: TaskDistribution, tmp_path: Path) -> None:
    store_tasks(tasks, tmp_path)
    check_tasks(tasks, tmp_path)
    stored = json.loads((tmp_path / "tasks.json").read_text())
    if isinstance(tasks, BountyTasks):
        assert stored["train"][1] == json.loads(json.dumps(asdict(tasks.train[1])))
    else:
        assert stored["train"] == [f"task {index}" for index in range(6)]
    for fewer in (NumberedTasks(test_tasks=2), BountyTasks(train_tasks=3, validation_tasks=2, seed=1)):
        with pytest.raises(ValueError, match=r"differ from those in .*tasks\.json, first at (test|train) task"):
            check_tasks(fewer, tmp_path)
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks.json").mkdir()  # as a disk that is full at the end
    with pytest.raises(OSError, match=r"cannot write .*tasks\.json: "):
        store_tasks(NumberedTasks(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.json"]
