"""Normalized observations: their statistics, and an agent that learns as if they had been normalized before."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pearl import LATENT, OBSERVATION, SPACES, losses, meta_batch, small_pearl
from tensordict import TensorDict

from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.normalization import ObservationNorm

SCALE, SHIFT = torch.tensor([0.01, 0.5, 1.0, 3.0, 20.0, 100.0]), torch.tensor([0.0, 1.0, -2.0, 30.0, 5.0, -100.0])


def test_statistics_are_those_of_all_batches_together() -> None:
    torch.manual_seed(0)
    norm = ObservationNorm(OBSERVATION)
    batches = [SHIFT + SCALE * torch.randn(4, 5, OBSERVATION) for _ in range(7)]
    torch.testing.assert_close(norm(batches[0]), batches[0].clamp(-10, 10))  # before the first update
    for batch in batches:
        norm.update(batch)
    rows = np.concatenate([batch.numpy().reshape(-1, OBSERVATION) for batch in batches]).astype(np.float64)
    expected = (batches[3].numpy() - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(norm(batches[3]).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_changes_are_scaled_to_mean_square_one_by_statistics_of_their_own() -> None:
    torch.manual_seed(0)
    norm = ObservationNorm(OBSERVATION)
    batches = [SHIFT + SCALE * torch.randn(4, 5, OBSERVATION) for _ in range(7)]
    torch.testing.assert_close(norm.of_change(batches[0]), batches[0].clamp(-10, 10))  # before the first update
    norm.update(1e6 * batches[0])
    for batch in batches:
        norm.update_change(batch)
    rows = np.concatenate([batch.numpy().reshape(-1, OBSERVATION) for batch in batches]).astype(np.float64)
    expected = batches[3].numpy() / np.sqrt(np.square(rows).mean(axis=0))
    np.testing.assert_allclose(norm.of_change(batches[3]).numpy(), expected, rtol=1e-4)


def test_far_and_constant_features_stay_finite() -> None:
    norm = ObservationNorm(2)
    norm.update(torch.tensor([[3.0, 0.0], [3.0, 2.0]]))
    torch.testing.assert_close(
        norm(torch.tensor([[3.0, 1e9], [4.0, -1e9]])), torch.tensor([[0.0, 10.0], [10.0, -10.0]])
    )


def normalized_by_hand(batch: TensorDict) -> TensorDict:
    """A meta-batch whose observations are normalized by ``SHIFT`` and ``SCALE``, as their changes are."""
    batch = batch.clone()
    for name in ("observation", "next_observation"):
        for part in ("transitions", "context"):
            batch[part][name] = (batch[part][name] - SHIFT) / SCALE
    return batch


@pytest.mark.parametrize("next_observation", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_an_agent_acts_learns_and_believes_as_if_observations_had_been_normalized_before(
    space: str, next_observation: bool
) -> None:
    torch.manual_seed(0)
    belief = BeliefConfig(context=ContextLayout(next_observation=next_observation))
    ours = small_pearl(SPACES[space], belief=belief, normalize_observations=True)
    plain = small_pearl(SPACES[space], belief=belief)
    plain.load_state_dict({name: each for name, each in ours.state_dict().items() if not name.startswith("norm.")})
    assert ours.norm is not None
    ours.norm.updates.fill_(1)
    ours.norm.mean.copy_(SHIFT)
    ours.norm.square.copy_(SCALE.double() ** 2 + SHIFT.double() ** 2)
    ours.norm.change_square.copy_(SCALE.double() ** 2)
    batch = meta_batch(SPACES[space])
    for part in ("transitions", "context"):
        for name in ("observation", "next_observation"):
            batch[part][name] = SHIFT + SCALE * batch[part][name]
    by_hand = normalized_by_hand(batch)
    for name, loss in losses(ours, batch).items():
        torch.testing.assert_close(loss, losses(plain, by_hand)[name], rtol=1e-3, atol=1e-4)
    beliefs = [ours.prior(4), plain.prior(4)]
    for each, of_batch in zip(beliefs, (batch, by_hand), strict=True):
        each.observe(of_batch["context"][:, 0])
    for first, second in zip(beliefs[0].posterior(), beliefs[1].posterior(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    observations = [each["context"]["observation"][:, 0, 0] for each in (batch, by_hand)]
    condition = torch.randn(4, LATENT)
    actions = [
        agent.act(observation, condition, deterministic=True)
        for agent, observation in zip((ours, plain), observations, strict=True)
    ]
    torch.testing.assert_close(*actions, rtol=1e-3, atol=1e-3)


def test_an_update_includes_the_observations_of_its_transitions() -> None:
    pearl = small_pearl(SPACES["continuous"], normalize_observations=True)
    before = copy.deepcopy(pearl.norm)
    batch = meta_batch(SPACES["continuous"])
    losses(pearl, batch)  # without an update
    assert pearl.norm is not None
    assert before is not None
    assert torch.equal(pearl.norm.mean, before.mean)
    pearl.norm.update(batch["transitions"]["observation"])
    expected = batch["transitions"]["observation"].double().mean(dim=(0, 1))
    torch.testing.assert_close(pearl.norm.mean, expected)


def test_changes_of_the_played_context_are_included_if_the_encoder_reads_them() -> None:
    batch = meta_batch(SPACES["continuous"], steps=6)
    played = torch.ones(batch["context"]["reward"].shape[:3], dtype=torch.bool)
    played[0, 1, 2:] = played[2, 0, 1:] = False
    batch["context"]["played"] = played
    batch["context"]["next_observation"][~played] = 1e9  # padding
    change = (batch["context"]["next_observation"] - batch["context"]["observation"]).double()
    rows = change[played]  # [step, agent, feature]
    for reads in (False, True):
        layout = ContextLayout(next_observation=reads)
        pearl = small_pearl(SPACES["continuous"], belief=BeliefConfig(context=layout), normalize_observations=True)
        assert pearl.norm is not None
        pearl.context.update_norm(batch)
        expected = rows.square().flatten(0, -2).mean(dim=0) if reads else torch.ones(OBSERVATION).double()
        torch.testing.assert_close(pearl.norm.change_square, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("next_observation", [False, True])
def test_exported_programs_contain_the_normalization(next_observation: bool, tmp_path: Path) -> None:
    from pearl_lightning.export import encoder_program, policy_program

    belief = BeliefConfig(context=ContextLayout(next_observation=next_observation))
    encoder = partial(GaussianProductEncoder, latent_dim=LATENT, hidden=(16,))
    pearl = small_pearl(SPACES["hybrid"], belief=belief, encoder=encoder, normalize_observations=True)
    assert pearl.norm is not None
    pearl.norm.update(SHIFT + SCALE * torch.randn(50, OBSERVATION))
    batch = meta_batch(SPACES["hybrid"])
    observation, condition = batch["transitions"]["observation"][:, 0], torch.randn(4, LATENT)
    action = policy_program(pearl).module()(observation=observation, condition=condition)["action"]
    torch.testing.assert_close(action, pearl.act(observation.unsqueeze(1), condition, deterministic=True).squeeze(1))
    rows, _ = pearl.context.of_meta_batch(batch)
    raw = rows if next_observation else rows[..., OBSERVATION:]
    found = encoder_program(pearl).module()(context=raw, state=pearl.encoder.initial_state(len(raw)))
    mean, std = pearl.encoder(pearl.context.encoder_input(rows))
    torch.testing.assert_close(found["mean"], mean)
    torch.testing.assert_close(found["std"], std)
