from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from nsi_cli.evaluation.bootstrap import (
    mean_with_interval,
    median_with_interval,
    null_with_interval,
)


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(3, 2, 2000)
    measured = mean_with_interval(values)
    low, high = measured["ci95"]
    assert measured["value"] == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.1)
    assert low < measured["value"] < high


def test_intervals_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, size=80)
    sums = rng.binomial(counts, 0.3).astype(float)
    values = rng.exponential(size=80)
    ours = [
        mean_with_interval(values), mean_with_interval(sums, counts), median_with_interval(values)
    ]  # fmt: skip
    theirs = [
        bootstrap((values,), np.mean, method="percentile", random_state=rng),
        bootstrap(
            (sums, counts), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True,
            vectorized=True, method="percentile", random_state=rng,
        ),
        bootstrap((values,), np.median, method="percentile", random_state=rng),
    ]  # fmt: skip
    for own, public in zip(ours, theirs, strict=True):
        low, high = public.confidence_interval
        np.testing.assert_allclose(own["ci95"], [low, high], atol=0.12 * (high - low))


def test_a_mean_over_objects_weighs_scenes_by_their_objects() -> None:
    assert mean_with_interval(np.array([1.0, 0.0]), np.array([1, 3]))["value"] == 0.25


def test_a_scene_without_the_item_is_left_out() -> None:
    measured = mean_with_interval(np.array([1.0, np.nan, 1.0]))
    assert measured == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert mean_with_interval(np.array([np.nan])) is None


def test_one_seed_gives_one_interval() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_with_interval(values, seed=1) == mean_with_interval(values, seed=1)
    assert mean_with_interval(values, seed=1) != mean_with_interval(values, seed=2)


def test_the_median_has_an_interval_too() -> None:
    measured = median_with_interval(np.arange(1.0, 102.0))
    assert measured["value"] == 51
    assert 30 < measured["ci95"][0] < 51 < measured["ci95"][1] < 72


def test_a_few_large_values_do_not_move_the_median() -> None:
    values = np.array([1.0] * 90 + [1e6] * 10)
    assert median_with_interval(values) == {"value": 1, "ci95": [1, 1]}
    assert median_with_interval(values[:0]) is None


def test_a_measure_at_chance_lies_inside_the_null_95_times_of_100() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        hits = rng.random((60, 9)) < 0.3  # the measure, then eight repetitions by chance
        low, high = null_with_interval(hits[:, 1:], np.ones((60, 1)), seed=trial)["ci95"]
        inside += low <= hits[:, 0].mean() <= high
    assert 180 <= inside <= 199


def test_the_value_of_a_null_is_the_mean_of_its_repetitions() -> None:
    sums, counts = np.array([[1.0, 0.0], [3.0, 2.0]]), np.array([[1], [4]])
    assert null_with_interval(sums, counts)["value"] == 6 / 10
    assert null_with_interval(sums, np.array([[1, 0], [4, 3]]))["value"] == 6 / 8
    assert null_with_interval(sums[:, :0], counts) is None


@pytest.mark.parametrize("value", [0, 1])
def test_a_share_of_0_or_1_has_the_interval_of_wilson(value: int) -> None:
    counts = np.array([3, 0, 2, 1, 4])  # four scenes with an item
    measured = mean_with_interval(counts * value, counts, share=True)
    expected = binomtest(4 * value, 4).proportion_ci(method="wilson")
    assert measured["value"] == value
    assert measured["ci95"] == pytest.approx([expected.low, expected.high])
