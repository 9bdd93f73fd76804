"""Drawing a meta-batch and its losses never wait for a GPU, and the check for it finds what would."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from environments import CountingEnv
from ragged import RaggedEnv
from synchronizations import Synchronizations
from torch import Tensor

from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC, ValueSAC
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.player import UniformPlayer
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference import encoders
from pearl_lightning.inference.auxiliary import Reconstruction, TaskInference
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout

TASKS, LATENT, EVENTS = 4, 5, 3


def filled(env: MetaEnv, relabelled: float) -> TaskReplay:
    replay = TaskReplay(
        tasks=TASKS,
        episodes_per_task=3,
        horizon=env.horizon,
        recent_context=2,
        generator=torch.Generator().manual_seed(0),
        n_steps=2,
        descriptors=torch.randn(TASKS, 2),
        relabelled=relabelled,
        event_weights=torch.randn(TASKS, env.agents, EVENTS),
    )
    for _ in range(3):
        env.set_tasks(range(TASKS))
        rows = play_episode(env, UniformPlayer(env.action_space, 1))
        replay.extend(rows.set("events", torch.randn(*rows.shape, env.agents, EVENTS)), is_context=True)
    return replay


@pytest.mark.parametrize("name", [name for name in encoders.__all__ if name != "ContextEncoder"])
@pytest.mark.parametrize("sac", [HybridSAC, ValueSAC])
@pytest.mark.parametrize(
    ("make_env", "beginning", "relabelled"), [(CountingEnv, None, 0.0), (CountingEnv, 2, 0.5), (RaggedEnv, None, 0.5)]
)
def test_an_update_waits_for_nothing(
    name: str, sac: Any, make_env: Callable[..., MetaEnv], beginning: int | None, relabelled: float
) -> None:
    """Also with padding after early ends and with relabelled tasks. Transfers between devices are not seen."""
    env, kind = make_env(arenas=TASKS), getattr(encoders, name)
    encoder = kind if name == "ContextFreeEncoder" else partial(kind, latent_dim=LATENT)
    agent = PEARL(
        env.features,
        env.action_space,
        descriptor_features=2,
        encoder=encoder,
        belief=BeliefConfig(context=ContextLayout(stride=2, salient=4, next_observation=True)),
        sac=sac,
        auxiliary=[] if name == "ContextFreeEncoder" else [Reconstruction, TaskInference],
        normalize_observations=True,
    )
    replay = filled(env, relabelled)
    with Synchronizations() as found:
        batch, _ = replay.sample(3, 8, 2, update=7, beginning=beginning)
        agent.norm.update(batch["transitions", "observation"])  # type: ignore[union-attr]
        agent.context.update_norm(batch)
        total_loss(agent.losses(batch)).backward()
        agent.sac.update_target()
    assert not found.places


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: float(x.sum()),
        lambda x: x.tolist(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x),
    ],
)
def test_the_check_finds_what_waits(waits: Callable[[Tensor], Any]) -> None:
    numbers = torch.arange(3.0)
    with Synchronizations() as found:
        numbers + 1  # noqa: B018  (waits for nothing)
    assert not found.places
    with Synchronizations() as found:
        waits(numbers)
    assert found.places
