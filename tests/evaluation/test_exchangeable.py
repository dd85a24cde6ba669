"""The exact law of a window among reference values: against enumeration and simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mobilenet_chest.evaluation.exchangeable import (
    Bins,
    count_law,
    count_limits,
    distance_limit,
    equal_bins,
    psi,
    psi_limit,
    sum_limit,
    without_ties,
)


def windows(n: int, m: int) -> np.ndarray:
    """Return all ways to place m window values among n reference values 1 … n, as values (ways, m)."""
    rows = []
    for places in combinations(range(n + m), m):
        is_window = np.isin(np.arange(n + m), places)
        rows.append((np.cumsum(~is_window) + 0.5)[is_window])
    return np.array(rows)


def test_the_law_of_counts_is_that_of_all_ways() -> None:
    counts = Bins(np.array([3.0]), (3, 4)).counts(windows(6, 4))[:, 0]
    np.testing.assert_allclose(count_law(3, 7, 4), np.bincount(counts, minlength=5) / len(counts), rtol=1e-12)
    assert count_law(0, 7, 2).tolist() == [1.0, 0.0, 0.0]
    assert count_law(7, 7, 2).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.01])
def test_limits_are_exceeded_in_as_many_ways_as_allowed(rate: float) -> None:
    n, m = 8, 5
    bins = equal_bins(np.arange(1.0, n + 1), 4)
    assert sum(bins.gaps) == n + 1
    counts = bins.counts(windows(n, m))
    distances = np.abs(np.cumsum(counts, 1)[:, :-1] / m - np.cumsum(bins.gaps)[:-1] / (n + 1)).max(1)
    limit = distance_limit(bins.gaps, m, rate)
    assert (distances > limit + 1e-9).mean() <= rate
    below = distances[distances < limit - 1e-9].max(initial=-1)
    assert limit == distances.min() or (distances > below + 1e-9).mean() > rate
    values = psi(counts, bins.gaps)
    highest = psi_limit(bins.gaps, m, rate)
    assert (values > highest).mean() <= rate
    assert (values > highest - 0.02).mean() > rate
    low, high = count_limits(2, 3, n + 1, m, rate)
    inside = Bins(np.array([2.0, 4.0]), (2, 2, 5)).counts(windows(n, m))[:, 1]
    assert (inside > high).mean() <= rate / 2
    assert (inside < low).mean() <= rate / 2


def test_where_nothing_is_that_rare_nothing_is_an_alarm() -> None:
    assert sum_limit(((0.0, 1.0), (0.0, 0.0)), (1, 2), 1, 1e-6) >= 1.0
    assert count_limits(1, 1, 4, 2, 1e-9) == (0, 2)


def test_equal_values_are_ordered_by_a_coin() -> None:
    values = np.array([0.0, 0.0, 1e6, 1e6])
    moved = without_ties(values, 1)
    assert len(np.unique(moved)) == 4
    np.testing.assert_allclose(moved, values, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(moved, without_ties(values, 1))


def test_counts_of_many_windows_at_once() -> None:
    bins = Bins(np.array([1.0, 2.0]), (1, 1, 3))
    values = np.array([[[0.5, 1.0, 1.5], [2.5, 2.5, 0.0]]])
    np.testing.assert_array_equal(bins.counts(values), [[[2, 1, 0], [1, 0, 2]]])
    np.testing.assert_allclose(bins.shares, [0.2, 0.2, 0.6])
