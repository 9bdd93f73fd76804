"""Settings of the clipped objective: those outside their range are refused by name."""

from __future__ import annotations

import pytest

from pearl_lightning.agents.clipped_objective import ClippedObjective

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("discount", 0.0, r"in \(0, 1\]"),
        ("discount", 1.5, r"in \(0, 1\]"),
        ("gae_lambda", 0.0, r"in \[0.01, 1\]"),
        ("gae_lambda", 1.5, r"in \[0.01, 1\]"),
        ("entropy_weight", -1.0, "at least 0 and finite"),
        ("clip", 0.0, "above 0 and finite"),
        ("value_weight", 0.0, "above 0 and finite"),
        ("reward_scale", 0.0, "above 0 and finite"),
        ("reward_scale", INFINITE, "above 0 and finite"),
    ],
)
def test_a_setting_out_of_its_range_is_named(name: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"objective.{name} must be {allowed}, got {value}"):
        ClippedObjective(**{name: value})
