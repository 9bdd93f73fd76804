"""A model that was made in Python is rebuilt from its checkpoint alone, and nothing is unpickled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentError
from pytorch_lightning import Trainer
from torch.optim import SGD

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import ValueSAC
from pearl_lightning.agents.temperatures import FixedTemperature
from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import PosteriorCondition
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble

SPACE = ActionSpace(low=(-1.0,), high=(1.0,), choices=(4, 8))


class OwnEncoder(GaussianProductEncoder):
    """A user's encoder."""


class OwnPEARL(PEARL):
    """A user's agent, which passes on what it does not name."""

    def __init__(self, *args: Any, patience: int = 3, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience = patience


def saved(model: PEARL, folder: Path) -> Path:
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "model.ckpt")
    return folder / "model.ckpt"


def load(path: Path, **parts: Any) -> PEARL:
    return PEARL.load_from_checkpoint(path, weights_only=True, **parts)


def assert_same_weights(first: PEARL, second: PEARL) -> None:
    weights, others = first.state_dict(), second.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


def test_defaults_are_rebuilt(tmp_path: Path) -> None:
    model = PEARL(3, SPACE)
    rebuilt = load(saved(model, tmp_path))
    assert_same_weights(rebuilt, model)
    assert rebuilt.action_space == SPACE


def test_own_classes_with_their_arguments_are_rebuilt(tmp_path: Path) -> None:
    model = PEARL(
        3,
        action_space=SPACE,
        encoder=partial(OwnEncoder, latent_dim=3, hidden=(7,)),
        belief=BeliefConfig(context=ContextLayout(stride=2), condition=PosteriorCondition, observe_every=4),
        sac=partial(
            ValueSAC,
            actor=partial(Actor, hidden=(9,)),
            critic=partial(CriticEnsemble, hidden=(6,), critics=3),
            temperature=partial(FixedTemperature, value=0.5),
            discount=0.9,
            reward_scale=100.0,
        ),
        optimizers=Optimizers(default=partial(SGD, lr=0.125), gradient_clip_norm=2.0),
    )
    rebuilt = load(saved(model, tmp_path))
    assert_same_weights(rebuilt, model)
    assert type(rebuilt.encoder) is OwnEncoder
    assert rebuilt.actor.body[0].out_features == 9
    assert type(rebuilt.sac) is ValueSAC
    assert (rebuilt.sac.discount, rebuilt.sac.reward_scale, rebuilt.sac.target_rate) == (0.9, 100.0, 0.005)
    assert rebuilt.sac.temperature().tolist() == [0.5] * 3
    assert rebuilt.context.layout == ContextLayout(stride=2)
    assert type(rebuilt.condition) is PosteriorCondition
    assert (rebuilt.observe_every, rebuilt.resample_every) == (4, None)
    assert rebuilt.optimization.gradient_clip_norm == 2.0
    optimizer = rebuilt.configure_optimizers()[0]
    assert isinstance(optimizer, SGD)
    assert optimizer.defaults["lr"] == 0.125


def test_an_own_agent_is_rebuilt_with_the_defaults_of_its_base(tmp_path: Path) -> None:
    model = OwnPEARL(6, SPACE, patience=5, belief=BeliefConfig(resample_every=7))
    again = OwnPEARL.load_from_checkpoint(saved(model, tmp_path), weights_only=True)
    assert (again.patience, again.resample_every) == (5, 7)
    assert_same_weights(model, again)


def test_a_function_that_no_config_can_name_has_to_be_given_again(tmp_path: Path) -> None:
    def make(features: int) -> OwnEncoder:
        return OwnEncoder(features, latent_dim=3, hidden=(7,))

    model = PEARL(3, SPACE, encoder=make)
    path = saved(model, tmp_path)
    assert_same_weights(load(path, encoder=make), model)
    with pytest.raises(ArgumentError, match="function_to_be_given_to_load_from_checkpoint"):
        load(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"state_dict": {}, "hyper_parameters": {}, "global_step": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(ValueError, match=r"trap.ckpt is not a checkpoint that torch.load\(weights_only=True\) reads"):
        load_checkpoint(tmp_path / "trap.ckpt")
    assert not (tmp_path / "sprung").exists()
