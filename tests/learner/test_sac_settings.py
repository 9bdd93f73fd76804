"""Constants and temperatures of the soft actor-critic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_pearl import SPACES, losses, meta_batch, small_pearl

from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.agents.temperatures import FixedTemperature, LearnedTemperature, Temperature

SPACE = SPACES["hybrid"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("discount", 0.0, r"in \(0, 1\]"),
        ("discount", 1.5, r"in \(0, 1\]"),
        ("target_rate", float("nan"), r"in \(0, 1\]"),
        ("reward_scale", -1.0, "above 0"),
        ("mean_penalty", -0.1, "at least 0"),
        ("log_std_penalty", math.inf, "at least 0"),
    ],
)
def test_constants_outside_their_range_are_refused(name: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be {allowed}"):
        HybridSAC(5, SPACE, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (FixedTemperature, {"value": -1.0}, "FixedTemperature's value must be at least 0 and finite, got -1.0"),
        (FixedTemperature, {"value": math.nan}, "FixedTemperature's value must be at least 0 and finite, got nan"),
        (LearnedTemperature, {"initial": 0.0}, "LearnedTemperature's initial must be above 0 and finite, got 0.0"),
        (LearnedTemperature, {"target_entropy": math.inf}, "target_entropy must be finite, got inf"),
        (
            LearnedTemperature,
            {"target_choice_entropy": 1.0},
            r"target_choice_entropy must be in \(0, 1\), got 1.0",
        ),
    ],
)
def test_temperatures_outside_their_range_are_refused(
    make: type[Temperature], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(SPACE, **settings)


def test_a_fixed_temperature_is_its_value_for_every_part_and_learns_nothing() -> None:
    temperature = FixedTemperature(SPACE, value=0.25)
    assert temperature().tolist() == [0.25] * 3
    assert not list(temperature.parameters())
    assert not temperature.state_dict()  # the config alone defines it
    assert temperature.loss(torch.tensor([0.1, 0.2, 0.3])) is None


def test_a_learned_temperature_starts_at_its_initial_value_without_a_gradient() -> None:
    temperature = LearnedTemperature(SPACE, initial=0.7)
    assert temperature().tolist() == pytest.approx([0.7] * 3)
    assert not temperature().requires_grad


def test_the_loss_of_a_learned_temperature_pushes_each_part_towards_its_own_target() -> None:
    """Descent raises a temperature whose entropy is below target, and lowers one whose entropy is above."""
    temperature = LearnedTemperature(SPACE)
    missing = torch.tensor([0.5, -0.25, 0.0])
    loss = temperature.loss(temperature.target_entropies - missing)
    [gradient] = torch.autograd.grad(loss, [temperature.log_temperatures])
    torch.testing.assert_close(gradient, -missing)


@pytest.mark.parametrize(("entropy_missing", "sign"), [(50.0, -1), (-50.0, 1)])
def test_descent_raises_a_temperature_whose_entropy_is_below_target(entropy_missing: float, sign: int) -> None:
    pearl = small_pearl(SPACE)
    temperature = pearl.sac.temperature
    assert isinstance(temperature, LearnedTemperature)
    temperature.target_entropies += entropy_missing
    loss = losses(pearl, meta_batch(SPACE))["loss/temperature"]
    gradient = torch.autograd.grad(loss, temperature.log_temperatures)
    assert gradient[0].sign().tolist() == [sign] * 3


def test_target_entropies_are_per_component_and_a_share_of_the_largest_per_choice() -> None:
    temperature = LearnedTemperature(SPACE, target_entropy=-0.7, target_choice_entropy=0.25)
    expected = [-2.1, 0.25 * math.log(4), 0.25 * math.log(8)]
    assert temperature.target_entropies.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("settings", [{}, {"initial": 0.5}])
def test_a_learned_temperatures_first_value_acts_only_at_a_runs_start(settings: dict[str, float]) -> None:
    sac = HybridSAC(5, SPACE, temperature=lambda space: LearnedTemperature(space, **settings))
    assert sac.start_settings() == {"sac.temperature.initial": settings.get("initial", 0.2)}
    assert HybridSAC(5, SPACE, temperature=FixedTemperature).start_settings() == {}
