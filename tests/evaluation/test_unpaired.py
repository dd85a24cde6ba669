"""Differences between two samples, against Newcombe's published example and a simulation."""

from __future__ import annotations

import pytest

from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.unpaired import unpaired_difference, unpaired_mean


def test_newcombes_example() -> None:
    """Newcombe, Statistics in Medicine 1998, 17:873, table II, method 10: 56 of 70 minus 48 of 80."""
    difference = unpaired_difference(wilson(56, 70), wilson(48, 80))
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_other_way_round() -> None:
    first, second = Interval(0.9, 0.8, 0.93), Interval(0.7, 0.65, 0.8)
    there, back = unpaired_difference(first, second), unpaired_difference(second, first)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_a_mean_of_independent_samples() -> None:
    first, second = Interval(0.9, 0.8, 0.93), Interval(0.7, 0.66, 0.74)
    mean = unpaired_mean([first, second])
    assert mean.value == pytest.approx(0.8)
    assert (mean.value - mean.low, mean.high - mean.value) == pytest.approx((0.5 * (0.01 + 0.0016) ** 0.5, 0.025))
    alone = unpaired_mean([first])
    assert (alone.value, alone.low, alone.high) == pytest.approx((0.9, 0.8, 0.93))
    four = unpaired_mean([second] * 4)
    assert four.high - four.low == pytest.approx((second.high - second.low) / 2)
