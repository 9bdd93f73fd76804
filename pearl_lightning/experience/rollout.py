"""Playing of whole episodes, which are returned as rows."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.experience.player import EpisodePlayer


def play_episode(env: MetaEnv, player: EpisodePlayer, attempts: int = 3) -> TensorDict:
    """Play one whole episode in every arena.

    Args:
        env: Environment; its tasks must be set.
        player: Player in all arenas.
        attempts: Number of times that the episode is started before its loss is an error, at least 1.

    Returns:
        Rows ``[arena, horizon + 1]`` with observation, action, reward and training_reward ``[arena, row, agent]``,
        terminated, played and task ``[arena, row]``, and, if the environment has them, outcome ``[arena, row]`` and
        events ``[arena, row, agent, event]``. The row after the last played step contains only the final observation,
        so each observation is stored once. ``played`` is true for rows whose step was played; the rows after an arena's
        end are padding: they repeat its last observation, and their rewards are 0.

    Raises:
        EpisodeLost: The environment lost all attempts.
        ValueError: An observation, action, reward, event or outcome is not finite.
    """
    for attempt in range(attempts):
        try:
            episode = _play_once(env, player)
            player.end()
            return episode
        except EpisodeLost:
            player.drop()
            if attempt == attempts - 1:
                raise
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def _play_once(env: MetaEnv, player: EpisodePlayer) -> TensorDict:
    state = env.reset()
    shape = (env.arenas, env.horizon + 1)
    rows = TensorDict(
        {
            "observation": torch.zeros(*shape, env.agents, env.features),
            "action": torch.zeros(*shape, env.agents, env.action_space.width),
            "reward": torch.zeros(*shape, env.agents),
            "training_reward": torch.zeros(*shape, env.agents),
            "terminated": torch.zeros(*shape, dtype=torch.bool),
            "played": torch.zeros(*shape, dtype=torch.bool),
            "task": state["task"].unsqueeze(1).expand(shape).clone(),
        },
        batch_size=shape,
        device=env.device,
    )
    if env.has_outcome:
        rows["outcome"] = torch.zeros(shape, device=env.device)
    if env.events:
        rows["events"] = torch.zeros(*shape, env.agents, env.events, device=env.device)
    try:
        _play_into(rows, env, player, state["agents", "observation"])
    except EpisodeLost:
        raise
    except Exception as error:  # a policy that reads NaN can raise any error
        _require_finite(rows, env, error)
        raise
    _require_finite(rows, env)
    return rows


def _play_into(rows: TensorDict, env: MetaEnv, player: EpisodePlayer, observation: Tensor) -> None:
    """Fill the rows by playing from the first observation to the end of the episode."""
    training_reward = ("agents", "training_reward" if env.has_training_reward else "reward")
    rows["observation"][:, 0] = observation
    is_running = torch.ones(env.arenas, dtype=torch.bool, device=env.device)
    for step in range(env.horizon):
        action = player.act(observation)
        rows["action"][:, step] = action
        result = env.step(TensorDict({"agents": {"action": action}}, batch_size=[env.arenas]))["next"]
        rows["reward"][:, step] = result["agents", "reward"].squeeze(-1)
        rows["training_reward"][:, step] = result[training_reward].squeeze(-1)
        if env.events:
            rows["events"][:, step] = result["agents", "events"]
        rows["terminated"][:, step] = result["terminated"].squeeze(-1) & is_running
        rows["played"][:, step] = is_running
        observation = result["agents", "observation"]
        rows["observation"][:, step + 1] = observation
        is_running = ~result["done"].squeeze(-1)
        player.observe(rows["reward"][:, step], observation, is_running)
        if env.is_over:
            break
    rows["observation"][:, step + 2 :] = observation.unsqueeze(1)  # padding repeats the last observation
    if env.has_outcome:
        rows["outcome"][:, -1] = result["outcome"].squeeze(-1)


_IN_ORDER = ("observation", "action", "reward", "training_reward", "events", "outcome")
"""Order in which a step fills the rows. The first value that is not finite may have caused the others."""


def _require_finite(rows: TensorDictBase, env: MetaEnv, cause: Exception | None = None) -> None:
    """Raise an error if a number in rows ``[arena, row]`` is not finite; it names the earliest one and its task.

    The rows are checked once, when the episode is over or was ended by the error ``cause``, because a check at every
    step would wait for the GPU. Rows that have not been played are 0.
    """
    names = [name for name in _IN_ORDER if name in set(rows.keys())]
    is_bad = torch.stack([~torch.isfinite(rows[name]).reshape(*rows.shape, -1).all(dim=-1) for name in names], dim=-1)
    if not is_bad.any():
        return
    row, kind, arena = is_bad.permute(1, 2, 0).nonzero()[0].tolist()
    values, task = rows[names[kind]][arena, row].flatten(), int(rows["task"][arena, row])
    value, name = float(values[~torch.isfinite(values)][0]), names[kind].replace("_", " ").removesuffix("s")
    raise ValueError(
        f"episodes contain {'an' if name[0] in 'aeo' else 'a'} {name} that is not finite: {value} at step {row} of "
        f"task {task} ({env.tasks.describe(task)})"
    ) from cause
