"""The data module: settings it refuses, the meta-batches it streams, and where their randomness comes from."""

from __future__ import annotations

import math
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from environments import HORIZON, CountingEnv, NumberedTasks
from pytorch_lightning import LightningDataModule

from pearl_lightning.experience.data import MetaBatchDataModule, meta_batches, standardized
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode


def ready(seed: int = 0, rank: int = 0, observe_every: int | None = None, **settings: Any) -> MetaBatchDataModule:
    """A data module in the training of an agent, holding three context episodes of each of six tasks."""
    torch.manual_seed(seed)
    data = MetaBatchDataModule(
        CountingEnv(arenas=6),
        meta_batch=4,
        transitions=5,
        recent_context=3,
        **({"context_episodes": (1, 3)} | settings),
    )
    agent = SimpleNamespace(observe_every=observe_every)
    data.trainer = SimpleNamespace(
        global_rank=rank,
        global_step=0,
        lightning_module=agent,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.setup("fit")
    data.env.set_tasks(range(6))
    for _ in range(3):
        episode = play_episode(
            data.env, FunctionPlayer(lambda observation, step: torch.zeros(*observation.shape[:2], 3))
        )
        data.replay.extend(episode, is_context=True)
    return data


@pytest.mark.parametrize(("smallest", "largest"), [(1, 3), (2, 3), (3, 3)])
def test_meta_batches_have_the_sizes_asked_for_and_log_uniform_numbers_of_context_episodes(
    smallest: int, largest: int
) -> None:
    data = ready(context_episodes=(smallest, largest))
    numbers = []
    for _ in range(200):
        batch = data.sample()
        assert batch["transitions"].shape == (4, 5)
        tasks, episodes, steps = batch["context"].shape
        assert (tasks, steps) == (4, HORIZON)
        assert "beginning" not in batch.keys()  # noqa: SIM118  (a TensorDict iterates over its rows)
        numbers.append(episodes)
    expected = torch.zeros(4)
    for k in range(smallest, largest + 1):
        expected[k] = math.log((k + 1) / k) / math.log((largest + 1) / smallest)
    shares = torch.bincount(torch.tensor(numbers), minlength=4) / 200
    assert ((shares - expected).abs() <= 4 * (expected * (1 - expected) / 200).sqrt()).all()


@pytest.mark.parametrize(
    ("observe_every", "lengths"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3, 4]), (4, [4]), (9, [4])]
)
def test_half_of_the_meta_batches_have_one_more_context_episode_cut_off_where_an_agent_updates_its_belief(
    observe_every: int, lengths: list[int]
) -> None:
    """After each of the updates that an episode has in play, equally often; all tasks alike."""
    assert HORIZON == 4
    data, draws = ready(observe_every=observe_every, context_episodes=(1, 2)), 600
    counts = torch.zeros(2, 3, HORIZON + 1)  # [has a beginning, whole episodes, steps of the beginning]
    for _ in range(draws):
        batch = data.sample()
        is_cut, steps = "beginning" in batch.keys(), 0  # noqa: SIM118  (a TensorDict iterates over its rows)
        if is_cut:
            tasks, steps = batch["beginning"].shape
            assert tasks == 4
            assert batch["beginning", "done"].sum(dim=1).tolist() == [int(steps == HORIZON)] * 4
        assert batch["context"].shape == (4, batch["context"].shape[1], HORIZON)
        counts[int(is_cut), batch["context"].shape[1], steps] += 1
    expected = torch.zeros_like(counts)
    for episodes in (1, 2):  # log-uniform, as for an agent that does not observe within episodes
        expected[0, episodes, 0] = math.log((episodes + 1) / episodes) / math.log(3) / 2
    for episodes in (0, 1, 2):
        share = math.log((episodes + 2) / (episodes + 1)) / math.log(4) / 2
        expected[1, episodes, lengths] = share / len(lengths)
    assert ((counts / draws - expected).abs() <= 4.5 * (expected * (1 - expected) / draws).sqrt()).all()


def test_recent_context_that_cannot_hold_the_whole_episodes_and_the_running_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"recent_context must be at least 4 with belief.observe_every.*, got 3"):
        ready(observe_every=2, context_episodes=(1, 3))


def test_without_updates_in_mid_episode_the_stream_is_the_same_whoever_learns() -> None:
    agents = [ready(), ready()]
    agents[1].trainer.lightning_module = SimpleNamespace()  # an agent that knows nothing of beliefs
    for _ in range(3):
        first, second = (data.sample() for data in agents)
        assert (first == second).all()


def test_an_epoch_has_as_many_meta_batches_as_was_said_and_the_stream_goes_on() -> None:
    loader = ready(updates_per_epoch=3).train_dataloader()
    assert len(loader) == 3
    assert len(list(islice(loader, 7))) == 7
    loader.load_state_dict(loader.state_dict())


def test_the_seed_and_the_process_decide_the_stream_and_the_environments_starts() -> None:
    def drawn(data: MetaBatchDataModule) -> torch.Tensor:
        return torch.cat([data.sample()["transitions", "observation"].flatten() for _ in range(3)])

    first = ready()
    again = ready()
    torch.manual_seed(9)  # the global state plays no role any more
    assert torch.equal(drawn(first), drawn(again))
    for other in (ready(seed=1), ready(rank=1)):
        assert not torch.equal(other.env.numbers[0], first.env.numbers[0])
        draws = [data.replay.generator.initial_seed() for data in (first, other)]
        assert draws[0] != draws[1]


def test_a_second_set_up_keeps_the_replay() -> None:
    data = ready()
    held = data.replay
    data.setup("fit")
    assert data.replay is held


def test_the_replay_has_a_row_per_train_task_and_none_for_a_test_task() -> None:
    data = ready()
    assert len(data.replay) == 3 * 6 * HORIZON
    data.env.set_tasks([6, 0, 1, 2, 3, 4])
    episode = play_episode(data.env, FunctionPlayer(lambda observation, step: torch.zeros(*observation.shape[:2], 3)))
    with pytest.raises(ValueError, match=r"only train tasks \[0, 6\) are stored, got \[0, 6\]"):
        data.replay.extend(episode, is_context=True)


@pytest.mark.parametrize("name", ["meta_batch", "transitions", "updates_per_epoch"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        MetaBatchDataModule(CountingEnv(), **{name: 0})


@pytest.mark.parametrize("episodes", [(0, 1), (2, 1), (1, 5), (1,), (1, 2, 3)])
def test_numbers_of_context_episodes_out_of_order_or_range_are_refused(episodes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"context_episodes must be \[smallest, largest\].*\(4\), got"):
        MetaBatchDataModule(CountingEnv(), context_episodes=episodes, recent_context=4)


def test_callbacks_refuse_another_kind_of_data() -> None:
    data = MetaBatchDataModule(CountingEnv(tasks=NumberedTasks()))
    assert meta_batches(SimpleNamespace(datamodule=data)) is data
    with pytest.raises(TypeError, match="must be a MetaBatchDataModule, got LightningDataModule"):
        meta_batches(SimpleNamespace(datamodule=LightningDataModule()))
    with pytest.raises(TypeError, match="must be a MetaBatchDataModule, got NoneType"):
        meta_batches(SimpleNamespace())


def test_only_an_environment_that_writes_events_for_tasks_that_differ_in_their_pay_can_be_relabelled() -> None:
    env = CountingEnv()
    MetaBatchDataModule(env, relabelled=0.0)
    with pytest.raises(ValueError, match=r"relabelled must be in \[0, 1\], got 1.5"):
        MetaBatchDataModule(env, relabelled=1.5)
    with pytest.raises(ValueError, match="relabelled must be 0 for an env without events or tasks without .*, got 0.5"):
        MetaBatchDataModule(env, relabelled=0.5)


def test_what_tells_the_tasks_has_mean_0_and_variance_1_and_is_0_where_it_is_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    alike = torch.full((50, 1), 1000.1)
    flags = torch.randint(2, (50, 1), generator=generator)
    told = standardized(torch.cat([3 + 7 * torch.randn(50, 2, generator=generator), flags, alike], dim=1))
    assert told is not None
    torch.testing.assert_close(told.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(told.var(dim=0, correction=0), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    assert torch.equal(told[:, 2] > 0, flags[:, 0] > 0)
    assert told.dtype == torch.float32
    assert standardized(None) is None


@pytest.mark.parametrize("told", [torch.ones(5), torch.tensor([[1.0, float("nan")]])])
def test_what_cannot_tell_tasks_is_refused(told: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"descriptors must be finite numbers \[task, number\], got shape"):
        standardized(told)


@pytest.mark.parametrize(("setting", "expected"), [("cpu", "cpu"), ("agent", "cuda")])
@pytest.mark.parametrize("free", [1, 1 << 40])
def test_the_replay_is_where_it_was_asked_for(
    setting: str, expected: str, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device_of_replay(setting, free, monkeypatch) == expected


def test_with_auto_it_is_on_a_gpu_if_a_full_one_takes_at_most_half_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = ready(episodes_per_task=3)  # which is full
    stored = sum(part.numel() * part.element_size() for part in data.replay.buffer.storage.get(slice(None)).values())
    assert device_of_replay("auto", 3 * stored, monkeypatch, episodes_per_task=3) == "cuda"
    assert device_of_replay("auto", stored, monkeypatch, episodes_per_task=3) == "cpu"


def device_of_replay(setting: str, free: int, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    """Type of the device that a setting gives beside an agent on a GPU with some free memory in bytes."""
    data = ready(replay_device=setting, **settings)
    assert data.replay.device.type == "cpu"  # that of the agent
    data.trainer.strategy.root_device = torch.device("cuda")  # type: ignore[union-attr]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 2 * free))
    return data._device_of_replay().type


def test_an_unknown_device_of_the_replay_is_named() -> None:
    with pytest.raises(ValueError, match="replay_device must be one of cpu, agent, auto, got gpu"):
        ready(replay_device="gpu")
