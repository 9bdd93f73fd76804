"""The running posterior against the encoder's one-shot posterior and Bayes' rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.inference import encoders
from pearl_lightning.inference.belief import FixedBelief, GaussianBelief
from pearl_lightning.inference.conditions import SampledCondition
from pearl_lightning.inference.context import ContextLayout, ContextReader
from pearl_lightning.inference.encoders import ContextEncoder, GaussianProductEncoder

SPACE = ActionSpace((-1.0, 0.0), (1.0, 2.0), (3,))
ARENAS, AGENTS, FEATURES, STEPS, LATENT = 3, 2, 4, 50, 4
ENCODERS = [name for name in encoders.__all__ if name != "ContextEncoder"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_episode(seed: int = 1, steps: int = STEPS, agents: int = AGENTS, arenas: int = ARENAS) -> TensorDict:
    """The steps ``[arena, step]`` of an episode."""
    generator = seeded(seed)
    observation = torch.randn(arenas, steps + 1, agents, FEATURES, generator=generator)
    return TensorDict(
        {
            "observation": observation[:, :-1],
            "next_observation": observation[:, 1:],
            "action": SPACE.sample((arenas, steps, agents), generator),
            "reward": torch.randn(arenas, steps, agents, generator=generator),
            "done": (torch.arange(steps) == steps - 1).expand(arenas, steps),
        },
        batch_size=[arenas, steps],
    )


def make_reader(**layout: Any) -> ContextReader:
    return ContextReader(ContextLayout(**layout), FEATURES, SPACE)


def make_encoder(name: str, features: int) -> ContextEncoder:
    torch.manual_seed(0)
    settings = {} if name == "ContextFreeEncoder" else {"latent_dim": LATENT, "hidden": (16,)}
    encoder: ContextEncoder = getattr(encoders, name)(features, **settings)
    return encoder


def make_belief(encoder: ContextEncoder, arenas: int = ARENAS, **layout: Any) -> GaussianBelief:
    return GaussianBelief(encoder, make_reader(**layout), SampledCondition(encoder.latent_dim), arenas)


@pytest.fixture
def encoder() -> GaussianProductEncoder:
    torch.manual_seed(0)
    return GaussianProductEncoder(make_reader().features, latent_dim=LATENT, hidden=(16,))


def one_shot(
    encoder: ContextEncoder, reader: ContextReader, episodes: list[TensorDict]
) -> tuple[tuple[Tensor, Tensor], int]:
    """The encoder's posterior given all that the reader reads of episodes, the last maybe unfinished; how much."""
    read = [reader.encoder_input(reader.transitions(episode)) for episode in episodes]
    with torch.no_grad():
        return encoder(torch.cat(read, dim=1)), sum(each.shape[1] for each in read)


def assert_same(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    for our_part, their_part in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our_part, their_part)


def random_cuts(steps: int, generator: torch.Generator) -> list[int]:
    """Sizes of random chunks, some of them empty, that add up to ``steps``."""
    number = int(torch.randint(steps, (), generator=generator))
    cuts = torch.randint(steps + 1, (number,), generator=generator).sort().values.tolist()
    return [end - start for start, end in zip([0, *cuts], [*cuts, steps], strict=True)]


@pytest.mark.parametrize("salient", [None, 9])
@pytest.mark.parametrize("stride", [1, 5, 7])
@pytest.mark.parametrize("name", ENCODERS)
def test_any_chunking_of_the_steps_gives_the_one_shot_posterior_at_every_moment(
    name: str, stride: int, salient: int | None
) -> None:
    """Within two episodes and at their ends."""
    layout: dict[str, Any] = {"stride": stride, "salient": salient, "next_observation": True, "reward_scale": 2.0}
    reader = make_reader(**layout)
    encoder = make_encoder(name, reader.features)
    episodes = [random_episode(seed) for seed in (1, 2)]
    at_once, generator = make_belief(encoder, **layout), seeded(stride)
    chunkings = {"single": [1] * STEPS, "random": random_cuts(STEPS, generator), "other": random_cuts(STEPS, generator)}
    beliefs = {chunking: make_belief(encoder, **layout) for chunking in chunkings}
    for number, episode in enumerate(episodes):
        at_once.observe(episode)
        for chunking, sizes in chunkings.items():
            belief, played = beliefs[chunking], 0
            for chunk in episode.split(sizes, dim=1):
                belief.observe(chunk)
                played += chunk.shape[1]
                if played:
                    known = [*episodes[:number], episode[:, :played]]
                    expected, transitions = one_shot(encoder, reader, known)
                    assert_same(belief.posterior(), expected)
                    assert belief.transitions == transitions
            assert_same(belief.posterior(), at_once.posterior())
        assert_same(at_once.posterior(), one_shot(encoder, reader, episodes[: number + 1])[0])


@pytest.mark.parametrize("salient", [None, 9])
def test_salient_transitions_are_chosen_within_each_episode(salient: int | None) -> None:
    belief = make_belief(make_encoder("MeanEncoder", make_reader().features), salient=salient)
    of_episode = STEPS * AGENTS if salient is None else salient
    for number in (1, 2, 3):
        belief.observe(random_episode(number))
        assert belief.transitions == number * of_episode


@pytest.mark.parametrize("seed", range(5))
def test_any_order_and_chunking_equals_one_shot(encoder: GaussianProductEncoder, seed: int) -> None:
    episode, generator = random_episode(), seeded(seed)
    shuffled = episode[:, torch.randperm(STEPS, generator=generator)].set("done", episode["done"])
    belief = make_belief(encoder)
    for chunk in shuffled.split(random_cuts(STEPS, generator), dim=1):
        belief.observe(chunk)
    assert_same(belief.posterior(), one_shot(encoder, make_reader(), [episode])[0])


def test_prior_is_the_standard_normal_and_its_samples_are(encoder: GaussianProductEncoder) -> None:
    belief = make_belief(encoder, arenas=50_000)
    mean, std = belief.posterior()
    assert (mean == 0).all()
    assert (std == 1).all()
    assert belief.transitions == 0
    z = belief.condition(seeded(0))
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(4), atol=0.03, rtol=0)


@pytest.mark.parametrize("played", [0, 3])
def test_no_steps_change_nothing(encoder: GaussianProductEncoder, played: int) -> None:
    belief, episode = make_belief(encoder, stride=2), random_episode()
    belief.observe(episode[:, :played])
    before = belief.posterior()
    belief.observe(episode[:, :0])
    for now, then in zip(belief.posterior(), before, strict=True):
        assert torch.equal(now, then)
    assert played or (before[0] == 0).all()
    assert played or (before[1] == 1).all()


def test_the_prior_is_no_factor_of_the_posterior(encoder: GaussianProductEncoder) -> None:
    one = random_episode(steps=1, agents=1)
    belief = make_belief(encoder)
    belief.observe(one)
    read = torch.cat([one["observation"], SPACE.encode(one["action"]), one["reward"].unsqueeze(-1)], dim=-1)
    mean, raw_variance = encoder.factor(read[:, 0, 0]).chunk(2, dim=-1)
    torch.testing.assert_close(belief.posterior()[0], mean)
    torch.testing.assert_close(belief.posterior()[1], torch.nn.functional.softplus(raw_variance).sqrt())


def test_seeing_the_same_evidence_n_times_narrows_the_posterior_by_root_n(encoder: GaussianProductEncoder) -> None:
    belief, evidence = make_belief(encoder), random_episode(steps=1)
    belief.observe(evidence)
    mean, std = belief.posterior()
    belief.observe(evidence.expand(ARENAS, 24).clone())
    torch.testing.assert_close(belief.posterior()[0], mean)
    torch.testing.assert_close(belief.posterior()[1], std / 5)


def test_arenas_do_not_learn_from_each_other(encoder: GaussianProductEncoder) -> None:
    episode = random_episode()
    changed = episode.clone()
    changed["observation"][1] += 1
    before, after = make_belief(encoder), make_belief(encoder)
    before.observe(episode)
    after.observe(changed)
    same = torch.isclose(before.posterior()[0], after.posterior()[0]).all(dim=-1)
    assert same.tolist() == [True, False, True]


def test_beliefs_hold_no_gradient_and_share_no_state(encoder: GaussianProductEncoder) -> None:
    first, second = make_belief(encoder), make_belief(encoder)
    first.observe(random_episode()[:, :9])
    parts = (*first.posterior(), first.condition(), first.expected_condition())
    assert not any(part.requires_grad for part in parts)
    assert (second.posterior()[1] == 1).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_copy_and_its_original_learn_apart(name: str) -> None:
    """From whichever moment of an episode on."""
    layout = {"stride": 3}
    encoder = make_encoder(name, make_reader(**layout).features)
    first, second = random_episode(1), random_episode(2)
    belief = make_belief(encoder, **layout)
    belief.observe(first[:, :10])
    copied = belief.copy()
    at_copy = [part.clone() for part in belief.posterior()]
    belief.observe(first[:, 10:])
    assert_same(copied.posterior(), (at_copy[0], at_copy[1]))
    copied.observe(second[:, 10:])
    assert_same(belief.posterior(), one_shot(encoder, make_reader(**layout), [first])[0])
    of_copy = torch.cat([first[:, :10], second[:, 10:]], dim=1)
    assert_same(copied.posterior(), one_shot(encoder, make_reader(**layout), [of_copy])[0])


def test_the_generator_alone_decides_a_sample(encoder: GaussianProductEncoder) -> None:
    belief = make_belief(encoder)
    belief.observe(random_episode())
    state = torch.get_rng_state()
    first, again, other = (belief.condition(seeded(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.isclose(first, other).any()
    assert torch.equal(belief.expected_condition(), belief.posterior()[0])  # no chance in it
    assert (torch.get_rng_state() == state).all()


def test_a_fixed_belief_takes_in_nothing() -> None:
    condition = torch.randn(ARENAS, 2)
    belief = FixedBelief(condition)
    belief.observe(random_episode())
    assert torch.equal(belief.condition(seeded(0)), condition)
    assert torch.equal(belief.expected_condition(), condition)
    assert belief.posterior() is None
    assert belief.transitions == 0
    assert torch.equal(belief.copy().condition(), condition)
