"""Whole updates through Lightning's trainer: optimizers, target network, critics, counting, and acting."""

from __future__ import annotations

import copy
from functools import partial
from operator import itemgetter
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from small_pearl import LATENT, OBSERVATION, PRESETS, SPACES, meta_batch, parameter_groups, small_pearl
from torch import Tensor
from torch.utils.data import DataLoader

from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC, ValueSAC
from pearl_lightning.agents.temperatures import FixedTemperature
from pearl_lightning.inference.auxiliary import Reconstruction

UPDATES = 6
# What one optimizer step does to a parameter can be computed by hand where the optimizer is plain descent.
LEARNING_RATE = 1e-3


def descent(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=LEARNING_RATE)


def fit(pearl: PEARL, updates: int = UPDATES, *callbacks: Callback) -> Trainer:
    trainer = Trainer(
        max_steps=updates,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    batches = [meta_batch(pearl.action_space, seed) for seed in range(updates)]
    trainer.fit(pearl, DataLoader(batches, collate_fn=itemgetter(0)))
    return trainer


class Snapshots(Callback):
    """Parameters of the named part after every update."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.taken: list[list[Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.taken.append([p.detach().clone() for p in getattr(pl_module.sac, self.part).parameters()])


@pytest.mark.parametrize("preset", PRESETS)
def test_target_is_a_copy_at_the_start_and_follows_polyak_exactly(preset: str) -> None:
    pearl = PEARL(OBSERVATION, SPACES["continuous"], sac=PRESETS[preset])
    source = "value" if isinstance(pearl.sac, ValueSAC) else "critics"
    pairs = list(zip(pearl.sac.target.parameters(), getattr(pearl.sac, source).parameters(), strict=True))
    assert all(torch.equal(target, online) for target, online in pairs)
    assert all(target.data_ptr() != online.data_ptr() for target, online in pairs)
    expected = [target.detach().clone() for target, _ in pairs]
    followed = Snapshots(source)
    fit(pearl, UPDATES, followed)
    for after_update in followed.taken:
        expected = [
            0.995 * target + 0.005 * online  # the default target_rate
            for target, online in zip(expected, after_update, strict=True)
        ]
    for (target, online), wanted in zip(pairs, expected, strict=True):
        torch.testing.assert_close(target, wanted, rtol=1e-6, atol=1e-7)
        assert not torch.equal(target, online)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("space", SPACES)
def test_one_update_descends_each_part_along_the_gradient_of_its_own_losses(space: str, preset: str) -> None:
    torch.manual_seed(0)
    pearl = small_pearl(SPACES[space], PRESETS[preset], optimizers=Optimizers(default=descent))
    before = copy.deepcopy(pearl)
    before.noise.set_state(pearl.noise.get_state())
    terms, groups = before.losses(meta_batch(SPACES[space], seed=0)), parameter_groups(before)
    fit(pearl, 1)
    own = {
        "encoder": ("loss/critic", "loss/kl"),
        "critics": ("loss/critic",),
        "actor": ("loss/actor",),
        "value": ("loss/value",),
        "temperature": ("loss/temperature",),
    }
    for name, parameters in groups.items():
        loss = torch.stack([terms[term] for term in own[name]]).sum()
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
        for old, gradient, new in zip(parameters, gradients, parameter_groups(pearl)[name], strict=True):
            torch.testing.assert_close(new, old - LEARNING_RATE * gradient, rtol=1e-4, atol=1e-6)


def test_critics_still_differ_after_training() -> None:
    pearl = small_pearl(SPACES["hybrid"])
    start = [weight.detach().clone() for weight in pearl.sac.critics.weights]
    fit(pearl)
    for weight, old in zip(pearl.sac.critics.weights, start, strict=True):
        assert (weight != old).any(dim=-1).any(dim=-1).all()  # both members have moved
        assert not torch.isclose(weight[0], weight[1], atol=1e-4).all()


def test_global_step_counts_updates_and_each_takes_one_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    backward = PEARL.manual_backward

    def counted(self: PEARL, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        passes.append(self.global_step)
        backward(self, loss, *args, **kwargs)

    monkeypatch.setattr(PEARL, "manual_backward", counted)
    trainer = fit(small_pearl(SPACES["hybrid"], PRESETS["reference"]))
    assert passes == list(range(UPDATES))
    assert trainer.global_step == UPDATES


def test_a_fixed_temperature_stays() -> None:
    pearl = small_pearl(SPACES["hybrid"], partial(HybridSAC, temperature=partial(FixedTemperature, value=0.25)))
    fit(pearl)
    assert torch.equal(pearl.sac.temperature(), torch.full((3,), 0.25))


def test_an_update_with_losses_that_are_not_finite_is_refused_before_it_moves_anything() -> None:
    pearl = small_pearl(SPACES["continuous"])
    start = copy.deepcopy(pearl.state_dict())
    batch = meta_batch(SPACES["continuous"])
    batch["transitions", "reward"][0, 0] = torch.inf
    trainer = Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    with pytest.raises(FloatingPointError, match="losses of update 0 are not finite.*loss/critic=inf"):
        trainer.fit(pearl, DataLoader([batch], collate_fn=itemgetter(0)))
    for name, value in pearl.state_dict().items():
        assert torch.equal(value, start[name]), name


def test_the_same_noise_and_batches_give_the_same_parameters() -> None:
    first = small_pearl(SPACES["hybrid"])
    second = copy.deepcopy(first)
    for global_seed, pearl in enumerate((first, second)):
        pearl.noise.manual_seed(4)
        torch.manual_seed(global_seed)  # plays no role
        fit(pearl)
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


# --- acting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES)
def test_deterministic_actions_are_the_policys_mode_given_the_arenas_z(space: str) -> None:
    pearl = small_pearl(SPACES[space])
    observation, z = torch.randn(5, 3, OBSERVATION), torch.randn(5, LATENT)
    acted = pearl.act(observation, z, deterministic=True)
    for arena in range(5):
        for agent in range(3):
            policy = pearl.actor(observation[arena, agent], z[arena])
            torch.testing.assert_close(acted[arena, agent], policy.mode())
    generator = torch.Generator().manual_seed(0)
    untouched = generator.get_state()
    assert torch.equal(pearl.act(observation, z, True, generator), acted)
    assert torch.equal(generator.get_state(), untouched)
    assert not torch.equal(pearl.act(observation, z, False, generator), acted)


def test_the_encoder_and_its_reconstruction_may_have_an_optimizer_of_their_own() -> None:
    pearl = small_pearl(
        SPACES["hybrid"],
        auxiliary=[partial(Reconstruction, hidden=(8,))],
        optimizers=Optimizers(encoder=partial(torch.optim.SGD, lr=0.5)),
    )
    kinds = {id(p): type(o) for o in pearl.configure_optimizers() for group in o.param_groups for p in group["params"]}
    own = [*pearl.encoder.parameters(), *pearl.auxiliary.parameters()]
    learns = [p for p in pearl.parameters() if p.requires_grad]
    assert {kinds[id(p)] for p in own} == {torch.optim.SGD}
    assert {kinds[id(p)] for p in learns if all(p is not each for each in own)} == {torch.optim.Adam}
    assert len(kinds) == len(learns)


@pytest.mark.parametrize("precision", ["16-true", "64-true"])
def test_other_precisions_are_refused_before_the_first_update(precision: Any) -> None:
    trainer = Trainer(precision=precision, accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=1)
    loader = DataLoader([meta_batch(SPACES["hybrid"])], batch_size=None)
    with pytest.raises(ValueError, match=f"precision must be one of 32-true, bf16-mixed, got {precision}"):
        trainer.fit(small_pearl(SPACES["hybrid"]), loader)
