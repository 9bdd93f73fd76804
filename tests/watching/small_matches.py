"""Short matches that hurt, and an agent with a belief to play them."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks
from pearl_lightning.derk.watching import MatchRecord, record_adaptation
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble


def small_env(side: Literal["home", "away"] = "home", episode_ticks: int = 600) -> DerkEnv:
    """One arena against an attacker; to be hurt costs."""
    tasks = LoadoutTasks(train_tasks=4, test_tasks=2, opponent="attacker", bounties={"damageTaken": -0.01})
    return DerkEnv(
        arenas=1, tasks=tasks, count_events=True, side=side, backend_options={"episode_ticks": episode_ticks}
    )


def small_agent(env: DerkEnv, observe_every: int | None = None) -> PEARL:
    """PEARL with three latents, as it is before training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PEARL(
            env.features,
            env.action_space,
            encoder=partial(GaussianProductEncoder, latent_dim=3, hidden=(8,)),
            sac=partial(HybridSAC, actor=partial(Actor, hidden=(8,)), critic=partial(CriticEnsemble, hidden=(8,))),
            belief=BeliefConfig(observe_every=observe_every),
        )


def small_records(episodes: int = 2, observe_every: int | None = None) -> list[MatchRecord]:
    """An adaptation to look at."""
    env = small_env()
    try:
        return record_adaptation(env, small_agent(env, observe_every), 0, episodes=episodes, seed=1)
    finally:
        env.close()
