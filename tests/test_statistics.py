from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from pearl_lightning.evaluation.statistics import Interval, interquartile_mean, paired_gain, stratified_bootstrap


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 6.0], 3.0),  # no whole quarter to cut
        ([0.0, 2.0, 4.0, 1000.0], 3.0),
        ([1000.0, 4.0, -1000.0, 2.0, 0.0], 2.0),  # one cut at each end
        ([[-99.0, 3.0, 1.0, 99.0], [2.0, 88.0, -88.0, 4.0]], 2.5),  # all values, whatever the axes
        (range(9), 4.0),
    ],
)
def test_interquartile_mean_is_the_mean_without_the_outer_quarters(x: Any, expected: float) -> None:
    assert interquartile_mean(x) == expected


def test_interquartile_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        interquartile_mean([])


def test_bootstrap_of_a_mean_is_the_normal_interval_on_a_large_sample() -> None:
    # Var(mean) = sum over tasks of (variance within the task / matches) / tasks^2; the tasks' own spread plays no role.
    within = np.array([1.0, 2.0, 5.0])
    scores = np.random.default_rng(1).normal([[0.0], [100.0], [-50.0]], within[:, None], size=(3, 2_000))
    half = NormalDist().inv_cdf(0.975) * np.sqrt((within**2 / 2_000).sum()) / 3
    low, high = stratified_bootstrap(scores, np.mean, resamples=2_000)
    # The quantile of 2,000 resamples has a standard error of 6 % of the standard deviation, 3 % of the half-width.
    assert scores.mean() - low == pytest.approx(half, rel=0.12)
    assert high - scores.mean() == pytest.approx(half, rel=0.12)


def test_bootstrap_of_a_share_is_the_binomial_interval_on_a_large_sample() -> None:
    wins = (np.arange(1_000) % 10 < 3).astype(float)[None]
    low, high = stratified_bootstrap(wins, np.mean)
    half = NormalDist().inv_cdf(0.975) * np.sqrt(0.3 * 0.7 / 1_000)
    assert [low, high] == pytest.approx([0.3 - half, 0.3 + half], abs=0.12 * half)


def test_every_task_stays_in_every_resample_and_matches_stay_whole() -> None:
    scores = np.arange(12.0).reshape(2, 3, 2)  # the task is value // 6; a match's second value is its first plus 1
    seen: list[np.ndarray] = []

    def keep(resample: np.ndarray) -> float:
        seen.append(resample)
        return 0.0

    stratified_bootstrap(scores, keep, resamples=50)
    drawn = np.stack(seen)
    assert drawn.shape == (50, 2, 3, 2)
    assert (drawn[:, 0] < 6).all()
    assert (drawn[:, 1] >= 6).all()
    assert (drawn[..., 1] == drawn[..., 0] + 1).all()
    assert (drawn[:, 0] != drawn[:, 1] - 6).any()  # each task draws for itself
    assert len(np.unique(drawn, axis=0)) > 25


def test_the_mean_of_all_resamples_at_once_is_the_mean_of_each() -> None:
    scores = np.random.default_rng(2).normal(size=(5, 7, 3)) + np.arange(5)[:, None, None]
    low, high = stratified_bootstrap(scores, seed=4)
    each = stratified_bootstrap(scores, lambda resample: resample.mean(axis=(0, 1)), seed=4)
    np.testing.assert_allclose([low, high], each, rtol=1e-12)
    assert low.shape == (3,)
    assert np.isnan(stratified_bootstrap(scores[:, :1])).all()


def test_tasks_that_differ_do_not_widen_the_interval() -> None:
    scores = np.repeat([[0.0], [1_000.0]], 5, axis=1)
    assert stratified_bootstrap(scores, np.mean) == (500.0, 500.0)


def test_bootstrap_gives_one_interval_per_entry_of_the_statistic() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 6, 3))
    low, high = stratified_bootstrap(scores, lambda x: x.mean(axis=(0, 1)))
    assert low.shape == high.shape == (3,)
    alone = stratified_bootstrap(scores[..., 1], np.mean)
    assert (low[1], high[1]) == pytest.approx(alone)


def test_the_seed_fixes_the_interval_and_a_lower_level_narrows_it() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 6))
    interval = stratified_bootstrap(scores, interquartile_mean, resamples=300)
    assert stratified_bootstrap(scores, interquartile_mean, resamples=300) == interval
    assert stratified_bootstrap(scores, interquartile_mean, resamples=300, seed=1) != interval
    low, high = stratified_bootstrap(scores, interquartile_mean, resamples=300, level=0.5)
    assert interval[0] < low < high < interval[1]


def test_one_match_per_task_leaves_the_interval_unknown() -> None:
    assert np.isnan(stratified_bootstrap(np.ones((5, 1)), np.mean)).all()
    gain = paired_gain([[[1.0, 4.0]]])
    assert gain.mean == 3.0
    assert np.isnan([gain.low, gain.high]).all()


@pytest.mark.parametrize(
    ("scores", "settings", "message"),
    [
        (np.ones(3), {}, r"\[task, match, \.\.\.\]"),
        (np.ones((0, 3)), {}, "not empty"),
        (np.ones((2, 3)), {"resamples": 0}, "resamples must be at least 1, got 0"),
        (np.ones((2, 3)), {"level": 1.0}, r"level must be in \(0, 1\), got 1.0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(scores: np.ndarray, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stratified_bootstrap(scores, np.mean, **settings)


def test_gain_is_the_last_episode_minus_the_first_and_ignores_what_a_match_shares() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=1_000.0, size=(6, 5, 1))
    gain = paired_gain(shared + np.array([0.0, 50.0, 2.0]))
    assert [gain.mean, gain.low, gain.high] == pytest.approx([2.0, 2.0, 2.0])


def test_gain_of_one_episode_is_zero_and_another_shape_is_refused() -> None:
    assert paired_gain(np.ones((2, 3, 1))) == Interval(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"\[task, match, episode\]"):
        paired_gain(np.ones((2, 3)))


@pytest.mark.parametrize(("matches", "coverage"), [(32, 0.946), (4, 0.910)])
def test_the_interval_of_no_gain_covers_zero_as_often_as_it_says(matches: int, coverage: float) -> None:
    # The expected coverage is that of a normal interval whose width is sqrt(1 - 1/matches) of the right one. Four
    # standard errors of a share over 400 data sets are allowed; tasks differ in level, which must not matter.
    runs = 400
    assert coverage == pytest.approx(2 * NormalDist().cdf(1.96 * np.sqrt(1 - 1 / matches)) - 1, abs=2e-3)
    covered = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        returns = rng.normal(size=(8, 1, 1)) * 10 + rng.normal(size=(8, matches, 3))
        gain = paired_gain(returns, resamples=200)
        covered += gain.low <= 0 <= gain.high
    assert covered / runs == pytest.approx(coverage, abs=4 * np.sqrt(0.95 * 0.05 / runs))
