"""A trained agent that plays the other team."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_backend import random_observations
from pytorch_lightning import Trainer

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import ACTION_SPACE, OBSERVATION_FEATURES
from pearl_lightning.derk.opponents import make_opponent
from pearl_lightning.derk.opponents.checkpoint import CheckpointOpponent
from pearl_lightning.derk.opponents.past_selves import PastSelves
from pearl_lightning.derk.tasks import OpponentTasks
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import PosteriorCondition


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
    opponent.begin(4, second)
    for _ in range(3):  # as long as the episode lasts
        expected = agent.act(observation, torch.zeros(4, agent.encoder.latent_dim), generator=first)
        assert torch.equal(opponent(observation, second), expected)


def test_an_agent_that_observes_within_episodes_still_plays_at_the_priors_mean(tmp_path: Path) -> None:
    """Whatever its condition; who meets it meets the same opponent in every step."""
    torch.manual_seed(0)
    belief = BeliefConfig(condition=PosteriorCondition, observe_every=2, resample_every=3)
    agent = PEARL(OBSERVATION_FEATURES, ACTION_SPACE, belief=belief)
    opponent = CheckpointOpponent(saved(agent, tmp_path / "agent.ckpt"))
    observation = random_observations(4, 3, generator=torch.Generator().manual_seed(0))
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    latent = agent.encoder.latent_dim
    condition = torch.cat([torch.zeros(4, latent), torch.ones(4, latent)], dim=1)
    opponent.begin(4, second)
    for _ in range(7):
        assert torch.equal(opponent(observation, second), agent.act(observation, condition, generator=first))


def test_it_plays_as_many_arenas_as_each_episode_gives_it(agent: PEARL, checkpoint: str) -> None:
    opponent = CheckpointOpponent(checkpoint)
    with pytest.raises(RuntimeError, match="begin must come before the first action"):
        opponent(torch.zeros(4, 3, OBSERVATION_FEATURES))
    generator = torch.Generator().manual_seed(1)
    for arenas in (4, 0, 2):
        opponent.begin(arenas, generator)
        assert opponent(torch.zeros(arenas, 3, OBSERVATION_FEATURES), generator).shape == (arenas, 3, 5)


def test_past_selves_begin_with_the_arenas_that_each_plays(checkpoint: str) -> None:
    pool = PastSelves("uniform")
    for _ in range(2):
        pool.add(CheckpointOpponent(checkpoint), kept=2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        pool.begin(5, generator)
        observation = random_observations(5, 3, generator=generator)
        assert ACTION_SPACE.spec((5, 3)).is_in(pool(observation, generator))


def test_a_task_can_name_it_among_the_styles(checkpoint: str) -> None:
    """Home and away are played by the same agent here, so neither side is idle: both teams' units move."""
    tasks = OpponentTasks(styles=["idle", f"checkpoint:{checkpoint}"], new_styles=[], train_tasks=2, test_tasks=0)
    env = DerkEnv(arenas=2, tasks=tasks, backend_options={"threads": 1})
    env.set_tasks([0, 1])
    play_episode(env, FunctionPlayer(lambda observation, step: torch.zeros(2, 3, 5)))
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
