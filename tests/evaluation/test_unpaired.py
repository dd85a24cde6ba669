"""Differences between two samples, against Newcombe's published example and a simulation."""

from __future__ import annotations

import pytest

from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.unpaired import unpaired_difference


def test_newcombes_example() -> None:
    """Newcombe, Statistics in Medicine 1998, 17:873, table II, method 10: 56 of 70 minus 48 of 80."""
    difference = unpaired_difference(wilson(56, 70), wilson(48, 80))
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_the_other_way_round() -> None:
    first, second = Interval(0.9, 0.8, 0.93), Interval(0.7, 0.65, 0.8)
    there, back = unpaired_difference(first, second), unpaired_difference(second, first)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
