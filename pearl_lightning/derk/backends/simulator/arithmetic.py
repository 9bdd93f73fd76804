"""Sines, cosines and angles in two arithmetics: exact, and as the renderer of the recordings computes them.

The game computes on any GPU. With ``recorded`` the simulator repeats the rounding of one renderer (section 15.3). It
then agrees exactly with the recordings instead of approximately, which verifies all other rules. The arithmetics only
differ in the last bits, but these decide whether the angle to a target straight ahead is NaN.
"""

from __future__ import annotations

import math

import numpy as np

from pearl_lightning.derk.backends.simulator.rules import f32, lane, rule

PI = f32(math.pi)
TWO_PI = f32(2 * math.pi)
HALF_PI = f32(math.pi / 2)
QUARTER_PI = f32(math.pi / 4)
NAN = f32(math.nan)


@lane
def cosine_sine(angle, recorded):
    """Cosine and sine of an angle in radians."""
    if recorded:
        return _cephes(angle)
    # in double precision, so that they are rounded only once: along a diagonal, cosine and sine must be equal
    wide = np.float64(angle)
    turns = math.floor(wide * (2 / math.pi) + 0.5)  # quarter turns to the nearest axis
    rest = wide - turns * (math.pi / 2)
    square = rest * rest
    inner = 1 / 24 + square * (-1 / 720 + square * (1 / 40320 + square * (-1 / 3628800)))
    even = f32(1 + square * (-1 / 2 + square * inner))
    odd = f32(rest + rest * square * (-1 / 6 + square * (1 / 120 + square * (-1 / 5040 + square * (1 / 362880)))))
    quadrant = np.int32(turns) & 3
    swapped = (quadrant & 1) != 0
    cosine, sine = odd if swapped else even, even if swapped else odd
    return -cosine if (quadrant + 1) & 2 else cosine, -sine if quadrant & 2 else sine


@lane
def signed_angle(ax, ay, bx, by, recorded):
    """Angle from unit vector a to vector b in (-pi, pi], counter-clockwise positive; 0 if b is zero.

    In the recorded arithmetic it is NaN if rounding makes the cosine larger than 1.
    """
    cross = ax * by - ay * bx
    if not recorded:
        return _arc_tangent(cross, ax * bx + ay * by)
    square = bx * bx + by * by
    if square == f32(0):
        return f32(0)
    inverse = f32(1) / math.sqrt(square)
    angle = arc_cosine(ax * (bx * inverse) + ay * (by * inverse))
    return -angle if cross < f32(0) else angle


@lane
def signed_angle_of_units(ax, ay, bx, by, recorded):
    """Like ``signed_angle`` for two unit vectors, which the renderer does not normalize again."""
    cross = ax * by - ay * bx
    if not recorded:
        return _arc_tangent(cross, ax * bx + ay * by)
    angle = arc_cosine(ax * bx + ay * by)
    return -angle if cross < f32(0) else angle


@rule
def is_in_cast_cone(ax, ay, bx, by, recorded):
    """Whether the angle between unit vector a and vector b is below 45 degrees; true if b is zero."""
    if recorded:
        angle = signed_angle(ax, ay, bx, by, recorded)
        return abs(angle) < QUARTER_PI  # False for NaN
    return abs(ax * by - ay * bx) < ax * bx + ay * by or (bx == f32(0) and by == f32(0))


@lane
def clip(value, low, high):
    """Clip a value to [low, high]; NaN becomes ``low``, as in the renderer."""
    if value > low:
        return high if value > high else value
    return low


@lane
def turn_between(start, end, recorded):
    """Signed difference of two headings, wrapped to [-pi, pi]."""
    if recorded:
        difference = _modulo(end - start, TWO_PI)
        return _modulo(f32(2) * difference, TWO_PI) - difference
    difference = end - start
    if difference > PI:
        return difference - TWO_PI
    if difference < -PI:
        return difference + TWO_PI
    return difference


@lane
def _arc_tangent(y, x):
    """Angle of (x, y) with an error below 3e-7, 0 at the origin; a polynomial (Cephes), faster than the library."""
    across, along = abs(y), abs(x)
    long, short = max(across, along), min(across, along)
    slope = short / long if long > f32(0) else f32(0)
    is_steep = slope > f32(math.tan(math.pi / 8))
    angle = QUARTER_PI if is_steep else f32(0)
    slope = (slope - f32(1)) / (slope + f32(1)) if is_steep else slope
    square = slope * slope
    inner = f32(1.99777106478e-1) + square * (f32(-1.38776856032e-1) + square * f32(8.05374449538e-2))
    angle += slope + slope * square * (f32(-3.33329491539e-1) + square * inner)
    angle = HALF_PI - angle if across > along else angle
    angle = PI - angle if x < f32(0) else angle
    return -angle if y < f32(0) else angle


@rule
def hyperbolic_tangent(x):
    """Hyperbolic tangent with an error below 2e-7."""
    return f32(1) - f32(2) / (math.exp(f32(2) * x) + f32(1))


@rule
def arc_cosine(x):
    """Arc cosine by the renderer's polynomial; NaN if the absolute value of x is above 1."""
    size = abs(x)
    if size > f32(1):
        return NAN
    inner = f32(0.08132463) - f32(0.02363318) * size
    inner = QUARTER_PI - f32(1) + size * inner
    inner = HALF_PI + size * inner
    arc = HALF_PI - math.sqrt(f32(1) - size) * inner
    return HALF_PI - (arc if x > f32(0) else -arc if x < f32(0) else f32(0))


@rule
def _modulo(x, y):
    return x - y * f32(math.floor(x / y))


@rule
def _fused(a, b, c):
    """Compute a * b + c with a single rounding."""
    return f32(np.float64(a) * np.float64(b) + np.float64(c))


@rule
def _cephes(angle):
    size = abs(angle)
    octant = np.int32(size * f32(4 / math.pi))
    octant = (octant + 1) & ~1
    turns = f32(octant)
    size = _fused(turns, f32(-0.78515625), size)
    size = _fused(turns, f32(-2.4187564849853515625e-4), size)
    size = _fused(turns, f32(-3.77489497744594108e-8), size)
    square = size * size
    even = _fused(f32(2.443315711809948e-5), square, f32(-1.388731625493765e-3))
    even = _fused(even, square, f32(4.166664568298827e-2))
    even = even * square * square
    even = even - f32(0.5) * square + f32(1)
    odd = _fused(f32(-1.9515295891e-4), square, f32(8.3321608736e-3))
    odd = _fused(odd, square, f32(-1.6666654611e-1))
    odd = _fused(odd * square, size, size)
    quadrant = (octant >> 1) & 3
    sine, cosine = (even, odd) if quadrant & 1 else (odd, even)
    if quadrant == 2 or quadrant == 3:
        sine = -sine
    if quadrant == 1 or quadrant == 2:
        cosine = -cosine
    return cosine, -sine if angle < f32(0) else sine
