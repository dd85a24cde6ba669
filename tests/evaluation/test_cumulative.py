"""Cumulative sums over windows: values with a known law, alarms as rare as stated, and small shifts that are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import streams

from mobilenet_chest.evaluation.control_charts import control_charts
from mobilenet_chest.evaluation.cumulative import (
    cumulative_charts,
    cumulative_sums,
    run_length,
    standard_values,
    sum_limit,
)

KEYS = {"probability_sum", "uncertainty_sum", "exposure_sum", "contrast_sum", "detail_sum", "unlike_sum"}


def test_values_are_independent_and_normal_whatever_the_scores_are() -> None:
    """1,500 streams of 6 windows: few known scores, with many that are equal, which all windows of a stream share."""
    values = []
    for seed in range(1500):
        generator = np.random.default_rng(seed)
        known, *windows = (generator.geometric(0.3, size).astype(float) for size in (20, 10, 10, 10, 30, 5, 10))
        values.append(standard_values(known, windows, 10_000 + seed))
    found = np.array(values)
    assert found.shape == (1500, 6)
    assert np.abs(found.mean(axis=0)).max() < 0.1
    np.testing.assert_allclose(np.cov(found.T), np.eye(6), atol=0.12)


def test_a_window_is_ranked_among_all_before_it() -> None:
    known, window = np.arange(100.0), np.arange(100.0) + 200
    first, second, *_, last = standard_values(known, [window, window, *[window] * 8], 0)
    assert first > 20 > second > last
    assert abs(last) < 3


@pytest.mark.parametrize(("limit", "windows"), [(0.0, 1 / 0.3085375), (4.0, 335.37), (5.0, 930.89)])
def test_run_lengths_are_those_of_the_tables(limit: float, windows: float) -> None:
    assert run_length(limit) == pytest.approx(windows, rel=1e-4)


def test_alarms_are_as_rare_as_stated() -> None:
    values = np.random.default_rng(4).normal(size=100_000)
    limit = sum_limit(0.005)
    sums, out = cumulative_sums(values, limit)
    assert run_length(limit) == pytest.approx(200, rel=1e-6)
    assert out.mean() == pytest.approx(0.01, abs=0.001)  # upwards and downwards
    assert (sums > limit).sum() == out.sum()


def test_after_an_alarm_the_sums_begin_again() -> None:
    sums, out = cumulative_sums(np.array([2.5, 2.5, 2.5, 0.0, -3.0, -3.0]), 4.5)
    assert sums.tolist() == [2.0, 4.0, 6.0, 0.0, 2.5, 5.0]
    assert out.tolist() == [False, False, True, False, False, True]


def test_small_shifts_that_last_are_found_and_stable_films_are_not() -> None:
    known, generator = streams.reference(3, 400, features=4), np.random.default_rng(7)
    windows = [streams.films(generator, 60, features=4) for _ in range(20)]
    charts = cumulative_charts(known, windows, 1e-4)
    assert {chart.key for chart in charts} == {*KEYS, "features_sum"}
    assert not any(chart.out.any() for chart in charts)
    limits = control_charts(known, 60, 1e-4)
    for key, column, change in (("exposure", 2, 6), ("contrast", 3, -2), ("detail", 6, 0.016)):
        moved = [replace(window, pictures=window.pictures + change * np.eye(7)[column]) for window in windows]
        found = {chart.key for chart in cumulative_charts(known, windows[:5] + moved[5:], 1e-4) if chart.out.any()}
        assert f"{key}_sum" in found <= {f"{key}_sum", "unlike_sum"}
        # no window shows it alone
        assert not any(chart.is_out(chart.measure(moved[5])) for chart in limits)


def test_what_films_lack_has_no_sum() -> None:
    known, window = streams.reference(1, 60), streams.films(np.random.default_rng(2), 30)
    assert {chart.key for chart in cumulative_charts(known, [window], 1e-4)} == KEYS
    pictures = known.films.pictures.copy()
    pictures[:, 6] = np.nan
    known = replace(known, films=replace(known.films, pictures=pictures))
    assert {chart.key for chart in cumulative_charts(known, [window], 1e-4)} == KEYS - {"detail_sum"}
