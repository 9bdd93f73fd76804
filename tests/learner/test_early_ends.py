"""Episodes that end at different steps in every arena, against plain Python loops over what was really played."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from environments import CountingEnv
from ragged import AGENTS, ARENAS, HORIZON, SPACE, RaggedEnv
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs.utils import check_env_specs

from pearl_lightning.agents.clipped_objective import ClippedObjective
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.callbacks.collector import Collector
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.envs.ray.env import RayEnv
from pearl_lightning.envs.ray.workers import ArenaWorker
from pearl_lightning.evaluation import evaluate_adaptation
from pearl_lightning.experience.player import FunctionPlayer, Player, UniformPlayer
from pearl_lightning.experience.progress import Progress
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference import encoders
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import PosteriorCondition
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.steps import steps_of

ENCODERS = [name for name in encoders.__all__ if name not in ("ContextEncoder", "ContextFreeEncoder")]


def act(observation: Tensor, step: int) -> Tensor:
    return torch.stack([observation[..., 1] / 10 - observation[..., 2] / 5, observation[..., 1] % 3], dim=-1)


def played_once(env: RaggedEnv) -> tuple[TensorDict, list[int]]:
    rows = play_episode(env, FunctionPlayer(act))
    return rows, env.drawn[-1].tolist()


def test_it_passes_torchrls_checks() -> None:
    check_env_specs(RaggedEnv())


@pytest.mark.parametrize("seed", range(5))
def test_rows_hold_what_was_played_and_padding_repeats_the_end(seed: int) -> None:
    env = RaggedEnv()
    env.set_seed(seed)
    rows, lengths = played_once(env)
    assert rows.shape == (ARENAS, HORIZON + 1)
    for arena, length in enumerate(lengths):
        for row in range(HORIZON + 1):
            seen, was_played = min(row, length), row < length
            expected = [[float(arena), float(seen), float(agent)] for agent in range(AGENTS)]
            assert rows["observation"][arena, row].tolist() == expected
            assert bool(rows["played"][arena, row]) is was_played
            assert bool(rows["terminated"][arena, row]) is (row == length - 1 and length % 2 == 1)
            reward = [
                row + 1 + float(act(rows["observation"], 0)[arena, row, agent, 0]) / 10 for agent in range(AGENTS)
            ]
            torch.testing.assert_close(rows["reward"][arena, row], torch.tensor(reward) * was_played)
        assert float(rows["outcome"][arena, -1]) == float(arena > 0)


@pytest.mark.parametrize("length", [1, 3, HORIZON])
def test_an_episode_is_over_when_every_arena_has_ended(length: int) -> None:
    env = RaggedEnv(lengths=[1, *[length] * (ARENAS - 1)])
    rows, _ = played_once(env)
    assert env.step_number == length
    assert rows["played"].sum(dim=1).tolist() == [1, *[length] * (ARENAS - 1)]


def test_the_horizon_truncates_what_has_not_ended() -> None:
    env = RaggedEnv(lengths=[2, *[99] * (ARENAS - 1)])
    rows, _ = played_once(env)
    assert rows["played"].sum(dim=1).tolist() == [2, *[HORIZON] * (ARENAS - 1)]
    assert not rows["terminated"].any()
    state = env.reset()
    for _ in range(HORIZON):
        state = env.step(TensorDict({"agents": {"action": torch.zeros(ARENAS, AGENTS, 2)}}, [ARENAS]))["next"]
    assert state["truncated"].all()
    assert state["done"].all()


def test_counters_count_the_steps_that_were_played() -> None:
    env, progress = RaggedEnv(), Progress()
    rows, lengths = played_once(env)
    mean_return = Collector.count(progress, rows)
    assert (progress.env_steps, progress.transitions, progress.episodes) == (
        sum(lengths),
        sum(lengths) * AGENTS,
        ARENAS,
    )
    expected = sum(float(rows["reward"][arena, :length].sum()) for arena, length in enumerate(lengths)) / ARENAS
    assert mean_return == pytest.approx(expected)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_the_replay_draws_every_played_step_alike_and_no_padding(n_steps: int) -> None:
    env = RaggedEnv(arenas=2)
    replay = TaskReplay(
        tasks=2,
        episodes_per_task=3,
        horizon=HORIZON,
        recent_context=3,
        generator=torch.Generator().manual_seed(0),
        n_steps=n_steps,
    )
    stored = []
    for _ in range(4):  # the first episode is replaced by the last
        rows, lengths = played_once(env)
        replay.extend(rows, is_context=True)
        stored.append((rows, lengths))
    kept, draws = stored[1:], 20_000
    assert len(replay) == sum(sum(lengths) for _, lengths in kept)
    batch = replay.sample(2, draws, 1)[0]["transitions"]
    for position in range(2):
        task = int(batch["observation"][position, 0, 0])
        episodes = [(rows[task], lengths[task]) for rows, lengths in kept]
        total = sum(length for _, length in episodes)
        expected_count = {step: draws * sum(length > step for _, length in episodes) / total for step in range(HORIZON)}
        steps = batch["observation"][position, :, 1].long()
        for step, expected in expected_count.items():
            assert abs(int((steps == step).sum()) - expected) < 5 * max(expected, 1) ** 0.5
        drawn = zip(steps[:200].tolist(), batch[position, :200], strict=True)
        for step, item in drawn:
            agent = int(item["observation"][2])
            number = int(item["steps"])
            followed = int(item["next_observation"][1])
            assert followed == step + number
            matching = [(rows, n) for rows, n in episodes if n > step and number == min(n_steps, n - step)]
            assert matching
            rows, _ = matching[0]  # rewards depend on step and agent only
            rewards = [float(rows["reward"][step + k, agent]) if k < number else 0.0 for k in range(n_steps)]
            torch.testing.assert_close(item["reward"], torch.tensor(rewards))
            is_terminated = {bool(rows["terminated"][step + number - 1]) for rows, _ in matching}
            assert bool(item["terminated"]) in is_terminated


def make_agent(name: str, stride: int, salient: int | None, observe_every: int | None = None) -> PEARL:
    torch.manual_seed(0)
    context = ContextLayout(stride=stride, salient=salient, next_observation=True)
    config = BeliefConfig(context=context, condition=PosteriorCondition, observe_every=observe_every)
    encoder = partial(getattr(encoders, name), latent_dim=3, hidden=(16,))
    return PEARL(3, SPACE, encoder=encoder, belief=config)


def of_one_arena(agent: PEARL, episodes: list[TensorDict], lengths: list[list[int]], arena: int) -> Any:
    """The posterior of an arena, from the steps that were played alone: an episode as if it had been shorter."""
    read = []
    for rows, each in zip(episodes, lengths, strict=True):
        steps = steps_of(rows[arena : arena + 1, : each[arena] + 1])
        read.append(agent.context.encoder_input(agent.context.transitions(steps)))
    with torch.no_grad():
        return agent.encoder(torch.cat(read, dim=1))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(("stride", "salient"), [(1, None), (3, None), (1, 5), (2, 3)])
def test_padding_never_reaches_an_encoder(name: str, stride: int, salient: int | None) -> None:
    agent, env = make_agent(name, stride, salient), RaggedEnv()
    episodes, lengths = zip(*(played_once(env) for _ in range(3)), strict=True)
    context = torch.stack([steps_of(rows) for rows in episodes], dim=1)
    transitions, played = agent.context.of_meta_batch(TensorDict({"context": context}, [ARENAS]))
    with torch.no_grad():
        posterior = agent.encoder(agent.context.encoder_input(transitions), played)
    belief = agent.prior(ARENAS)
    for rows in episodes:
        belief.observe(steps_of(rows))
    for arena in range(ARENAS):
        alone = of_one_arena(agent, list(episodes), list(lengths), arena)
        for together, in_play, expected in zip(posterior, belief.posterior(), alone, strict=True):
            torch.testing.assert_close(together[arena], expected[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(in_play[arena], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("observe_every", [None, 1, 3])
def test_a_belief_in_play_rests_on_what_was_played(name: str, observe_every: int | None) -> None:
    agent, env = make_agent(name, 2, None, observe_every), RaggedEnv()
    player = Player(agent, ARENAS, generator=torch.Generator().manual_seed(0))
    episodes, lengths = [], []
    for _ in range(2):
        episodes.append(play_episode(env, player))
        lengths.append(env.drawn[-1].tolist())
    for arena in range(ARENAS):
        alone = of_one_arena(agent, episodes, lengths, arena)
        for in_play, expected in zip(player.belief.posterior(), alone, strict=True):
            torch.testing.assert_close(in_play[arena], expected[0], rtol=1e-4, atol=1e-5)


def test_ppo_learns_from_the_played_steps_alone_with_their_own_advantages() -> None:
    torch.manual_seed(0)
    agent, env = PPO(3, SPACE, value_hidden=(8,), objective=ClippedObjective(discount=0.9, gae_lambda=0.8)), RaggedEnv()
    rows, lengths = played_once(env)
    items = agent.experience([rows])
    assert len(items) == sum(lengths) * AGENTS
    first = 0
    for arena, length in enumerate(lengths):
        values = agent.value(rows["observation"][arena])[..., 0]  # [row, agent]
        for agent_number in range(AGENTS):
            advantage = 0.0
            for step in reversed(range(length)):
                is_last = step == length - 1
                bootstrap = 0.0 if is_last and length % 2 == 1 else float(values[step + 1, agent_number])
                error = (
                    float(rows["reward"][arena, step, agent_number])
                    + 0.9 * bootstrap
                    - float(values[step, agent_number])
                )
                advantage = error + (0.0 if is_last else 0.9 * 0.8 * advantage)
                item = items[first + step * AGENTS + agent_number]
                assert item["observation"].tolist() == rows["observation"][arena, step, agent_number].tolist()
                assert float(item["advantage"]) == pytest.approx(advantage, rel=1e-4, abs=1e-5)
        first += length * AGENTS


def test_an_evaluation_sums_and_counts_what_was_played() -> None:
    agent, env = make_agent("MeanEncoder", 1, None), RaggedEnv()
    result = evaluate_adaptation(env, agent, range(ARENAS), episodes=3, seed=4)
    lengths = torch.stack(env.drawn[-3:], dim=1)  # [arena, episode]
    assert result.env_steps == int(lengths.sum())
    base = torch.tensor([[AGENTS * n * (n + 1) / 2 for n in row] for row in lengths.tolist()])
    assert (torch.from_numpy(result.returns[:, 0]) - base).abs().max() <= AGENTS * HORIZON / 10
    assert result.trace is not None
    assert result.trace.mean.shape[:2] == (ARENAS, 1 + 3 * HORIZON)
    assert result.outcomes is not None
    assert (result.outcomes[:, 0] == torch.arange(ARENAS).sign().unsqueeze(1).numpy()).all()


def test_a_pearl_learns_from_ragged_episodes() -> None:
    agent, env = make_agent("GaussianProductEncoder", 1, None), RaggedEnv()
    replay = TaskReplay(
        tasks=ARENAS,
        episodes_per_task=4,
        horizon=HORIZON,
        recent_context=4,
        generator=torch.Generator().manual_seed(0),
    )
    for _ in range(3):
        replay.extend(played_once(env)[0], is_context=True)
    for beginning in (None, 3):
        losses = agent.losses(replay.sample(4, 8, 2, beginning=beginning)[0])
        assert all(bool(value.isfinite()) for value in losses.values())


@pytest.mark.parametrize("make_env", [CountingEnv, RaggedEnv])
@pytest.mark.parametrize("layout", [{}, {"stride": 2}, {"stride": 3, "salient": 2}])
@pytest.mark.parametrize("name", ENCODERS)
def test_an_episode_that_keeps_its_shape_is_read_as_one_that_is_cut(
    name: str, layout: dict[str, int], make_env: type[MetaEnv]
) -> None:
    torch.manual_seed(0)
    env = make_env(arenas=ARENAS)  # type: ignore[call-arg]
    encoder = partial(getattr(encoders, name), latent_dim=3)
    belief = BeliefConfig(context=ContextLayout(**layout))
    agent = PEARL(env.features, env.action_space, encoder=encoder, belief=belief)
    env.set_tasks(range(ARENAS))
    episodes = [play_episode(env, UniformPlayer(env.action_space, 1)) for _ in range(2)]
    posteriors: dict[bool, list[Tensor]] = {}
    for keep_shapes in (True, False):
        replay = TaskReplay(
            tasks=ARENAS,
            episodes_per_task=2,
            horizon=env.horizon,
            recent_context=2,
            generator=torch.Generator().manual_seed(0),
            keep_shapes=keep_shapes,
        )
        for rows in episodes:
            replay.extend(rows, is_context=True)
        found = posteriors[keep_shapes] = []
        for number in (1, 2):
            for steps in (1, 3, env.horizon):
                batch = replay.sample(ARENAS, 1, number, beginning=steps)[0]
                assert batch["beginning"].shape == (ARENAS, env.horizon if keep_shapes else steps)
                transitions, played = agent.context.of_meta_batch(batch)
                found += agent.encoder(agent.context.encoder_input(transitions), played)
    for kept, cut in zip(posteriors[True], posteriors[False], strict=True):
        torch.testing.assert_close(kept, cut, rtol=1e-4, atol=1e-5)


class LocalWorkers:
    """Workers of a ``RayEnv`` in this process."""

    def __init__(self, count: int) -> None:
        self.workers = [ArenaWorker() for _ in range(count)]
        self.machines = ["here"] * count
        for worker in self.workers:
            worker.start(partial(RaggedEnv, arenas=3))

    def start(self) -> list[int]:
        return []

    def ask(self, method: str, arguments: list[tuple[Any, ...]], timeout: float) -> list[Any]:
        return [getattr(worker, method)(*each) for worker, each in zip(self.workers, arguments, strict=True)]

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("seed", range(3))
def test_workers_whose_arenas_have_ended_wait_for_the_others(seed: int) -> None:
    pytest.importorskip("ray", reason="Ray is optional")
    env = RayEnv(env=partial(RaggedEnv, arenas=3), workers=2)
    workers = LocalWorkers(2)
    env.workers = workers  # type: ignore[assignment]
    env.set_seed(seed)
    env.set_tasks([0, 1, 2, 2, 1, 0])
    rows = play_episode(env, FunctionPlayer(act))
    lengths = torch.cat([worker.env.drawn[-1] for worker in workers.workers])  # type: ignore[attr-defined]
    assert torch.equal(rows["played"].sum(dim=1), lengths)
    alone = RaggedEnv(lengths=lengths.tolist())
    alone.set_tasks([0, 1, 2, 2, 1, 0])
    expected = play_episode(alone, FunctionPlayer(act))
    for name in ("observation", "reward", "terminated", "outcome", "played"):
        assert torch.equal(rows[name], expected[name]), name
    env.close(raise_if_closed=False)
