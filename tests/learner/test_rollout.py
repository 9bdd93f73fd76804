"""Playing tasks: what an episode's rows hold, lost episodes, and the belief an agent acts on."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from environments import AGENTS, FEATURES, HORIZON, SPACE, CountingEnv, SpoiltEnv
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.evaluation import evaluate_adaptation
from pearl_lightning.experience.finite import is_finite
from pearl_lightning.experience.player import FunctionPlayer, Player
from pearl_lightning.experience.replay import TaskReplay
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.belief import BeliefConfig, GaussianBelief
from pearl_lightning.inference.conditions import PosteriorCondition
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.steps import steps_of


class RecordingAgent:
    """PEARL that notes condition and observation of every step."""

    def __init__(self, *, stride: int = 1, **settings: Any) -> None:
        torch.manual_seed(0)
        belief = BeliefConfig(context=ContextLayout(stride=stride), **settings)
        self.pearl = PEARL(FEATURES, SPACE, belief=belief)
        self.observe_every, self.resample_every = self.pearl.observe_every, self.pearl.resample_every
        self.z: list[Tensor] = []

    def prior(self, arenas: int) -> GaussianBelief:
        return self.pearl.prior(arenas)

    def act(self, observation: Tensor, condition: Tensor, *arguments: Any) -> Tensor:
        self.z.append(condition)
        return self.pearl.act(observation, condition, *arguments)

    def posterior_of(self, episodes: list[TensorDict], steps: int = HORIZON) -> tuple[Tensor, Tensor]:
        """The encoder's one-shot posterior ``[arena, latent]`` given episodes, the last one's first steps alone."""
        parts = [steps_of(episode) for episode in episodes]
        parts[-1] = parts[-1][:, :steps]
        read = [self.pearl.context.encoder_input(self.pearl.context.transitions(part)) for part in parts]
        with torch.no_grad():
            return self.pearl.encoder(torch.cat(read, dim=1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def act(observation: Tensor, _: int) -> Tensor:
    """A legal action that depends on step and agent."""
    return torch.stack([observation[..., 1] / 10, observation[..., 2] / 10, observation[..., 1] % 3], dim=-1)


@pytest.mark.parametrize("has_training_reward", [False, True])
def test_rows_hold_what_was_seen_played_and_paid(has_training_reward: bool) -> None:
    env = CountingEnv(has_training_reward=has_training_reward)
    env.set_tasks([5, 0, 8, 2])
    rows = play_episode(env, FunctionPlayer(act))
    assert rows.shape == (4, HORIZON + 1)
    steps = torch.arange(HORIZON + 1).float()
    assert torch.equal(rows["observation"][..., 0], env.numbers[0].view(4, 1, 1).expand(4, HORIZON + 1, AGENTS))
    assert torch.equal(rows["observation"][..., 1], steps.view(1, -1, 1).expand(4, -1, AGENTS))
    assert torch.equal(rows["action"][:, :HORIZON], act(rows["observation"][:, :HORIZON], 0))
    paid = torch.tensor([5.0, 0, 8, 2]).view(4, 1, 1) + steps[:HORIZON].view(1, -1, 1) / 10
    torch.testing.assert_close(rows["reward"][:, :HORIZON], paid.expand(4, HORIZON, AGENTS))
    torch.testing.assert_close(
        rows["training_reward"][:, :HORIZON], rows["reward"][:, :HORIZON] + 100 * has_training_reward
    )
    assert rows["terminated"].tolist() == [[False] * (HORIZON - 1) + [True, False]] * 4
    assert rows["task"].tolist() == [[task] * (HORIZON + 1) for task in (5, 0, 8, 2)]
    assert torch.equal(rows["outcome"][:, -1], env.numbers[0].sign())
    for name in ("action", "reward", "training_reward"):
        assert (rows[name][:, -1] == 0).all()  # the last row is the final observation alone


@pytest.mark.parametrize("step", [0, HORIZON - 1])
def test_a_lost_episode_is_played_again_from_its_start(step: int) -> None:
    env = CountingEnv(lose={0: step, 1: step})
    rows = play_episode(env, FunctionPlayer(act))
    assert len(env.begun) == 3
    assert env.begun[0] == env.begun[2]
    assert torch.equal(rows["observation"][:, 0, 0, 0], env.numbers[2])
    assert torch.equal(rows["observation"][..., 1], torch.arange(HORIZON + 1.0).view(1, -1, 1).expand(4, -1, AGENTS))


def test_an_environment_that_loses_every_attempt_is_an_error() -> None:
    env = CountingEnv(lose={0: 1, 1: 1})
    with pytest.raises(EpisodeLost):
        play_episode(env, FunctionPlayer(act), attempts=2)
    assert len(env.begun) == 2
    with pytest.raises(ValueError, match="attempts must be at least 1, got 0"):
        play_episode(env, FunctionPlayer(act), attempts=0)


def test_the_horizon_truncates_an_environment_that_does_not_end() -> None:
    env = CountingEnv()
    env.horizon = HORIZON - 1
    rows = play_episode(env, FunctionPlayer(act))
    assert rows["played"].tolist() == [[True] * (HORIZON - 1) + [False]] * 4
    assert not rows["terminated"].any()


def adapt(env: CountingEnv, agent: RecordingAgent, episodes: int, **settings: Any) -> tuple[list[TensorDict], Player]:
    """Episodes that an agent plays one after another, and its player."""
    player = Player(agent, env.arenas, **({"generator": seeded()} | settings))
    return [play_episode(env, player) for _ in range(episodes)], player


def assert_posterior(player: Player, expected: tuple[Tensor, Tensor]) -> None:
    posterior = player.belief.posterior()
    assert posterior is not None
    for ours, theirs in zip(posterior, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_each_arena_holds_one_z_through_an_episode_and_redraws_it_between() -> None:
    agent, env = RecordingAgent(), CountingEnv(lose={1: 2})
    adapt(env, agent, 3)
    attempts = [agent.z[:HORIZON], agent.z[HORIZON : 2 * HORIZON + 3], agent.z[2 * HORIZON + 3 :]]
    assert [len(steps) for steps in attempts] == [HORIZON, 3 + HORIZON, HORIZON]
    lost, again = attempts[1][:3], attempts[1][3:]
    for steps in (attempts[0], lost, again, attempts[2]):
        assert all(torch.equal(z, steps[0]) for z in steps)
    first, second, third = (steps[0] for steps in attempts)
    assert not torch.isclose(first, second).any()
    assert not torch.isclose(second, third).any()
    assert not torch.isclose(first[0], first[1]).any()


def test_z_is_redrawn_from_the_same_belief_every_n_steps_and_at_each_start() -> None:
    agent, env = RecordingAgent(resample_every=3), CountingEnv()
    assert HORIZON % 3  # so that an episode does not end with a whole span
    adapt(env, agent, 2, remembers=False)
    episodes = (agent.z[:HORIZON], agent.z[HORIZON:])
    spans = [episode[start : start + 3] for episode in episodes for start in range(0, HORIZON, 3)]
    assert all(torch.equal(z, span[0]) for span in spans for z in span)
    assert len({tuple(span[0].flatten().tolist()) for span in spans}) == len(spans)


def test_z_comes_from_the_prior_and_then_from_the_posterior_given_all_agents_episodes() -> None:
    agent = RecordingAgent()
    episodes, _ = adapt(CountingEnv(), agent, 3, deterministic=True, generator=seeded(3))
    reference, noise = seeded(3), []
    for _ in range(3):
        noise.append(torch.randn(4, agent.pearl.encoder.latent_dim, generator=reference))
    assert torch.equal(agent.z[0], noise[0])
    for number in (1, 2):
        mean, std = agent.posterior_of(episodes[:number])
        torch.testing.assert_close(agent.z[number * HORIZON], mean + std * noise[number])


@pytest.mark.parametrize("observe_every", [None, 1, 3])
@pytest.mark.parametrize("remembers", [False, True])
def test_a_given_belief_takes_in_the_episodes_only_where_asked(remembers: bool, observe_every: int | None) -> None:
    """A player that does not remember may learn within an episode, and forgets it at its end."""
    agent, env = RecordingAgent(observe_every=observe_every, condition=PosteriorCondition), CountingEnv()
    known = play_episode(env, FunctionPlayer(act))
    belief = agent.prior(4)
    belief.observe(steps_of(known))
    player = Player(agent, 4, belief=belief, generator=seeded(), remembers=remembers)
    played: list[TensorDict] = []
    for _ in range(2):
        agent.z.clear()
        before = [known, *played] if remembers else [known]
        played.append(play_episode(env, player))
        assert_posterior(player, agent.posterior_of([*before, played[-1]] if remembers else before))
        for step, condition in enumerate(agent.z):
            taken_in = step - step % (observe_every or HORIZON)
            expected = agent.posterior_of([*before, played[-1]], taken_in) if taken_in else agent.posterior_of(before)
            torch.testing.assert_close(condition, torch.cat(expected, dim=-1))


@pytest.mark.parametrize("observe_every", [None, 1, 2])
@pytest.mark.parametrize("lost_at", [1, 2, HORIZON - 1])
def test_a_lost_episode_leaves_the_belief_as_it_was_at_its_start(observe_every: int | None, lost_at: int) -> None:
    agent = RecordingAgent(observe_every=observe_every, condition=PosteriorCondition)
    env = CountingEnv(lose={1: lost_at, 3: lost_at})
    (first, second), player = adapt(env, agent, 2)
    assert len(env.begun) == 3
    assert_posterior(player, agent.posterior_of([first, second]))
    at_start = torch.cat(agent.posterior_of([first]), dim=-1)
    for start in (HORIZON, HORIZON + lost_at + 1):  # of the lost attempt, and of the next one
        torch.testing.assert_close(agent.z[start], at_start)
    was_updated = observe_every is not None and observe_every <= lost_at
    assert torch.allclose(agent.z[HORIZON + lost_at], at_start) != was_updated  # in mid-episode
    with pytest.raises(EpisodeLost):
        play_episode(env, player, attempts=1)
    assert_posterior(player, agent.posterior_of([first, second]))


@pytest.mark.parametrize("stride", [1, 3])
def test_a_belief_in_play_equals_the_posterior_that_training_gives_the_same_episodes(stride: int) -> None:
    agent, env = RecordingAgent(stride=stride), CountingEnv(arenas=2)
    env.set_tasks([0, 1])
    replay = TaskReplay(tasks=2, episodes_per_task=2, horizon=HORIZON, recent_context=2, generator=seeded())
    episodes, player = adapt(env, agent, 2)
    for episode in episodes:
        replay.extend(episode, is_context=True)
    batch = replay.sample(2, 1, 2)[0]
    drawn = batch["transitions", "observation"][:, 0, 0]  # tells the arena, so the task's place in the batch
    order = [int((env.numbers[0].eq(start) | env.numbers[1].eq(start)).nonzero()[0, 0]) for start in drawn]
    posterior = player.belief.posterior()
    assert posterior is not None
    for ours, theirs in zip(posterior, in_training(agent.pearl, batch), strict=True):
        torch.testing.assert_close(ours[order], theirs)


def in_training(pearl: PEARL, batch: TensorDict) -> tuple[Tensor, Tensor]:
    """The posterior that an update infers from a meta-batch."""
    with torch.no_grad():
        return pearl.encoder(pearl.context.encoder_input(pearl.context.of_meta_batch(batch)[0]))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, HORIZON])
@pytest.mark.parametrize("whole", [0, 1, 2])
def test_a_belief_in_mid_episode_equals_the_posterior_that_training_gives_its_beginning(
    whole: int, steps: int, stride: int
) -> None:
    """In play, after some whole episodes and the first steps of one more."""
    agent, env = RecordingAgent(stride=stride, observe_every=steps, condition=PosteriorCondition), CountingEnv()
    env.set_tasks([0, 1, 2, 3])
    episodes, player = adapt(env, agent, whole + 1)
    in_play = player.belief.condition() if steps == HORIZON else agent.z[whole * HORIZON + steps]
    replay = TaskReplay(tasks=4, episodes_per_task=3, horizon=HORIZON, recent_context=3, generator=seeded())
    for episode in episodes:
        replay.extend(episode, is_context=True)
    compared = set()
    for _ in range(40):
        batch = replay.sample(4, 1, whole + 1, beginning=steps)[0]
        assert batch["context"].shape == (4, whole, HORIZON)
        conditions = torch.cat(in_training(agent.pearl, batch), dim=-1)
        for begun, condition in zip(batch["beginning", "observation"][:, 0, 0, 0], conditions, strict=True):
            arena = env.numbers[-1].eq(begun).nonzero().flatten().tolist()
            for each in arena:  # the last episode was drawn as the one that is cut off
                torch.testing.assert_close(condition, in_play[each])
            compared.update(arena)
    assert compared == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["reward", "training_reward", "truncated"])
def test_an_environment_that_does_not_return_what_it_declares_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = CountingEnv(has_training_reward=True)
    advance = env.advance
    monkeypatch.setattr(env, "advance", lambda action: {k: v for k, v in advance(action).items() if k != name})
    with pytest.raises(KeyError, match=rf"CountingEnv\.advance must return {name}"):
        play_episode(env, FunctionPlayer(act))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "step", "told"),
    [
        ("observation", 2, "an observation that is not finite: {number} at step 2"),  # of the row that it stands in
        ("reward", 2, "a reward that is not finite: {number} at step 1"),  # the reward of the step before
        ("outcome", HORIZON, f"an outcome that is not finite: {{number}} at step {HORIZON}"),
    ],
)
def test_an_evaluation_names_the_held_out_task_whose_numbers_are_not_finite(
    name: str, step: int, told: str, number: float
) -> None:
    torch.manual_seed(0)
    env = SpoiltEnv((7, name, step, number))
    expected = f"episodes contain {told.format(number=number)} of task 7 (task 7)"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        evaluate_adaptation(env, PEARL(FEATURES, SPACE), env.tasks.validation_indices)


def test_actions_that_are_not_finite_are_blamed_on_whoever_gave_the_first() -> None:
    env = SpoiltEnv((-1, "reward", 0, 0.0))  # a task that nobody plays
    env.set_tasks([5, 0, 8, 2])

    def act_badly(observation: Tensor, step: int) -> Tensor:
        return act(observation, step) if step < 3 else act(observation, step).index_fill(0, torch.tensor(2), torch.nan)

    with pytest.raises(ValueError, match=r"episodes contain an action that is not finite: nan at step 3 of task 8 "):
        play_episode(env, FunctionPlayer(act_badly))


def test_other_errors_of_an_environment_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    env = CountingEnv()

    def break_down(action: Tensor) -> dict[str, Any]:
        raise KeyError("a bug of the environment")

    monkeypatch.setattr(env, "advance", break_down)
    with pytest.raises(KeyError, match="a bug of the environment"):
        play_episode(env, FunctionPlayer(act))


class ReusingEnv(CountingEnv):
    """Writes observations and results into the same memory again, and returns keys that nobody asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept: dict[str, Any] = {}
        self.seen = torch.zeros(self.arenas, AGENTS, FEATURES)

    def begin(self, tasks: list[Any]) -> Tensor:
        return self.seen.copy_(super().begin(tasks))

    def advance(self, action: Tensor) -> dict[str, Tensor | bool]:
        result = super().advance(action)
        result.pop("outcome", None)
        self.kept.update(result, observation=self.seen.copy_(result["observation"]), info="nothing")  # type: ignore[arg-type]
        self.kept["training_reward"] = torch.full((self.arenas, AGENTS), -9.0)
        return self.kept


@pytest.mark.parametrize("observe_every", [None, 2])
def test_an_environment_may_use_its_memory_again(observe_every: int | None) -> None:
    played = []
    for env in (CountingEnv(), ReusingEnv()):
        agent = RecordingAgent(observe_every=observe_every)
        env.set_tasks([5, 0, 8, 2])
        episodes, player = adapt(env, agent, 2)
        played.append((episodes, player.belief.posterior()))
    (own, posterior), (reused, other) = played
    for name in ("observation", "action", "reward", "training_reward", "terminated", "played"):
        for first, second in zip(own, reused, strict=True):
            assert torch.equal(first[name], second[name]), name
    assert all(map(torch.equal, posterior, other))  # type: ignore[arg-type]
    assert (reused[0]["outcome"] == 0).all()  # the environment gave none


def test_a_player_is_told_that_no_arena_is_running_any_more() -> None:
    class Listening(FunctionPlayer):
        told: list[bool | None] = []

        def observe(self, reward: Tensor, next_observation: Tensor, is_running: Tensor | None = None) -> None:
            self.told.append(None if is_running is None else bool(is_running.any()))

    player = Listening(act)
    play_episode(CountingEnv(), player)
    assert player.told == [None] * (HORIZON - 1) + [False]


def test_finite_numbers_may_have_an_infinite_sum() -> None:
    assert is_finite(torch.full((4,), 3e38))
    assert not is_finite(torch.tensor([3e38, 3e38, float("inf")]))
    assert not is_finite(torch.tensor([0.0, float("nan")]))
