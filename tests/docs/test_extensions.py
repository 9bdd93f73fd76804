"""A contributor adds a part by one file outside of the package, names it in a config, and trains with it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pearl_lightning import PEARL, evaluate_adaptation, load_agent
from pearl_lightning.cli import main
from pearl_lightning.evaluation import read_history

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

MODULE = "contributed"
"""Module of the added part."""
UPDATES = 2

ENCODER = '''
import torch
from torch import Tensor, nn

from pearl_lightning.inference.encoders import ContextEncoder
from pearl_lightning.inference.encoders.encoder import gaussian_unless_empty


class SumEncoder(ContextEncoder):
    """Task posterior from the sum of embeddings, with the number of transitions in the last column of the state."""

    def __init__(self, context_features: int, latent_dim: int = 5, embedding: int = 4) -> None:
        super().__init__(context_features, latent_dim)
        self.embed, self.head = nn.Linear(context_features, embedding), nn.Linear(embedding, 2 * latent_dim)
        self.embedding = embedding

    def initial_state(self, tasks: int) -> Tensor:
        return torch.zeros(tasks, self.embedding + 1, device=self.head.weight.device)

    def update(self, state: Tensor, context: Tensor, played: Tensor | None = None) -> Tensor:
        embedded = self.embed(context)
        return state + torch.cat([embedded, torch.ones_like(embedded[..., :1])], dim=-1).sum(dim=1)

    def posterior(self, state: Tensor) -> tuple[Tensor, Tensor]:
        return gaussian_unless_empty(self.head(state[:, :-1]), state[:, -1])
'''

AUXILIARY_LOSS = '''
from torch import Tensor, nn

from pearl_lightning.inference.auxiliary import AuxiliaryLoss, AuxiliarySizes
from pearl_lightning.inference.inferred import Inferred


class RewardSum(AuxiliaryLoss):
    """Predicts the mean reward of the context from z, with a network of its own."""

    name = "reward_sum"

    def __init__(self, sizes: AuxiliarySizes, weight: float = 1.0) -> None:
        super().__init__(sizes)
        self.weight, self.predict = weight, nn.Linear(sizes.latent, 1)

    def loss(self, inferred: Inferred) -> Tensor:
        mean_reward = inferred.transitions[..., -1:].mean(dim=1)
        return self.weight * (self.predict(inferred.z) - mean_reward).square().mean()
'''

CONDITION = '''
import torch
from torch import Tensor

from pearl_lightning.inference.conditions import Condition


class SampleAndPosterior(Condition):
    """A sample of z, the posterior's mean and its standard deviation."""

    @property
    def width(self) -> int:
        return 3 * self.latent_dim

    def forward(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        return torch.cat([mean + std * noise, mean, std], dim=-1)
'''

ENVIRONMENT = '''
import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.tasks import TaskDistribution


class DriftTasks(TaskDistribution[float]):
    """Hidden drifts along a line."""

    hidden = "the drift"

    def __init__(self, count: int = 4) -> None:
        drifts = torch.linspace(-0.5, 0.5, count + 4).tolist()
        self.train, self.validation, self.test = drifts[:count], drifts[count : count + 2], drifts[count + 2 :]

    def describe(self, index: int) -> str:
        return f"drift {self[index]:+.2f}"


class Drift(MetaEnv):
    """Stay at the origin of a line; two agents per arena, one continuous component and one choice."""

    def __init__(self, *, arenas: int, tasks: DriftTasks) -> None:
        space = ActionSpace(low=(-1.0,), high=(1.0,), choices=(3,))
        super().__init__(arenas=arenas, tasks=tasks, action_space=space, agents=2, features=1, horizon=6)

    def begin(self, tasks: list[float]) -> Tensor:
        self.drift = torch.tensor(tasks).view(-1, 1, 1)
        self.position = torch.rand(self.arenas, 2, 1, generator=self.generator)
        self.steps = 0
        return self.position.clone()

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        self.position = self.position + 0.1 * (action[..., :1] * action[..., 1:] + self.drift)
        self.steps += 1
        reward = -self.position.abs().squeeze(-1)
        done = self.steps == self.horizon
        return {"observation": self.position.clone(), "reward": reward, "terminated": False, "truncated": done}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A contributor's working folder. Its modules can be imported, and are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop(MODULE, None)


def train(folder: Path, tiny_config: Path, code: str, overlay: dict[str, Any]) -> Path:
    """Write the part and its overlay, make two updates, and return the run's folder."""
    (folder / f"{MODULE}.py").write_text(code, encoding="utf-8")
    (folder / "overlay.yaml").write_text(yaml.safe_dump({"name": MODULE} | overlay), encoding="utf-8")
    short = ["--trainer.max_steps", str(UPDATES), "--trainer.val_check_interval", str(UPDATES)]
    assert main(["fit", "--config", str(tiny_config), "--config", "overlay.yaml", *short]) == 0
    return folder / "runs" / MODULE


def saved_config(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return content


def hyperparameters(run: Path) -> dict[str, Any]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == UPDATES
    parameters: dict[str, Any] = checkpoint["hyper_parameters"]
    return parameters


def rebuilt(run: Path) -> PEARL:
    agent = load_agent(run / "checkpoints" / "last.ckpt")
    assert isinstance(agent, PEARL)
    return agent


def metrics(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_an_encoder_is_one_file(folder: Path, tiny_config: Path) -> None:
    encoder = {"class_path": f"{MODULE}.SumEncoder", "init_args": {"latent_dim": 3}}
    run = train(folder, tiny_config, ENCODER, {"model": {"encoder": encoder}})
    assert saved_config(run)["model"]["init_args"]["encoder"]["class_path"] == f"{MODULE}.SumEncoder"
    assert f"{MODULE}.SumEncoder" in str(hyperparameters(run)["encoder"])
    agent = rebuilt(run)
    assert (type(agent.encoder).__name__, agent.encoder.latent_dim) == ("SumEncoder", 3)
    mean, std = agent.encoder(torch.randn(1, 10, agent.context.features))
    assert mean.shape == std.shape == (1, 3)
    assert len(metrics(run, "train/kl")) == UPDATES


def test_an_auxiliary_loss_is_one_file(folder: Path, tiny_config: Path) -> None:
    loss = {"class_path": f"{MODULE}.RewardSum", "init_args": {"weight": 0.5}}
    run = train(folder, tiny_config, AUXILIARY_LOSS, {"model": {"auxiliary": [loss]}})
    [named] = saved_config(run)["model"]["init_args"]["auxiliary"]
    assert named["class_path"] == f"{MODULE}.RewardSum"
    assert f"{MODULE}.RewardSum" in str(hyperparameters(run)["auxiliary"])
    logged = metrics(run, "loss/reward_sum")
    assert len(logged) == UPDATES
    assert all(value > 0 for value in logged)
    [rebuilt_loss] = rebuilt(run).auxiliary
    assert (type(rebuilt_loss).__name__, rebuilt_loss.weight) == ("RewardSum", 0.5)


def test_a_condition_is_one_file(folder: Path, tiny_config: Path) -> None:
    condition = f"{MODULE}.SampleAndPosterior"
    overlay = {"model": {"encoder": {"latent_dim": 3}, "belief": {"condition": condition}}}
    run = train(folder, tiny_config, CONDITION, overlay)
    assert condition in str(saved_config(run)["model"]["init_args"]["belief"]["condition"])
    assert condition in str(hyperparameters(run)["belief"])
    agent = rebuilt(run)
    width = 9  # three numbers of each of z, mean and standard deviation
    assert agent.prior(arenas=2).condition().shape == (2, width)
    assert next(agent.actor.parameters()).shape[-1] == agent.observation_features + width


def test_an_environment_with_its_tasks_is_one_file(folder: Path, tiny_config: Path) -> None:
    tasks = {"class_path": f"{MODULE}.DriftTasks", "init_args": {"count": 6}}
    env = {"class_path": f"{MODULE}.Drift", "init_args": {"arenas": 4, "tasks": tasks}}
    run = train(folder, tiny_config, ENVIRONMENT, {"data": {"env": env}})
    saved = saved_config(run)["data"]["init_args"]["env"]
    assert (saved["class_path"], saved["init_args"]["tasks"]["class_path"]) == (env["class_path"], tasks["class_path"])
    parameters = hyperparameters(run)
    assert parameters["observation_features"] == 1
    history = read_history(run / "adaptation.json")
    assert [evaluation.update for evaluation in history] == [0, UPDATES]
    assert all(row.return_mean < 0 for evaluation in history for row in evaluation.table.episodes)

    module = sys.modules[MODULE]
    env_again = module.Drift(arenas=4, tasks=module.DriftTasks(count=6))
    agent = rebuilt(run)
    assert agent.action_space == env_again.action_space
    result = evaluate_adaptation(env_again, agent, env_again.tasks.test_indices, episodes=2, matches=2)
    assert result.returns.shape == (2, 2, 2)
