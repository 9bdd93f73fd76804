"""A small PEARL and meta-batches for it, over continuous and over Derk's hybrid actions."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.encoders import GaussianProductEncoder
from pearl_lightning.objectives import SacConfig
from pearl_lightning.pearl import PEARL

SPACES = {
    "continuous": ActionSpace((-1.0, -1.0), (1.0, 2.0)),
    "hybrid": ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8)),
}
PRESETS = {"modern": SacConfig(), "reference": SacConfig.reference()}
OBSERVATION, LATENT, TASKS, TRANSITIONS, STEPS = 6, 3, 4, 8, 5


def small_pearl(space: ActionSpace, sac: SacConfig = PRESETS["modern"], **settings: Any) -> PEARL:
    """PEARL with layers of 16; its target network has other numbers than the network it follows."""
    pearl = PEARL(
        OBSERVATION,
        space,
        encoder=partial(GaussianProductEncoder, latent_dim=LATENT, hidden=(16,)),
        actor=partial(Actor, hidden=(16,)),
        critic=partial(CriticEnsemble, hidden=(16, 16)),
        sac=sac,
        **settings,
    )
    for parameter in pearl.target.parameters():
        parameter.data.mul_(0.8)
    return pearl


def meta_batch(space: ActionSpace, seed: int = 0, agents: int = 2, steps: int = STEPS, n_steps: int = 1) -> TensorDict:
    """A random meta-batch as ``TaskReplay.sample`` gives it; a quarter of the transitions end an episode."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return 4 * torch.rand(*shape, generator=generator) - 2

    flat, context = (TASKS, TRANSITIONS), (TASKS, 2, steps + 1, agents)
    ahead = torch.randint(1, n_steps + 1, flat, generator=generator)
    transitions = TensorDict(
        {
            "observation": uniform(*flat, OBSERVATION),
            "action": space.sample(flat, generator),
            "reward": uniform(*flat, n_steps) * (torch.arange(n_steps) < ahead.unsqueeze(-1)),
            "steps": ahead,
            "next_observation": uniform(*flat, OBSERVATION),
            "terminated": torch.rand(flat, generator=generator) < 0.25,
            "agent": torch.randint(agents, flat, generator=generator),
        },
        batch_size=flat,
    )
    episodes = TensorDict(
        {
            "observation": uniform(*context, OBSERVATION),
            "action": space.sample(context, generator),
            "reward": uniform(*context),
        },
        batch_size=context[:3],
    )
    episodes["action"][:, :, -1] = episodes["reward"][:, :, -1] = 0  # the last row holds the final observation alone
    return TensorDict({"transitions": transitions, "context": episodes}, batch_size=[TASKS])


def losses(pearl: PEARL, batch: TensorDict, seed: int = 0) -> dict[str, Tensor]:
    """The losses alone, by the noise of ``seed``."""
    pearl.noise.manual_seed(seed)
    return {name: term for name, term in pearl.losses(batch).items() if name.startswith("loss/")}


def parameter_groups(pearl: PEARL) -> dict[str, list[Tensor]]:
    """Every parameter that learns, by the part it belongs to."""
    groups = {name: list(getattr(pearl, name).parameters()) for name in ("encoder", "actor", "critics")}
    if pearl.value is not None:
        groups["value"] = list(pearl.value.parameters())
    if pearl.log_temperatures.requires_grad:
        groups["temperature"] = [pearl.log_temperatures]
    return groups
