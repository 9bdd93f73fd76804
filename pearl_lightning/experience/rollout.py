"""Playing of whole episodes, which are returned as rows."""

from __future__ import annotations

from typing import cast

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.experience.finite import is_finite
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
            player.end(episode)
            return episode
        except EpisodeLost:
            player.drop()
            if attempt == attempts - 1:
                raise
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def _play_once(env: MetaEnv, player: EpisodePlayer) -> TensorDict:
    state = env.reset()
    rows = _Rows(env, state["task"])
    try:
        _play_into(rows, env, player, state["agents", "observation"])
    except EpisodeLost:
        raise
    except Exception as error:  # a policy that reads NaN can raise any error
        _require_finite(rows.by_arena(), env, error)
        raise
    episode = rows.by_arena()
    _require_finite(episode, env)
    return episode


def _play_into(rows: _Rows, env: MetaEnv, player: EpisodePlayer, observation: Tensor) -> None:
    """Fill the rows by playing from the first observation to the end of the episode."""
    rows.observation[0] = observation
    player.begin(rows.observation[0])
    is_running: Tensor | None = None  # None: in all arenas
    for step in range(env.horizon):
        action = player.act(observation)
        rows.action[step] = action
        result = env.play_step(action)
        rows.write(step, result, is_running)
        observation = cast(Tensor, result["observation"])
        if torch.is_tensor(result["terminated"]):
            is_running = ~env.ended
        elif env.is_over:
            is_running = torch.zeros(env.arenas, dtype=torch.bool, device=env.device)
        player.observe(rows.reward[step], rows.observation[step + 1], is_running)
        if env.is_over:
            break
    if "outcome" in rows.parts and "outcome" in result:
        rows.parts["outcome"][-1] = result["outcome"]


class _Rows:
    """Rows of an episode. They are ordered by step, so each step writes one contiguous block, which players can keep.

    Args:
        env: Environment that is played.
        task: Task of each arena ``[arena]``.
    """

    def __init__(self, env: MetaEnv, task: Tensor) -> None:
        self.shape = (env.horizon + 1, env.arenas)
        agents = (*self.shape, env.agents)
        self.task, self.device = task, env.device
        self.observation = torch.empty(*agents, env.features, device=env.device)
        self.action = torch.zeros(*agents, env.action_space.width, device=env.device)
        self.reward = torch.zeros(agents, device=env.device)
        self.parts = {
            "observation": self.observation,
            "action": self.action,
            "reward": self.reward,
            "training_reward": torch.zeros(agents, device=env.device) if env.has_training_reward else self.reward,
            "terminated": torch.zeros(self.shape, dtype=torch.bool, device=env.device),
            "played": torch.zeros(self.shape, dtype=torch.bool, device=env.device),
        }
        if env.has_outcome:
            self.parts["outcome"] = torch.zeros(self.shape, device=env.device)
        if env.events:
            self.parts["events"] = torch.zeros(*agents, env.events, device=env.device)
        self._last = 0  # last row with an observation; the memory after it is not initialized, to save time
        self._steps_everywhere = 0  # number of first steps that were played in every arena
        self._step_keys = ["reward"]
        self._step_keys += ["training_reward"] * env.has_training_reward + ["events"] * bool(env.events)

    def write(self, step: int, result: dict[str, Tensor | bool], is_running: Tensor | None) -> None:
        """Write the result of a step.

        Args:
            step: Number of the step.
            result: Result of ``MetaEnv.play_step``.
            is_running: Whether the step was played in each arena ``[arena]``; None for all of them.
        """
        for name in self._step_keys:
            if name in result:
                self.parts[name][step] = result[name]
        self._last = step + 1
        self.observation[self._last] = result["observation"]
        if is_running is not None:
            self.parts["played"][step] = is_running
            self.parts["terminated"][step] = result["terminated"] & is_running
            return
        self._steps_everywhere = step + 1
        if result["terminated"] is not False:
            self.parts["terminated"][step] = result["terminated"]

    def by_arena(self) -> TensorDict:
        """The rows ``[arena, row]``, not copied. The rows after the last step repeat its observation."""
        self.parts["played"][: self._steps_everywhere] = True
        self.observation[self._last + 1 :] = self.observation[self._last]
        parts = {name: part.transpose(0, 1) for name, part in self.parts.items()}
        parts["task"] = self.task.unsqueeze(1).expand(-1, self.shape[0])
        return TensorDict(parts, batch_size=self.shape[::-1], device=self.device)


_IN_ORDER = ("observation", "action", "reward", "training_reward", "events", "outcome")
"""Order in which a step fills the rows. The first value that is not finite may have caused the others."""


def _require_finite(rows: TensorDictBase, env: MetaEnv, cause: Exception | None = None) -> None:
    """Raise an error if a number in rows ``[arena, row]`` is not finite; it names the earliest one and its task.

    The rows are checked once, when the episode is over or was ended by the error ``cause``, because a check at every
    step would wait for the GPU. Rows that have not been played repeat the last observation and are 0 otherwise.
    """
    names = [name for name in _IN_ORDER if name in set(rows.keys())]
    if all(is_finite(rows[name]) for name in names):
        return
    is_bad = torch.stack([~torch.isfinite(rows[name]).reshape(*rows.shape, -1).all(dim=-1) for name in names], dim=-1)
    row, kind, arena = is_bad.permute(1, 2, 0).nonzero()[0].tolist()
    values, task = rows[names[kind]][arena, row].flatten(), int(rows["task"][arena, row])
    value, name = float(values[~torch.isfinite(values)][0]), names[kind].replace("_", " ").removesuffix("s")
    raise ValueError(
        f"episodes contain {'an' if name[0] in 'aeo' else 'a'} {name} that is not finite: {value} at step {row} of "
        f"task {task} ({env.tasks.describe(task)})"
    ) from cause
