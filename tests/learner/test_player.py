"""The acting loop against plain loops: when beliefs are updated, when conditions are drawn, what is played."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_pearl import OBSERVATION, SPACES, small_pearl
from torch import Tensor

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.envs.demonstrator import Demonstrator
from pearl_lightning.experience.player import (
    DemonstratorPlayer,
    EpisodePlayer,
    FunctionPlayer,
    Player,
    UniformPlayer,
)
from pearl_lightning.inference.belief import BeliefConfig, GaussianBelief
from pearl_lightning.inference.conditions import MeanCondition, PosteriorCondition, SampledCondition

SPACE = SPACES["hybrid"]
ARENAS, AGENTS, STEPS, EPISODES = 3, 2, 10, 3


class NotingAgent:
    """PEARL that notes the condition and the action of every step."""

    def __init__(self, **settings: Any) -> None:
        torch.manual_seed(0)
        self.pearl = small_pearl(SPACE, belief=BeliefConfig(**settings))
        self.observe_every, self.resample_every = self.pearl.observe_every, self.pearl.resample_every
        self.noted: list[tuple[Tensor, Tensor]] = []

    def prior(self, arenas: int) -> GaussianBelief:
        return self.pearl.prior(arenas)

    def act(self, observation: Tensor, condition: Tensor, *arguments: Any) -> Tensor:
        action = self.pearl.act(observation, condition, *arguments)
        self.noted.append((condition, action))
        return action


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def environment(episodes: int = EPISODES) -> list[tuple[Tensor, Tensor]]:
    """Observations ``[arena, step + 1, agent, feature]`` and rewards ``[arena, step, agent]`` of each episode."""
    generator = seeded(7)
    return [
        (
            torch.randn(ARENAS, STEPS + 1, AGENTS, OBSERVATION, generator=generator),
            torch.randn(ARENAS, STEPS, AGENTS, generator=generator),
        )
        for _ in range(episodes)
    ]


def play(player: EpisodePlayer, episodes: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """The actions of every step; the observations are written into the same memory, as an environment may do."""
    shown, actions = torch.empty(ARENAS, AGENTS, OBSERVATION), []
    for observation, reward in episodes:
        shown.copy_(observation[:, 0])
        for step in range(STEPS):
            actions.append(player.act(shown))
            shown.copy_(observation[:, step + 1])
            player.observe(reward[:, step], shown)
        player.end()
    return actions


def plain_loop(
    pearl: PEARL, episodes: list[tuple[Tensor, Tensor]], generator: torch.Generator, resample_every: int | None
) -> list[tuple[Tensor, Tensor]]:
    """Samples z at the start of each episode (and every so many steps), reads each episode when it is over."""
    noted, state = [], pearl.encoder.initial_state(ARENAS)
    with torch.no_grad():
        for observation, reward in episodes:
            mean, std = pearl.encoder.posterior(state)
            read = []
            for step in range(STEPS):
                if step == 0 or (resample_every and step % resample_every == 0):
                    z = mean + std * torch.randn(mean.shape, generator=generator)
                seen = observation[:, step]
                action = pearl.actor(seen, z.unsqueeze(1).expand(-1, AGENTS, -1)).sample(generator)
                noted.append((z, action))
                read.append(torch.cat([seen, SPACE.encode(action), reward[:, step].unsqueeze(-1)], dim=-1))
            state = pearl.encoder.update(state, torch.stack(read, dim=1).flatten(1, 2))
    return noted


@pytest.mark.parametrize("resample_every", [None, 1, 4, STEPS, 99])
@pytest.mark.parametrize("observe_every", [None, STEPS, 99])
def test_without_updates_in_mid_episode_it_plays_as_a_loop_that_updates_once_per_episode(
    observe_every: int | None, resample_every: int | None
) -> None:
    """The original's loop. An update that would come at the end of the episode or later changes nothing."""
    agent = NotingAgent(observe_every=observe_every, resample_every=resample_every)
    played = play(Player(agent, ARENAS, generator=seeded(3)), environment())
    expected = plain_loop(agent.pearl, environment(), seeded(3), resample_every)
    assert len(played) == len(expected) == EPISODES * STEPS
    for own, (condition, action), wanted in zip(played, agent.noted, expected, strict=True):
        assert torch.equal(own, action)
        torch.testing.assert_close(condition, wanted[0])
        torch.testing.assert_close(action, wanted[1])


@pytest.mark.parametrize("resample_every", [None, 2, 3])
@pytest.mark.parametrize("observe_every", [1, 3, 4])
def test_a_condition_changes_exactly_when_the_belief_or_the_sample_is_due(
    observe_every: int, resample_every: int | None
) -> None:
    agent = NotingAgent(observe_every=observe_every, resample_every=resample_every)
    play(Player(agent, ARENAS, generator=seeded()), environment())
    conditions = [condition for condition, _ in agent.noted]
    changed = [
        number for number in range(1, len(conditions)) if not torch.equal(conditions[number], conditions[number - 1])
    ]
    periods = [observe_every, *([resample_every] if resample_every else [])]
    due = [n for n in range(1, EPISODES * STEPS) if any(n % STEPS % period == 0 for period in periods)]
    assert changed == due
    for number in due:
        assert not torch.isclose(conditions[number], conditions[number - 1]).all(dim=-1).any()  # in each arena


@pytest.mark.parametrize("observe_every", [1, 3, 4, STEPS - 1])
@pytest.mark.parametrize("condition", [MeanCondition, PosteriorCondition])
def test_a_condition_rests_on_all_steps_before_the_last_update(condition: Any, observe_every: int) -> None:
    agent = NotingAgent(observe_every=observe_every, condition=condition)
    play(Player(agent, ARENAS, generator=seeded()), environment())
    pearl, read = agent.pearl, []
    for number, (observation, reward) in enumerate(environment()):
        for step in range(STEPS):
            noted, action = agent.noted[number * STEPS + step]
            if step % observe_every == 0:
                context = torch.cat(read, dim=1) if read else torch.empty(ARENAS, 0, pearl.context.features)
                with torch.no_grad():
                    mean, std = pearl.encoder(context)
            expected = mean if condition is MeanCondition else torch.cat([mean, std], dim=-1)
            torch.testing.assert_close(noted, expected)
            known = [observation[:, step], SPACE.encode(action), reward[:, step].unsqueeze(-1)]
            read.append(torch.cat(known, dim=-1))


def test_an_agent_that_acts_on_the_mean_explores_as_one_that_acts_on_samples() -> None:
    played = {}
    for condition, explores in ((SampledCondition, False), (MeanCondition, True), (MeanCondition, False)):
        agent = NotingAgent(observe_every=3, resample_every=2, condition=condition)
        play(Player(agent, ARENAS, generator=seeded(), explores=explores), environment())
        played[condition, explores] = torch.stack([noted for noted, _ in agent.noted])
    assert torch.equal(played[SampledCondition, False], played[MeanCondition, True])
    assert not torch.isclose(played[MeanCondition, False], played[MeanCondition, True]).any()


def test_one_draw_serves_an_update_and_a_sample_that_are_due_together() -> None:
    """The numbers drawn do not depend on whether resampling was also due."""
    played = []
    for resample_every in (None, 4):
        agent = NotingAgent(observe_every=2, resample_every=resample_every)
        played.append(play(Player(agent, ARENAS, generator=seeded()), environment()))
    assert all(torch.equal(first, second) for first, second in zip(*played, strict=True))


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_generator_alone_decides_what_is_played(deterministic: bool) -> None:
    played = []
    for global_seed, seed in enumerate((1, 1, 2)):
        agent = NotingAgent(observe_every=3)
        torch.manual_seed(global_seed)
        played.append(play(Player(agent, ARENAS, deterministic=deterministic, generator=seeded(seed)), environment()))
    first, again, other = played
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_deterministic_player_plays_the_mode_given_its_condition() -> None:
    agent = NotingAgent(observe_every=3)
    play(Player(agent, ARENAS, deterministic=True, generator=seeded()), environment(1))
    ((observation, _),) = environment(1)
    for step, (condition, action) in enumerate(agent.noted):
        assert torch.equal(action, agent.pearl.act(observation[:, step], condition, deterministic=True))


@pytest.mark.parametrize("ending", ["end", "drop"])
def test_a_function_is_told_the_step_of_its_episode(ending: str) -> None:
    player = FunctionPlayer(lambda observation, step: torch.full((ARENAS, AGENTS, 1), float(step)))
    for steps in (3, 2):
        played = [float(player.act(torch.empty(0))[0, 0, 0]) for _ in range(steps)]
        assert played == list(range(steps))
        getattr(player, ending)()


@pytest.mark.parametrize("hold", [1, 3, 99])
def test_uniform_actions_are_legal_held_and_drawn_anew_at_each_start(hold: int) -> None:
    actions = play(UniformPlayer(SPACE, hold, seeded()), environment(2))
    assert SPACE.spec((2 * STEPS, ARENAS, AGENTS)).is_in(torch.stack(actions))
    for number in range(1, 2 * STEPS):
        is_new = number % STEPS % hold == 0
        assert torch.equal(actions[number], actions[number - 1]) != is_new


class Counting(Demonstrator):
    """Plays the number of its episode and a random number."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    def begin(self, arenas: int, generator: torch.Generator) -> None:
        self.begun.append(arenas)

    def __call__(self, observation: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.rand(*observation.shape[:2], 1, generator=generator)
        return torch.cat([torch.full_like(drawn, len(self.begun)), drawn], dim=-1)


def test_a_demonstrator_begins_every_episode_with_random_numbers_of_its_own() -> None:
    """However many numbers it draws, what it plays in an episode depends on the generator alone."""
    demonstrator, generator = Counting(), seeded()
    first = torch.stack(play(DemonstratorPlayer(demonstrator, generator), environment(2)))
    assert demonstrator.begun == [ARENAS, ARENAS]
    assert first[..., 0].unique_consecutive().tolist() == [1.0, 2.0]
    own = seeded()
    seeds = [int(torch.randint(2**31 - 1, (), generator=own)) for _ in range(2)]
    drawn = [torch.rand(ARENAS, AGENTS, 1, generator=g) for s in seeds for g in [seeded(s)] for _ in range(STEPS)]
    assert torch.equal(first[..., 1:], torch.stack(drawn))
    assert torch.equal(generator.get_state(), own.get_state())
