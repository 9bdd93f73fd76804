"""Drawing a meta-batch and its losses never wait for a GPU, and the check for it finds what would."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv
from synchronizations import Synchronizations
from torch import Tensor

from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC, ValueSAC
from pearl_lightning.experience.player import UniformPlayer
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference import encoders
from pearl_lightning.inference.auxiliary import Reconstruction, TaskInference
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout

TASKS, LATENT = 4, 5


def filled(**settings: Any) -> TaskReplay:
    env = CountingEnv()
    replay = TaskReplay(
        tasks=TASKS,
        episodes_per_task=3,
        horizon=env.horizon,
        recent_context=2,
        generator=torch.Generator().manual_seed(0),
        n_steps=2,
        descriptors=torch.randn(TASKS, 2),
        **settings,
    )
    for _ in range(3):
        env.set_tasks(range(TASKS))
        replay.extend(play_episode(env, UniformPlayer(SPACE, 1)), is_context=True)
    return replay


@pytest.mark.parametrize("name", [name for name in encoders.__all__ if name != "ContextEncoder"])
@pytest.mark.parametrize("sac", [HybridSAC, ValueSAC])
@pytest.mark.parametrize("beginning", [None, 2])
def test_an_update_waits_for_nothing(name: str, sac: Any, beginning: int | None) -> None:
    kind = getattr(encoders, name)
    encoder = kind if name == "ContextFreeEncoder" else partial(kind, latent_dim=LATENT)
    layout = ContextLayout(stride=2, salient=4, next_observation=True)
    auxiliary = [Reconstruction, TaskInference] if name != "ContextFreeEncoder" else []
    agent = PEARL(
        FEATURES,
        SPACE,
        descriptor_features=2,
        encoder=encoder,
        belief=BeliefConfig(context=layout),
        sac=sac,
        auxiliary=auxiliary,
        normalize_observations=True,
    )
    replay = filled()
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
