"""Conversion of the steps of episodes to the transitions that an encoder reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torch.nn.functional import pad

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.networks.normalization import ObservationNorm

RewardOf = Literal["stride", "step"]


@dataclass(frozen=True, kw_only=True)
class ContextLayout:
    """Selection of transitions, and of their features, that the encoder reads.

    The ``agent.json`` of an exported agent contains these settings.

    Args:
        stride: Distance of the steps that the encoder reads, at least 1: with n, every n-th step, in training and in
            play.
        reward_of: Reward of a transition that is read. ``stride``: the sum over its step and the steps after it that
            are not read, so that rare events are not lost. ``step``: that of its step, which belongs to the observation
            and the action. If every step has a reward, one exact reward can be better evidence of the task than a sum.
        salient: Number of transitions per episode that the encoder reads, at least 1: those with the largest absolute
            rewards, among the steps that the stride selects. None to read all. If rewards are rare and the reward
            function is hidden, most transitions have no reward and carry little information.
        next_observation: Whether the encoder also reads the change of the observation at each step (Rakelly et al.
            2019, sec. 3). This is the effect of an action, which tasks with different dynamics need.
        reward_scale: Multiplier on the rewards that the encoder reads. Rewards that are small compared with dozens of
            observed features have little effect on the encoder.

    Raises:
        ValueError: A setting is out of its range.
    """

    stride: int = 1
    reward_of: RewardOf = "stride"
    salient: int | None = None
    next_observation: bool = False
    reward_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"context.stride must be at least 1, got {self.stride}")
        if self.reward_of not in get_args(RewardOf):
            raise ValueError(f"context.reward_of must be stride or step, got {self.reward_of}")
        if self.salient is not None and self.salient < 1:
            raise ValueError(f"context.salient must be at least 1 or null, got {self.salient}")
        if not 0 < self.reward_scale < math.inf:
            raise ValueError(f"context.reward_scale must be above 0 and finite, got {self.reward_scale}")


class ContextReader:
    """Converts the steps of episodes to the input of the encoder.

    Args:
        layout: Selection of transitions and features.
        observation_features: Number of features in one agent's observation.
        action_space: Layout of one agent's action.
        norm: Normalization of the observations in the encoder's input; None to leave them as they are.
    """

    def __init__(
        self,
        layout: ContextLayout,
        observation_features: int,
        action_space: ActionSpace,
        norm: ObservationNorm | None = None,
    ) -> None:
        self.layout, self.observation_features, self.action_space = layout, observation_features, action_space
        self.norm = norm

    @property
    def features(self) -> int:
        """Number of features of a transition in the encoder's input."""
        observed = self.observation_features * (2 if self.layout.next_observation else 1)
        return observed + self.action_space.encoded_width + 1

    def settled(self, steps: int) -> int:
        """Number of the first ``steps`` steps of an episode whose conversion does not depend on later steps."""
        return 0 if self.layout.salient is not None else steps - steps % self.layout.stride

    def transitions(self, steps: TensorDictBase) -> Tensor:
        """Return the selected transitions ``[..., transition, feature]``, ordered by step and agent.

        A transition contains the change of the observation, the observation, the encoded action and the scaled reward.

        Args:
            steps: Consecutive steps of one episode, of which the first is at a multiple of the stride,
                ``[..., step]``, with ``observation``, ``next_observation`` and ``action``
                ``[..., step, agent, feature]`` and ``reward`` ``[..., step, agent]``.
        """
        before, after = (self._strided(steps[name]) for name in ("observation", "next_observation"))
        action = self.action_space.encode(self._strided(steps["action"]))
        rows = torch.cat([after - before, before, action, self._rewards(steps).unsqueeze(-1)], dim=-1)
        return self._salient(rows.flatten(-3, -2), steps)

    def played(self, steps: TensorDictBase) -> Tensor | None:
        """Return the mask of the selected ``transitions`` that were played ``[..., transition]``.

        The others are padding after the end of an episode, which an encoder must not read.

        Args:
            steps: As for ``transitions``. Without ``played`` ``[..., step]``, all were played and the result is None.
        """
        played = self._unselected_played(steps)
        return None if played is None else self._salient(played.unsqueeze(-1), steps).squeeze(-1)

    def _strided(self, values: Tensor) -> Tensor:
        """Values of the steps that the stride selects, of ``[..., step, agent, feature]``."""
        return values[..., :: self.layout.stride, :, :]

    def _rewards(self, steps: TensorDictBase) -> Tensor:
        """Scaled rewards of the steps that the stride selects ``[..., step, agent]``."""
        stride, reward = self.layout.stride, self.layout.reward_scale * steps["reward"]
        if self.layout.reward_of == "step":
            return reward[..., ::stride, :]
        if stride > 1:
            reward = pad(reward, (0, 0, 0, -reward.shape[-2] % stride))
            reward = reward.unflatten(-2, (-1, stride)).sum(dim=-2)
        return reward

    def _unselected_played(self, steps: TensorDictBase) -> Tensor | None:
        """Mask of the played transitions ``[..., transition]``, before the salient ones are selected; None for all."""
        played: Tensor | None = steps.get("played", None)
        if played is None:
            return None
        return played[..., :: self.layout.stride].repeat_interleave(steps["reward"].shape[-1], dim=-1)

    def _salient(self, rows: Tensor, steps: TensorDictBase) -> Tensor:
        """Select from rows ``[..., transition, feature]`` those of the salient transitions, in order.

        They have the largest absolute rewards; padding is selected last.
        """
        salient = self.layout.salient
        if salient is None or salient >= rows.shape[-2]:
            return rows
        size, played = self._rewards(steps).flatten(-2).abs(), self._unselected_played(steps)
        if played is not None:
            size = torch.where(played, size, -1.0)
        kept = size.topk(salient, dim=-1).indices.sort(dim=-1).values
        return rows.gather(-2, kept.unsqueeze(-1).expand(*kept.shape, rows.shape[-1]))

    def update_norm(self, batch: TensorDictBase) -> None:
        """Include the changes in a meta-batch's context in the statistics of ``norm``, if the encoder reads them."""
        if self.norm is not None and self.layout.next_observation:
            transitions, played = self.of_meta_batch(batch)
            change = transitions[..., : self.observation_features]
            device = self.norm.mean.device
            self.norm.update_change(change.to(device), None if played is None else played.to(device))

    def encoder_input(self, transitions: Tensor) -> Tensor:
        """Return the features of ``transitions`` that the encoder reads, ``[..., transition, feature]``."""
        selected = transitions if self.layout.next_observation else transitions[..., self.observation_features :]
        return self.normalized(selected)

    def normalized(self, context: Tensor) -> Tensor:
        """Normalize the observations in the encoder's input ``[..., transition, feature]``, if there is a ``norm``."""
        if self.norm is None:
            return context
        width = self.observation_features
        if not self.layout.next_observation:
            return torch.cat([self.norm(context[..., :width]), context[..., width:]], dim=-1)
        change, observation, rest = context.tensor_split([width, 2 * width], dim=-1)
        return torch.cat([self.norm.of_change(change), self.norm(observation), rest], dim=-1)

    def with_normalized(self, transitions: Tensor) -> Tensor:
        """Return ``transitions`` with normalized observations and the changes of these, if there is a ``norm``."""
        if self.norm is None:
            return transitions
        change, observation, rest = transitions.tensor_split(
            [self.observation_features, 2 * self.observation_features], dim=-1
        )
        return torch.cat([self.norm.of_difference(change), self.norm(observation), rest], dim=-1)

    def of_meta_batch(self, batch: TensorDictBase) -> tuple[Tensor, Tensor | None]:
        """Return the selected transitions of a meta-batch's context, ``[task, transition, feature]``.

        The second result is their ``played`` ``[task, transition]``.

        Args:
            batch: Meta-batch with ``context`` ``[task, episode, step]`` of whole episodes and, if the agent observes
                within episodes, ``beginning`` ``[task, step]`` of one more episode (see ``TaskReplay.sample``).
        """
        episodes = self._episodes(batch)
        rows = [self.transitions(steps).flatten(1, 2) for steps in episodes]
        played = [self.played(steps) for steps in episodes]
        if all(each is None for each in played):
            return torch.cat(rows, dim=1) if len(rows) > 1 else rows[0], None
        masks = [
            torch.ones_like(each[..., 0], dtype=torch.bool) if mask is None else mask.flatten(1, 2)
            for each, mask in zip(rows, played, strict=True)
        ]
        return torch.cat(rows, dim=1), torch.cat(masks, dim=1)

    @staticmethod
    def _episodes(batch: TensorDictBase) -> list[TensorDictBase]:
        """Steps of the whole episodes, and of the beginning of one more, ``[task, episode, step]`` each."""
        episodes = [batch["context"]] if batch["context"].shape[1] else []
        if "beginning" in batch.keys():  # noqa: SIM118  (a TensorDict iterates over its rows)
            episodes.append(batch["beginning"].unsqueeze(1))
        return episodes
