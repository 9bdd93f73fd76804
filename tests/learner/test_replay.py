"""The replay's two samplers, its ring, and its way through a checkpoint, on episodes that tell their origin."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import psutil
import pytest
import torch
from marked_episodes import AGENTS, HORIZON, chi_square, ends, episodes_of, filled_replay, marked_episodes
from tensordict import TensorDict

from pearl_lightning.experience.replay import TaskReplay

MIXED = [(0, 1, True), (1, 1, True), (1, 2, True), (2, 1, True), (2, 2, False), (2, 3, True), (2, 4, False)]


def assert_equal(ours: TensorDict, theirs: TensorDict) -> None:
    assert set(ours.keys(True, True)) == set(theirs.keys(True, True))
    for key in ours.keys(True, True):
        assert torch.equal(ours[key], theirs[key]), key


def test_a_transition_is_one_agents_row_and_the_next_row_of_the_same_episode() -> None:
    batch = filled_replay(MIXED).sample(3, 400, 1)[0]["transitions"]
    assert batch.shape == (3, 400)
    task, episode, row, agent = batch["observation"].unbind(-1)
    assert (task == task[:, :1]).all()
    assert sorted(task[:, 0].tolist()) == [0, 1, 2]
    assert float(row.max()) == HORIZON - 1  # the final observation starts no transition
    following = torch.stack([task, episode, row + 1, agent], dim=-1)
    assert torch.equal(batch["next_observation"], following)
    assert torch.equal(batch["action"], batch["observation"][..., :3] + 0.25)
    paid = -(1000 * task + 100 * episode + 10 * row + agent)  # the training reward
    assert torch.equal(batch["reward"], paid.unsqueeze(-1))
    assert torch.equal(batch["terminated"], ends(episode, row))


@pytest.mark.parametrize("n_steps", [2, 4, 99])
def test_rewards_of_several_steps_belong_to_one_episode_and_end_with_it(n_steps: int) -> None:
    batch = filled_replay(MIXED, n_steps=n_steps).sample(3, 200, 1)[0]["transitions"]
    task, episode, row, agent = batch["observation"].unbind(-1)
    steps = (HORIZON - row).clamp_max(n_steps)
    assert torch.equal(batch["steps"], steps.long())
    assert torch.equal(batch["next_observation"], torch.stack([task, episode, row + steps, agent], dim=-1))
    assert torch.equal(batch["terminated"], ends(episode, row + steps - 1))
    assert batch["reward"].shape == (3, 200, n_steps)
    for ahead in range(n_steps):
        paid = -(1000 * task + 100 * episode + 10 * (row + ahead) + agent)
        assert torch.equal(batch["reward"][..., ahead], torch.where(ahead < steps, paid, 0.0))


def test_a_meta_batch_holds_what_tells_its_tasks() -> None:
    replay = filled_replay(MIXED, descriptors=torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]))
    batch, _ = replay.sample(2, 5, 1)
    task = batch["transitions", "observation"][:, 0, 0]
    assert torch.equal(batch["descriptor"], torch.stack([10 * task, 10 * task + 1], dim=-1))


def test_transitions_are_uniform_over_all_episodes_steps_and_agents_of_the_task() -> None:
    replay = filled_replay(MIXED)
    observation = replay.sample(3, 60_000, 1)[0]["transitions"]["observation"].long()
    for task, stored in ((0, 1), (1, 2), (2, 4)):
        _, episode, row, agent = observation[observation[:, 0, 0] == task][0].unbind(-1)
        cell = ((episode - 1) * HORIZON + row) * AGENTS + agent
        counts = torch.bincount(cell, minlength=stored * HORIZON * AGENTS)
        assert len(counts) == stored * HORIZON * AGENTS
        assert abs(chi_square(counts)) < 4


def test_context_is_whole_episodes_in_order_from_the_recent_marked_ones() -> None:
    replay = filled_replay([*MIXED, (1, 3, True), (1, 4, False)], recent_context=2)
    eligible = {0: {1}, 1: {2, 3}, 2: {1, 3}}
    seen: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for _ in range(60):
        context = replay.sample(3, 1, 1)[0]["context"]
        assert context.shape == (3, 1, HORIZON)
        task, episode, row, agent = context["observation"].unbind(-1)
        assert torch.equal(row, torch.arange(HORIZON).view(1, 1, -1, 1).expand_as(row))
        assert torch.equal(context["next_observation"], torch.stack([task, episode, row + 1, agent], dim=-1))
        assert torch.equal(context["done"], row[..., 0] == HORIZON - 1)
        assert torch.equal(agent, torch.arange(AGENTS).view(1, 1, 1, -1).expand_as(agent))
        assert (task == task[:, :1, :1, :1]).all()
        assert (episode == episode[:, :, :1, :1]).all()
        assert torch.equal(context["action"], context["observation"][..., :3] + 0.25)
        assert torch.equal(context["reward"], 1000 * task + 100 * episode + 10 * row + agent)  # the task's own reward
        for index, number in episodes_of(context["observation"]):
            seen[index].add(number)
    assert seen == eligible


@pytest.mark.parametrize("beginning", [1, 3, HORIZON])
@pytest.mark.parametrize("episodes", [1, 2])
def test_the_last_context_episode_may_be_cut_off_after_its_beginning(episodes: int, beginning: int) -> None:
    """Nothing else of the meta-batch changes."""
    whole, cut = (filled_replay(MIXED[1:]) for _ in range(2))
    for _ in range(5):
        expected, batch = whole.sample(2, 4, episodes)[0], cut.sample(2, 4, episodes, beginning=beginning)[0]
        assert_equal(batch["transitions"], expected["transitions"])
        assert_equal(batch["context"], expected["context"][:, : episodes - 1])
        assert_equal(batch["beginning"], expected["context"][:, episodes - 1, :beginning])
        assert batch["beginning"].shape == (2, beginning)
        assert bool(batch["beginning", "done"].any()) == (beginning == HORIZON)


def paying_replay(relabelled: float) -> tuple[TaskReplay, torch.Tensor]:
    """Four tasks with two context episodes each, whose two events are (episode, row) + 1; and what each task pays."""
    weights = torch.tensor([1.0, 10.0]) ** torch.arange(1.0, 5.0).view(4, 1, 1) * torch.tensor([1.0, 2.0, 3.0]).view(
        1, 3, 1
    )
    replay = TaskReplay(
        tasks=4,
        episodes_per_task=4,
        horizon=HORIZON,
        recent_context=2,
        generator=torch.Generator().manual_seed(0),
        relabelled=relabelled,
        event_weights=weights,
        n_steps=2,
        descriptors=torch.arange(4.0).unsqueeze(1),
    )
    for task, number in product(range(4), (1, 2)):
        episode = marked_episodes([task], [number])
        episode["events"] = episode["observation"][..., 1:3] + 1
        episode["reward"] = episode["training_reward"] = (episode["events"] * weights[task]).sum(dim=-1)
        replay.extend(episode, True)
    return replay, weights


@pytest.mark.parametrize("relabelled", [0.0, 0.5, 1.0])
def test_a_share_of_the_tasks_is_given_anothers_data_paid_as_its_own(relabelled: float) -> None:
    replay, weights = paying_replay(relabelled)
    given = []
    for _ in range(200):
        batch, _ = replay.sample(3, 8, 1)
        payers = []
        for transitions, context, told in zip(batch["transitions"], batch["context"], batch["descriptor"], strict=True):
            source = transitions["observation"][..., 0].unique()
            assert torch.equal(source, context["observation"][..., 0].unique())
            assert len(source) == 1
            paid = []  # tasks that would pay so
            second = transitions["observation"] + torch.tensor([0, 0, 1, 0])  # the row after
            last = transitions["steps"] == 1
            assert not transitions["reward"][last, 1].any()
            for seen, reward in (
                (transitions["observation"], transitions["reward"][..., 0]),
                (second[~last], transitions["reward"][~last, 1]),
                (context["observation"], context["reward"]),
            ):
                agent, events = seen[..., 3].long(), seen[..., 1:3] + 1
                paid += [{task for task in range(4) if torch.allclose((events * weights[task, agent]).sum(-1), reward)}]
            (payer,) = set.intersection(*paid)
            assert payer == int(told)
            payers.append(payer)
            given.append(payer != int(source))
        assert len(set(payers)) == 3  # the tasks of a meta-batch are different ones still
    assert sum(given) / len(given) == pytest.approx(relabelled * 3 / 4, abs=0.06)


@pytest.mark.parametrize(
    ("share", "message"), [(1.5, r"must be in \[0, 1\], got 1.5"), (0.5, "must be 0 without event_weights")]
)
def test_a_share_that_cannot_be_relabelled_is_refused(share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskReplay(
            tasks=1, episodes_per_task=1, horizon=1, recent_context=1, generator=torch.Generator(), relabelled=share
        )


def test_context_and_transitions_of_a_row_are_of_the_same_task() -> None:
    batch = filled_replay(MIXED).sample(3, 4, 1)[0]
    assert torch.equal(batch["transitions", "observation"][:, 0, 0], batch["context", "observation"][:, 0, 0, 0, 0])


def test_every_pair_of_recent_episodes_is_drawn_equally_often() -> None:
    replay = filled_replay([(0, n, True) for n in range(6)], tasks=1, episodes_per_task=6, recent_context=4)
    pairs = [pair for pair in combinations(range(2, 6), 2)]
    counts = torch.zeros(len(pairs))
    for _ in range(300):
        drawn = episodes_of(replay.sample(1, 1, 2)[0]["context"]["observation"])
        counts[pairs.index((drawn[0][1], drawn[1][1]))] += 1  # two different ones
    assert chi_square(counts) < 4


def test_fewer_context_episodes_are_given_while_a_task_has_fewer() -> None:
    assert filled_replay(MIXED).sample(3, 1, 2)[0]["context"].shape == (3, 1, HORIZON)
    assert filled_replay(MIXED[1:]).sample(3, 1, 2)[0]["context"].shape == (2, 2, HORIZON)


def test_tasks_differ_within_a_meta_batch_and_are_uniform_over_those_with_data() -> None:
    replay = filled_replay([(task, 1, True) for task in (0, 2, 3, 4)], tasks=6)
    counts = torch.zeros(6)
    for _ in range(150):
        drawn = replay.sample(2, 1, 1)[0]["transitions", "observation"][:, 0, 0].long()
        assert drawn[0] != drawn[1]
        counts[drawn] += 1
    assert counts[[1, 5]].sum() == 0
    assert chi_square(counts[[0, 2, 3, 4]]) < 4
    assert replay.sample(6, 1, 1)[0].shape == (4,)


def test_the_ring_of_a_task_overwrites_its_oldest_episode_and_no_other_tasks() -> None:
    replay = filled_replay([(1, 0, True), *((0, number, True) for number in range(7))], recent_context=4)
    assert len(replay) == (4 + 1) * HORIZON
    assert episodes_of(replay.sample(3, 500, 1)[0]["transitions", "observation"]) == [
        *((0, n) for n in range(3, 7)),
        (1, 0),
    ]


def test_context_that_was_overwritten_is_not_given() -> None:
    replay = filled_replay([(0, 0, True), (0, 1, True), *((0, number, False) for number in range(2, 5))])
    for _ in range(20):
        assert episodes_of(replay.sample(1, 1, 2)[0]["context", "observation"]) == [(0, 1)]
    replay.extend(marked_episodes([0], [5]), False)
    with pytest.raises(RuntimeError, match="a task has episodes but no context episode"):
        replay.sample(1, 1, 1)


def test_age_is_the_mean_number_of_updates_since_the_context_was_played() -> None:
    replay = filled_replay([], recent_context=4)
    for number, update in enumerate((0, 30, 100)):
        replay.extend(marked_episodes([0, 1], [number, number]), True, update)
    assert float(replay.sample(2, 1, 3)[1]["age"]) == pytest.approx((100 + 70 + 0) / 3)


@pytest.mark.parametrize("field", ["observation", "action", "reward", "training_reward"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_stored(field: str, value: float) -> None:
    replay, episodes = filled_replay([]), marked_episodes([0, 1], [0, 0])
    episodes[field][1, 2, 1] = value
    with pytest.raises(ValueError, match=f"episodes must be finite, but {field} is not"):
        replay.extend(episodes, True)
    assert len(replay) == 0


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        (marked_episodes([0], [0], horizon=HORIZON - 1), "episodes must have 6 rows, got 5"),
        (marked_episodes([0, 3], [0, 0]), r"only train tasks \[0, 3\) are stored, got \[0, 3\]"),
        (marked_episodes([0] * 5, [0] * 5), r"episodes_per_task \(4\) is less than the episodes of one task"),
    ],
)
def test_episodes_that_do_not_fit_are_refused_and_nothing_is_stored(episodes: TensorDict, message: str) -> None:
    replay = filled_replay([])
    with pytest.raises(ValueError, match=message):
        replay.extend(episodes, True)
    assert len(replay) == 0


@pytest.mark.parametrize("name", ["tasks", "episodes_per_task", "recent_context"])
def test_sizes_below_one_are_refused(name: str) -> None:
    sizes = {"tasks": 2, "episodes_per_task": 2, "recent_context": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        TaskReplay(**sizes, horizon=HORIZON, generator=torch.Generator())


def test_what_was_saved_comes_back_bit_for_bit_and_draws_the_same(tmp_path: Path) -> None:
    replay = filled_replay([*MIXED, *((1, number, True) for number in range(3, 8))])
    replay.sample(3, 7, 1)  # the generator has moved on
    replay.save(tmp_path / "replay")
    resumed = filled_replay([(0, 9, False)])  # what it held is gone after loading
    resumed.load(tmp_path / "replay")
    assert len(resumed) == len(replay)
    for _ in range(3):
        (ours, our_age), (theirs, their_age) = replay.sample(3, 200, 2), resumed.sample(3, 200, 2)
        assert_equal(ours, theirs)
        assert torch.equal(our_age["age"], their_age["age"])
    for other in (replay, resumed):  # and goes on the same
        other.extend(marked_episodes([0, 1], [8, 9]), True, update=50)
    assert_equal(replay.sample(3, 500, 2)[0], resumed.sample(3, 500, 2)[0])


def test_an_empty_replay_survives_saving(tmp_path: Path) -> None:
    filled_replay([]).save(tmp_path / "replay")
    resumed = filled_replay([])
    resumed.load(tmp_path / "replay")
    assert len(resumed) == 0


def test_a_replay_of_another_shape_is_refused(tmp_path: Path) -> None:
    filled_replay(MIXED).save(tmp_path / "replay")
    with pytest.raises(ValueError, match="keep the number of tasks and episodes_per_task to resume"):
        filled_replay([], episodes_per_task=5).load(tmp_path / "replay")


@pytest.mark.parametrize("horizon", [HORIZON - 2, HORIZON + 2])
def test_a_replay_with_episodes_of_another_length_is_refused(horizon: int, tmp_path: Path) -> None:
    filled_replay(MIXED).save(tmp_path / "replay")
    other = TaskReplay(tasks=3, episodes_per_task=4, horizon=horizon, recent_context=2, generator=torch.Generator())
    message = f"has episodes of {HORIZON} steps, this run needs {horizon}: keep the length of an episode to resume"
    with pytest.raises(ValueError, match=message):
        other.load(tmp_path / "replay")


def test_a_replay_without_events_is_refused_if_tasks_are_relabelled(tmp_path: Path) -> None:
    filled_replay(MIXED).save(tmp_path / "replay")
    relabelled = filled_replay([], relabelled=0.5, event_weights=torch.ones(3, AGENTS, 2))
    with pytest.raises(ValueError, match="the saved replay has no events: keep data.relabelled 0 to resume"):
        relabelled.load(tmp_path / "replay")


def test_a_context_keeps_its_age_if_a_new_run_counts_from_zero() -> None:
    replay = filled_replay([])
    replay.extend(marked_episodes([0], [0]), True, update=4)
    assert float(replay.sample(1, 1, 1, update=10)[1]["age"]) == 6
    assert float(replay.sample(1, 1, 1, update=0)[1]["age"]) == 6
    assert float(replay.sample(1, 1, 1, update=3)[1]["age"]) == 9


def test_memory_and_files_grow_with_what_is_held(tmp_path: Path) -> None:
    process, horizon = psutil.Process(), 150
    replay = TaskReplay(
        tasks=100, episodes_per_task=1_000, horizon=horizon, recent_context=4, generator=torch.Generator()
    )
    episodes = marked_episodes(list(range(50)), [0] * 50, horizon)
    before = process.memory_info().rss
    replay.extend(episodes, True)
    capacity = 2_000 * episodes.bytes()
    assert process.memory_info().rss - before < capacity / 50  # of about 1.9 GB, one part in 2,000 is held
    replay.save(tmp_path / "replay")
    assert sum(file.stat().st_size for file in (tmp_path / "replay").rglob("*")) < 20 * episodes.bytes()
