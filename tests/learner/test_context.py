"""The encoder's input from episodes equals that of plain loops over their steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_pearl import OBSERVATION, SPACES, TASKS, meta_batch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.inference.context import ContextLayout, ContextReader

SPACE = SPACES["hybrid"]


def read(batch: TensorDict, **layout: Any) -> Tensor:
    """The encoder's input ``[task, transition, feature]``."""
    reader = ContextReader(ContextLayout(**layout), OBSERVATION, SPACE)
    features = reader.encoder_input(reader.of_meta_batch(batch)[0])
    assert features.shape[-1] == reader.features
    return features


@pytest.mark.parametrize("stride", [1, 3])
def test_the_encoder_is_shown_what_paid_or_cost_most_in_its_order(stride: int) -> None:
    batch = meta_batch(SPACE, agents=2, steps=9)
    every = read(batch, stride=stride)
    shown = read(batch, stride=stride, salient=4)
    for task in range(TASKS):
        expected = []
        for episode in every[task].chunk(2):
            ranked = sorted(range(len(episode)), key=lambda row: -abs(float(episode[row, -1])))  # noqa: B023
            expected += [episode[row] for row in sorted(ranked[:4])]
        assert torch.equal(shown[task], torch.stack(expected))
    more = read(batch, stride=stride, salient=999)
    assert torch.equal(more, every)


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 10])
def test_context_stride_keeps_every_nth_step_and_sums_the_rewards_in_between(stride: int) -> None:
    steps, agents = 10, 2
    batch = meta_batch(SPACE, agents=agents, steps=steps)
    episodes = batch["context"]
    features = read(batch, stride=stride)
    expected = []
    for task in range(TASKS):
        for episode in range(2):
            rows = episodes[task, episode]
            for step in range(0, steps, stride):
                for agent in range(agents):
                    reward = rows["reward"][step : step + stride, agent].sum()
                    action = rows["action"][step, agent]
                    first, second = torch.zeros(4), torch.zeros(8)
                    first[int(action[3])] = second[int(action[4])] = 1
                    seen = rows["observation"][step, agent]
                    expected.append(torch.cat([seen, action[:3], first, second, reward.unsqueeze(0)]))
    wanted = torch.stack(expected).unflatten(0, (TASKS, -1))
    torch.testing.assert_close(features, wanted)
    torch.testing.assert_close(features[..., -1].sum(1), episodes["reward"].sum((1, 2, 3)))  # no reward is lost


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 10])
def test_the_reward_may_be_that_of_the_step_alone(stride: int) -> None:
    batch = meta_batch(SPACE, agents=2, steps=10)
    summed, alone = (read(batch, stride=stride, reward_of=name) for name in ("stride", "step"))
    assert torch.equal(alone[..., :-1], summed[..., :-1])
    assert torch.equal(alone[..., -1], batch["context"]["reward"][:, :, ::stride].flatten(1))


@pytest.mark.parametrize("stride", [1, 3])
def test_the_encoder_may_also_read_what_each_step_changed(stride: int) -> None:
    batch = meta_batch(SPACE, steps=7)
    settings: dict[str, Any] = {"stride": stride, "salient": 2}
    plain = read(batch, **settings)
    features = read(batch, next_observation=True, **settings)
    assert torch.equal(features[..., OBSERVATION:], plain)
    for task in range(TASKS):
        names = ("observation", "next_observation")
        before, after = (batch["context", name][task].flatten(0, 2) for name in names)  # [episode x step x agent, ...]
        for transition in features[task]:
            (row,) = (before == transition[OBSERVATION : 2 * OBSERVATION]).all(dim=1).nonzero()[0]
            torch.testing.assert_close(transition[:OBSERVATION], after[row] - before[row])


def test_the_encoder_alone_reads_scaled_rewards() -> None:
    batch = meta_batch(SPACE)
    plain, louder = (read(batch, reward_scale=scale) for scale in (1.0, 20.0))
    assert torch.equal(plain[..., :-1], louder[..., :-1])
    torch.testing.assert_close(20 * plain[..., -1], louder[..., -1])
    with pytest.raises(ValueError, match="context.reward_scale must be above 0 and finite, got 0"):
        ContextLayout(reward_scale=0)


@pytest.mark.parametrize("episodes", [1, 2])
@pytest.mark.parametrize("salient", [None, 4])
def test_the_beginning_of_an_episode_is_read_after_whole_ones_and_by_itself(salient: int | None, episodes: int) -> None:
    layout: dict[str, Any] = {"stride": 3, "salient": salient, "next_observation": True}
    batch = meta_batch(SPACE, steps=9)
    for steps in (1, 4, 9):
        partial = batch.clone()
        partial["context"] = batch["context"][:, 2 - episodes : 1]  # none or one
        partial["beginning"] = batch["context"][:, 1, :steps]
        alone = batch.clone()
        alone["context"] = batch["context"][:, 1:, :steps]
        whole = [read(partial.exclude("beginning"), **layout)] if episodes == 2 else []
        assert torch.equal(read(partial, **layout), torch.cat([*whole, read(alone, **layout)], dim=1))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="context.reward_of must be stride or step, got both"):
        ContextLayout(reward_of="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="context.salient must be at least 1 or null, got 0"):
        ContextLayout(salient=0)
    with pytest.raises(ValueError, match="context.stride must be at least 1, got 0"):
        ContextLayout(stride=0)
