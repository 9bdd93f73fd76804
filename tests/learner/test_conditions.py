"""Conditions: what each makes of a posterior, and that an agent with any of them acts and learns."""

from __future__ import annotations

import pytest
import torch
from small_pearl import LATENT, OBSERVATION, PRESETS, SPACES, TASKS, losses, meta_batch, small_pearl
from torch.distributions import Normal

from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import Condition, MeanCondition, PosteriorCondition, SampledCondition

WIDTHS: dict[type[Condition], int] = {SampledCondition: LATENT, PosteriorCondition: 2 * LATENT, MeanCondition: LATENT}


@pytest.fixture(params=WIDTHS)
def kind(request: pytest.FixtureRequest) -> type[Condition]:
    return request.param


def conditioned(kind: type[Condition]) -> PEARL:
    return small_pearl(SPACES["hybrid"], belief=BeliefConfig(condition=kind))


def test_samples_have_the_moments_of_the_posterior() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, std = torch.tensor([0.5, -2.0, 0.0]), torch.tensor([0.1, 1.0, 3.0])
    draws = 100_000
    noise = torch.randn(draws, 3, generator=generator)
    z, posterior = SampledCondition(3)(mean.expand(draws, -1), std.expand(draws, -1), noise), Normal(mean, std)
    error = std / draws**0.5
    assert ((z.mean(0) - posterior.mean).abs() < 4 * error).all()
    assert ((z.std(0) - posterior.stddev).abs() < 4 * error).all()
    for quantile in (0.1, 0.5, 0.9):
        share = (z < posterior.icdf(torch.tensor(quantile))).float().mean(0)
        torch.testing.assert_close(share, torch.full((3,), quantile), rtol=0, atol=0.005)


def test_the_others_play_the_posteriors_own_numbers_whatever_the_noise() -> None:
    mean, std = torch.randn(5, LATENT), torch.rand(5, LATENT)
    for noise in torch.randn(2, 5, LATENT):
        assert torch.equal(MeanCondition(LATENT).in_play(mean, std, noise), mean)
        both = PosteriorCondition(LATENT).in_play(mean, std, noise)
        assert torch.equal(both[:, :LATENT], mean)
        assert torch.equal(both[:, LATENT:], std)


def test_an_agent_learns_on_what_it_plays_but_for_the_mean_which_learns_on_samples(kind: type[Condition]) -> None:
    posterior = torch.rand(3, 5, LATENT)
    learned_on = SampledCondition if kind is MeanCondition else kind
    assert torch.equal(kind(LATENT)(*posterior), learned_on(LATENT).in_play(*posterior))


def test_a_condition_is_as_wide_as_it_says(kind: type[Condition]) -> None:
    condition = kind(LATENT)
    assert condition.width == WIDTHS[kind]
    assert condition(*torch.rand(3, 7, 5, LATENT)).shape == (7, 5, WIDTHS[kind])
    pearl = conditioned(kind)
    assert pearl.actor.body[0].in_features == OBSERVATION + WIDTHS[kind]


def test_an_agent_acts_on_its_beliefs_condition(kind: type[Condition]) -> None:
    pearl = conditioned(kind)
    belief, observation = pearl.prior(TASKS), torch.randn(TASKS, 2, OBSERVATION)
    unread = belief.expected_condition()
    belief.observe(meta_batch(SPACES["hybrid"])["context"][:, 0])
    mean, std = belief.posterior()
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    condition = belief.condition(torch.Generator().manual_seed(3))
    assert torch.equal(condition, kind(LATENT).in_play(mean, std, noise))
    assert torch.equal(belief.exploring_condition(torch.Generator().manual_seed(3)), kind(LATENT)(mean, std, noise))
    assert torch.equal(belief.expected_condition(), kind(LATENT).in_play(mean, std, torch.zeros_like(mean)))
    acted = pearl.act(observation, condition, deterministic=True)
    for agent in range(2):
        torch.testing.assert_close(acted[:, agent], pearl.actor(observation[:, agent], condition).mode())
    assert not torch.equal(acted, pearl.act(observation, unread, deterministic=True))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_part_learns_and_the_critics_teach_the_encoder(kind: type[Condition], preset: str) -> None:
    torch.manual_seed(0)
    pearl = small_pearl(SPACES["hybrid"], PRESETS[preset], belief=BeliefConfig(condition=kind))
    optimizers, batch = pearl.configure_optimizers(), meta_batch(SPACES["hybrid"])
    terms = losses(pearl, batch)
    encoder = list(pearl.encoder.parameters())
    for name, reaches in (("loss/critic", True), ("loss/actor", False)):
        gradients = torch.autograd.grad(terms[name], encoder, retain_graph=True, allow_unused=True)
        assert any(each is not None and bool((each != 0).any()) for each in gradients) == reaches
    before = {name: parameter.detach().clone() for name, parameter in pearl.named_parameters()}
    total_loss(terms).backward()
    for optimizer in optimizers:
        optimizer.step()
    for name, parameter in pearl.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    assert all(torch.isfinite(term) for term in pearl.losses(batch).values())


def test_the_critics_gradient_reaches_mean_and_deviation(kind: type[Condition]) -> None:
    mean, std = (torch.rand(TASKS, LATENT, requires_grad=True) for _ in range(2))
    pearl = conditioned(kind)
    pearl.encoder.forward = lambda context, played=None: (mean, std)  # type: ignore[method-assign]
    for gradient in torch.autograd.grad(losses(pearl, meta_batch(SPACES["hybrid"]))["loss/critic"], [mean, std]):
        assert (gradient != 0).any()
