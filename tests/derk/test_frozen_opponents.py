"""A trained agent that plays the other team."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_backend import random_observations
from pytorch_lightning import Trainer

from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.interface import ACTION_SPACE, OBSERVATION_FEATURES
from pearl_lightning.envs.derk.opponents import make_opponent
from pearl_lightning.envs.derk.tasks import OpponentTasks
from pearl_lightning.frozen import CheckpointOpponent
from pearl_lightning.pearl import PEARL
from pearl_lightning.rollout import play_episode


def saved(agent: PEARL, path: Path) -> str:
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_steps=0)
    trainer.strategy.connect(agent)
    trainer.save_checkpoint(path)
    return str(path)


@pytest.fixture(scope="module")
def agent() -> PEARL:
    torch.manual_seed(0)
    return PEARL(OBSERVATION_FEATURES, ACTION_SPACE)


@pytest.fixture(scope="module")
def checkpoint(agent: PEARL, tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(agent, tmp_path_factory.mktemp("frozen") / "agent.ckpt")


def test_it_plays_what_the_agent_would_with_z_at_the_priors_mean(agent: PEARL, checkpoint: str) -> None:
    opponent = make_opponent(f"checkpoint:{checkpoint}")
    observation = random_observations(4, 3, generator=torch.Generator().manual_seed(0))
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    expected = agent.act(observation, torch.zeros(4, agent.encoder.latent_dim), generator=first)
    assert torch.equal(opponent(observation, second), expected)


def test_a_task_can_name_it_among_the_styles(checkpoint: str) -> None:
    """Home and away are played by the same agent here, so neither side is idle: both teams' units move."""
    tasks = OpponentTasks(styles=["idle", f"checkpoint:{checkpoint}"], new_styles=[], train_tasks=2, test_tasks=0)
    env = DerkEnv(arenas=2, tasks=tasks, backend_options={"threads": 1})
    env.set_tasks([0, 1])
    play_episode(env, lambda observation, step: torch.zeros(2, 3, 5))
    place = env._backend.state()["position"][:, 5:, :2]  # type: ignore[union-attr]
    start = 128 - torch.tensor([(52.7, 58.4), (58.2, 58.2), (60.4, 54.8)])
    moved = (place - start).norm(dim=-1) > 1.5  # metres; spawns vary by 1 in x and y
    assert not moved[0].any()
    assert moved[1].any()
    env.close()


def test_what_cannot_play_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no checkpoint nowhere.ckpt"):
        make_opponent("checkpoint:nowhere.ckpt")
    other = saved(PEARL(3, ACTION_SPACE), tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="an opponent sees 64 numbers .* sees 3 and has"):
        CheckpointOpponent(other)
    with pytest.raises(ValueError, match="unknown opponent 'wizard'; known ones: random, .*, checkpoint:..."):
        make_opponent("wizard")
