"""PEARL's own limit on gradients, against torch's function and against updates without it."""

from __future__ import annotations

import copy

import pytest
import torch
from environments import FEATURES, SPACE, CountingEnv, train_quietly
from pytorch_lightning import Trainer
from small_pearl import SPACES, meta_batch, parameter_groups, small_pearl
from torch import Tensor
from torch.optim import SGD

from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.callbacks import EpisodeCollector, RolloutCollector
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.rollouts import RolloutDataModule


def step(limit: float | None) -> tuple[PEARL, PEARL, dict[str, list[Tensor]]]:
    """An agent before and after one update by plain gradient descent, and the gradients of the same losses."""
    torch.manual_seed(0)
    pearl = small_pearl(
        SPACES["hybrid"], optimizers=Optimizers(default=lambda p: SGD(p, lr=1.0), gradient_clip_norm=limit)
    )
    before, batch = copy.deepcopy(pearl), meta_batch(SPACES["hybrid"])
    reference = copy.deepcopy(pearl)
    for agent in (pearl, reference):
        agent.noise.manual_seed(7)
    total_loss(reference.losses(batch)).backward()
    gradients = {name: [p.grad for p in group] for name, group in parameter_groups(reference).items()}
    optimizers = pearl.configure_optimizers()
    pearl.optimizers = lambda: optimizers  # type: ignore[method-assign,assignment]
    pearl.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign]
    pearl.log_dict = lambda *_: None  # type: ignore[method-assign,assignment]
    pearl.sac.update_target = lambda: None  # type: ignore[method-assign]
    pearl._trainer = Trainer(logger=False, enable_checkpointing=False)
    pearl._trainer.strategy.optimizers = optimizers
    pearl.training_step(batch, 0)
    return before, pearl, gradients


@pytest.mark.parametrize("limit", [0.01, 0.5, 1e6, None])
def test_each_optimizers_gradients_are_shortened_as_by_torch(limit: float | None) -> None:
    before, after, gradients = step(limit)
    for name, group in parameter_groups(after).items():
        expected = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients[name]]
        for parameter, gradient in zip(expected, gradients[name], strict=True):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(expected, float("inf") if limit is None else limit)
        moved = [old - new for old, new in zip(parameter_groups(before)[name], group, strict=True)]
        for shift, parameter in zip(moved, expected, strict=True):
            torch.testing.assert_close(shift.detach(), parameter.grad, rtol=1e-3, atol=2e-6)
        length = torch.stack([shift.detach().norm() for shift in moved]).norm()
        assert float(length) == pytest.approx(float(norm if limit is None else norm.clamp(max=limit)), rel=1e-2)


def test_a_limit_that_no_gradient_reaches_changes_no_bit_of_a_training() -> None:
    states = []
    for limit in (None, 1e9):
        torch.manual_seed(0)
        agent = PEARL(FEATURES, SPACE, optimizers=Optimizers(gradient_clip_norm=limit))
        data = MetaBatchDataModule(CountingEnv(), meta_batch=2, transitions=4)
        train_quietly(agent, data, EpisodeCollector(tasks_per_iteration=4), 2)
        states.append(agent.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_outside_its_range_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=f"optimizers.gradient_clip_norm must be above 0 or null, got {limit}"):
        Optimizers(gradient_clip_norm=limit)


def test_ppo_is_clipped_by_lightnings_own_setting() -> None:
    """Lightning steps PPO's only optimizer, so ``trainer.gradient_clip_val`` has an effect."""
    norms: list[float] = []

    class Watched(PPO):
        def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.extend([float(torch.stack([g.norm() for g in gradients]).norm())] if gradients else [])

    torch.manual_seed(0)
    trainer = Trainer(
        max_steps=3,
        gradient_clip_val=0.01,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[RolloutCollector(tasks_per_iteration=4)],
    )
    trainer.fit(Watched(FEATURES, SPACE), RolloutDataModule(CountingEnv(), minibatches=2, epochs=2))
    assert norms
    assert max(norms) == pytest.approx(0.01, rel=1e-3)
