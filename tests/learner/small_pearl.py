"""A small PEARL and meta-batches for it, over continuous and over Derk's hybrid actions."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC, ValueSAC
from pearl_lightning.agents.temperatures import FixedTemperature
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble

SPACES = {
    "continuous": ActionSpace((-1.0, -1.0), (1.0, 2.0)),
    "discrete": ActionSpace((), (), (4, 3)),
    "hybrid": ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8)),
}
PRESETS: dict[str, partial[HybridSAC]] = {
    "modern": partial(HybridSAC),
    "reference": partial(ValueSAC, temperature=partial(FixedTemperature, value=1.0), discount=0.9, reward_scale=100.0),
}
OBSERVATION, LATENT, TASKS, TRANSITIONS, STEPS = 6, 3, 4, 8, 5


def small_pearl(space: ActionSpace, sac: partial[HybridSAC] = PRESETS["modern"], **settings: Any) -> PEARL:
    """PEARL with layers of 16; its target network has other numbers than the network it follows."""
    pearl = PEARL(
        OBSERVATION,
        space,
        sac=partial(sac, actor=partial(Actor, hidden=(16,)), critic=partial(CriticEnsemble, hidden=(16, 16))),
        **({"encoder": partial(GaussianProductEncoder, latent_dim=LATENT, hidden=(16,))} | settings),
    )
    for parameter in pearl.sac.target.parameters():
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
        },
        batch_size=flat,
    )
    observation = uniform(*context, OBSERVATION)
    episodes = TensorDict(
        {
            "observation": observation[:, :, :-1],
            "next_observation": observation[:, :, 1:],
            "action": space.sample(context, generator)[:, :, :-1],
            "reward": uniform(*context)[:, :, :-1],
            "done": (torch.arange(steps) == steps - 1).expand(TASKS, 2, steps),
        },
        batch_size=[TASKS, 2, steps],
    )
    return TensorDict({"transitions": transitions, "context": episodes}, batch_size=[TASKS])


def read(pearl: PEARL, batch: TensorDict) -> Tensor:
    """The encoder's input from a meta-batch ``[task, transition, feature]``."""
    return pearl.context.encoder_input(pearl.context.of_meta_batch(batch)[0])


def losses(pearl: PEARL, batch: TensorDict, seed: int = 0) -> dict[str, Tensor]:
    """The losses alone, by the noise of ``seed``."""
    pearl.noise.manual_seed(seed)
    return {name: term for name, term in pearl.losses(batch).items() if name.startswith("loss/")}


def parameter_groups(pearl: PEARL) -> dict[str, list[Tensor]]:
    """Every parameter that learns, by the part it belongs to."""
    groups = {"encoder": list(pearl.encoder.parameters())}
    groups |= {name: list(getattr(pearl.sac, name).parameters()) for name in ("actor", "critics")}
    if isinstance(pearl.sac, ValueSAC):
        groups["value"] = list(pearl.sac.value.parameters())
    if temperatures := list(pearl.sac.temperature.parameters()):
        groups["temperature"] = temperatures
    return groups
