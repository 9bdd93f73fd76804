"""The simulator's own sine, cosine, angle and tanh against NumPy in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pearl_lightning.derk.backends.simulator.arithmetic import cosine_sine, hyperbolic_tangent, signed_angle
from pearl_lightning.derk.backends.simulator.rules import f32

ANGLES = np.random.default_rng(0).uniform(-10, 10, 3000).astype(np.float32)


def test_cosine_and_sine_are_the_exact_ones_rounded_once() -> None:
    played = np.array([cosine_sine(angle, False) for angle in ANGLES])
    exact = np.stack([np.cos(ANGLES.astype(np.float64)), np.sin(ANGLES.astype(np.float64))], axis=1)
    assert (played == exact.astype(np.float32)).mean() > 0.99
    np.testing.assert_allclose(played, exact, atol=6e-8, rtol=0)


@pytest.mark.parametrize("quarter", [-3, -1, 1, 3])
def test_who_looks_along_a_diagonal_has_what_lies_on_it_exactly_behind(quarter: int) -> None:
    """Spawns face along diagonals, and statues stand on one: the angle's sign is that of the rounding."""
    cos, sin = cosine_sine(f32(quarter * math.pi / 4), False)
    assert abs(cos) == abs(sin)
    assert signed_angle(cos, sin, f32(-23 * math.copysign(1, cos)), f32(-23 * math.copysign(1, sin)), False) == f32(
        math.pi
    )


def test_angles_are_the_arc_tangents() -> None:
    x, y = np.random.default_rng(1).normal(0, 20, (2, 3000)).astype(np.float32)
    played = np.array([signed_angle(f32(1), f32(0), *pair, False) for pair in zip(x, y, strict=True)])
    np.testing.assert_allclose(played, np.arctan2(y.astype(np.float64), x.astype(np.float64)), atol=5e-7, rtol=0)


def test_the_hyperbolic_tangent_is_that() -> None:
    values = np.random.default_rng(2).uniform(-8, 8, 1000).astype(np.float32)
    played = np.array([hyperbolic_tangent(value) for value in values])
    np.testing.assert_allclose(played, np.tanh(values.astype(np.float64)), atol=3e-7, rtol=0)
