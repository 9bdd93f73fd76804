"""The running posterior against the encoder's one-shot posterior and Bayes' rule."""

import pytest
import torch

from pearl_lightning.belief import Belief
from pearl_lightning.networks.encoders import GaussianProductEncoder

ARENAS, TRANSITIONS = 3, 60


@pytest.fixture
def encoder() -> GaussianProductEncoder:
    torch.manual_seed(0)
    return GaussianProductEncoder(7, latent_dim=4, hidden=(16,))


@pytest.fixture
def context() -> torch.Tensor:
    return torch.randn(ARENAS, TRANSITIONS, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("seed", range(5))
def test_any_order_and_chunking_equals_one_shot(
    encoder: GaussianProductEncoder, context: torch.Tensor, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(TRANSITIONS, generator=generator)
    cuts = torch.randint(TRANSITIONS + 1, (seed,), generator=generator).sort().values
    belief = Belief(encoder, ARENAS)
    for chunk in order.tensor_split(cuts):  # a chunk may be empty
        belief.update(context[:, chunk])
    for running, whole in zip(belief.posterior(), encoder(context), strict=True):
        torch.testing.assert_close(running, whole)


def test_prior_is_the_standard_normal_and_its_samples_are(encoder: GaussianProductEncoder) -> None:
    belief = Belief(encoder, 50_000)
    mean, std = belief.posterior()
    assert (mean == 0).all()
    assert (std == 1).all()
    z = belief.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(4), atol=0.03, rtol=0)


def test_an_empty_update_leaves_the_prior(encoder: GaussianProductEncoder) -> None:
    belief = Belief(encoder, ARENAS)
    belief.update(torch.zeros(ARENAS, 0, 7))
    mean, std = belief.posterior()
    assert (mean == 0).all()
    assert (std == 1).all()


def test_the_prior_is_no_factor_of_the_posterior(encoder: GaussianProductEncoder) -> None:
    one = torch.randn(ARENAS, 1, 7)
    belief = Belief(encoder, ARENAS)
    belief.update(one)
    mean, raw_variance = encoder.factor(one[:, 0]).chunk(2, dim=-1)
    torch.testing.assert_close(belief.posterior()[0], mean)
    torch.testing.assert_close(belief.posterior()[1], torch.nn.functional.softplus(raw_variance).sqrt())


def test_seeing_the_same_evidence_n_times_narrows_the_posterior_by_root_n(encoder: GaussianProductEncoder) -> None:
    belief, evidence = Belief(encoder, ARENAS), torch.randn(ARENAS, 1, 7)
    belief.update(evidence)
    mean, std = belief.posterior()
    belief.update(evidence.expand(-1, 24, -1))
    torch.testing.assert_close(belief.posterior()[0], mean)
    torch.testing.assert_close(belief.posterior()[1], std / 5)


def test_arenas_do_not_learn_from_each_other(encoder: GaussianProductEncoder, context: torch.Tensor) -> None:
    changed = context.clone()
    changed[1] += 1
    before, after = Belief(encoder, ARENAS), Belief(encoder, ARENAS)
    before.update(context)
    after.update(changed)
    same = torch.isclose(before.posterior()[0], after.posterior()[0]).all(dim=-1)
    assert same.tolist() == [True, False, True]


def test_beliefs_hold_no_gradient_and_share_no_state(encoder: GaussianProductEncoder, context: torch.Tensor) -> None:
    first, second = Belief(encoder, ARENAS), Belief(encoder, ARENAS)
    first.update(context)
    assert not any(part.requires_grad for part in first.posterior())
    assert (second.posterior()[1] == 1).all()


def test_the_generator_alone_decides_a_sample(encoder: GaussianProductEncoder, context: torch.Tensor) -> None:
    belief = Belief(encoder, ARENAS)
    belief.update(context)
    state = torch.get_rng_state()
    first, again, other = (belief.sample(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.isclose(first, other).any()
    assert (torch.get_rng_state() == state).all()
