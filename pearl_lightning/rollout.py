"""Play tasks with a belief-conditioned policy; used by collection and by evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from pearl_lightning.belief import Belief
from pearl_lightning.envs.meta_env import Demonstrator, EpisodeLost, MetaEnv


class MetaAgent(Protocol):
    """What plays: a prior belief, a policy given z, and a way to read episodes as context.

    ``z_steps`` is for how many steps a sample of z is acted on before the next is drawn; None is a whole episode.
    """

    z_steps: int | None

    def prior(self, arenas: int) -> Belief: ...

    def act(
        self, observation: Tensor, z: Tensor, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> Tensor: ...

    def context_features(self, episodes: TensorDictBase) -> Tensor: ...


def play_episode(env: MetaEnv, act: Callable[[Tensor, int], Tensor], attempts: int = 3) -> TensorDict:
    """One whole episode in every arena.

    Args:
        env: Its tasks are set already.
        act: Actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]`` and the step's number.
        attempts: How often an episode that the world lost is played again from the start.

    Returns:
        Rows ``[arena, horizon + 1]``: observation, action, reward and training_reward ``[arena, row, agent]`` and
        terminated ``[arena, row]``. The last row holds the final observation alone, so each observation is stored once.
        ``task`` ``[arena, row]``; ``outcome`` ``[arena, row]`` and ``events`` ``[arena, row, agent, event]`` where the
        world has any.

    Raises:
        EpisodeLost: The world lost every attempt.
    """
    for attempt in range(attempts):
        try:
            return _play_once(env, act)
        except EpisodeLost:
            if attempt == attempts - 1:
                raise
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def _play_once(env: MetaEnv, act: Callable[[Tensor, int], Tensor]) -> TensorDict:
    state = env.reset()
    shape = (env.arenas, env.horizon + 1)
    rows = TensorDict(
        {
            "observation": torch.zeros(*shape, env.agents, env.features),
            "action": torch.zeros(*shape, env.agents, env.action_space.width),
            "reward": torch.zeros(*shape, env.agents),
            "training_reward": torch.zeros(*shape, env.agents),
            "terminated": torch.zeros(*shape, dtype=torch.bool),
            "task": state["task"].unsqueeze(1).expand(shape).clone(),
        },
        batch_size=shape,
        device=env.device,
    )
    if env.has_outcome:
        rows["outcome"] = torch.zeros(shape, device=env.device)
    if env.events:
        rows["events"] = torch.zeros(*shape, env.agents, env.events, device=env.device)
    training_reward = ("agents", "training_reward" if env.has_training_reward else "reward")
    observation = state["agents", "observation"]
    for step in range(env.horizon):
        action = act(observation, step)
        result = env.step(TensorDict({"agents": {"action": action}}, batch_size=[env.arenas]))["next"]
        rows["observation"][:, step] = observation
        rows["action"][:, step] = action
        rows["reward"][:, step] = result["agents", "reward"].squeeze(-1)
        rows["training_reward"][:, step] = result[training_reward].squeeze(-1)
        if env.events:
            rows["events"][:, step] = result["agents", "events"]
        rows["terminated"][:, step] = result["terminated"].squeeze(-1)
        observation = result["agents", "observation"]
    if not bool(result["done"].all()):
        raise RuntimeError(f"the environment did not end its episode at its horizon of {env.horizon} steps")
    if env.has_outcome:
        rows["outcome"][:, -1] = result["outcome"].squeeze(-1)
    rows["observation"][:, -1] = observation
    return rows


def adaptation_episodes(
    env: MetaEnv,
    agent: MetaAgent,
    episodes: int,
    *,
    deterministic: bool = False,
    generator: torch.Generator | None = None,
    belief: Belief | None = None,
    update: bool = True,
) -> Iterator[TensorDict]:
    """Play ``episodes`` one after another, with one z per arena at a time, taking every one into the belief.

    Args:
        env: Its tasks are set already.
        agent: Plays in every arena.
        episodes: Number of episodes.
        deterministic: Play the policy's mode rather than a sample.
        generator: Draws z and the policy's samples.
        belief: What is known already; the prior when left out.
        update: Whether the belief takes in the episodes.
    """
    belief = agent.prior(env.arenas) if belief is None else belief
    z_steps = agent.z_steps or env.horizon
    z = torch.empty(0)

    def act(observation: Tensor, step: int) -> Tensor:
        nonlocal z
        if step % z_steps == 0:
            z = belief.sample(generator)
        return agent.act(observation, z, deterministic, generator)

    for _ in range(episodes):
        episode = play_episode(env, act)
        if update:
            belief.update(agent.context_features(episode.unsqueeze(1)))
        yield episode


def uniform_episodes(
    env: MetaEnv, episodes: int, action_steps: int, *, generator: torch.Generator | None = None
) -> Iterator[TensorDict]:
    """Play ``episodes`` of uniform legal actions, each held for ``action_steps`` steps.

    Args:
        env: Its tasks are set already.
        episodes: Number of episodes.
        action_steps: Steps between two draws, at least 1.
        generator: Draws the actions.
    """
    action = torch.empty(0)

    def act(observation: Tensor, step: int) -> Tensor:
        nonlocal action
        if step % action_steps == 0:
            action = env.action_space.sample(observation.shape[:-1], generator).to(observation.device)
        return action

    for _ in range(episodes):
        yield play_episode(env, act)


def demonstrated_episodes(
    env: MetaEnv, demonstrator: Demonstrator, episodes: int, *, generator: torch.Generator
) -> Iterator[TensorDict]:
    """Play ``episodes`` as somebody shows them.

    Args:
        env: Its tasks are set already.
        demonstrator: Plays in every arena.
        episodes: Number of episodes.
        generator: Seeds the demonstrator's random numbers.
    """
    own = torch.Generator(env.device)

    def act(observation: Tensor, step: int) -> Tensor:
        if step == 0:
            own.manual_seed(int(torch.randint(2**31 - 1, (), generator=generator)))
            demonstrator.begin(env.arenas, own)
        return demonstrator(observation, own)

    for _ in range(episodes):
        yield play_episode(env, act)
