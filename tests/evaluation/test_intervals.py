"""Wilson's interval against published and printed values, and rows and levels that are refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import Interval, check_rows, logged_intervals, wilson, wilson_ends
from mobilenet_chest.evaluation.significance import mcnemar


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "n", "low", "high"),
        [
            # Newcombe, Statistics in Medicine 1998, table I, method 3
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_the_values_of_newcombes_table(self, successes: int, n: int, low: float, high: float) -> None:
        result = wilson(successes, n)
        assert (round(result.low, 4), round(result.high, 4)) == (low, high)
        assert result.value == successes / n

    def test_the_values_of_scipy(self) -> None:
        for successes, n, level in ((273, 305, 0.95), (282, 305, 0.9), (305, 305, 0.95), (1, 2, 0.99)):
            expected = binomtest(successes, n).proportion_ci(level, method="wilson")
            result = wilson(successes, n, level)
            assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=1e-12)

    def test_ends_stay_in_range_and_nothing_is_known_of_none(self) -> None:
        assert wilson(7, 7).high == 1.0
        assert wilson(0, 7).low == 0.0
        nothing = wilson(0, 0)
        assert math.isnan(nothing.value)
        assert (nothing.low, nothing.high) == (0.0, 1.0)

    @pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
    @pytest.mark.parametrize(("successes", "n"), [(0, 7), (1, 2), (3, 7), (7, 7), (273, 305), (273.5, 305)])
    def test_the_ends_of_statsmodels(self, successes: float, n: int, level: float) -> None:
        expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert wilson_ends(successes, n, level) == pytest.approx(expected, rel=1e-12, abs=1e-15)

    @pytest.mark.parametrize(("successes", "n"), [(4, 3), (-1, 3), (1, 0)])
    def test_more_than_all_is_refused(self, successes: int, n: int) -> None:
        with pytest.raises(ValueError, match=f"{successes} successes of {n}"):
            wilson(successes, n)

    @pytest.mark.parametrize("accuracy", [0.85, 0.895, 0.9246, 0.97])
    def test_it_covers_an_accuracy(self, accuracy: float) -> None:
        """Exactly, by the probability of each number of right answers."""
        counts = np.arange(305 + 1)
        likely = counts[binom.pmf(counts, 305, accuracy) > 1e-12]
        intervals = [wilson(int(count), 305) for count in likely]
        held = np.array([interval.low <= accuracy <= interval.high for interval in intervals])
        assert 0.93 <= binom.pmf(likely[held], 305, accuracy).sum() <= 0.97

    def test_a_fraction_of_a_success_lies_between_its_neighbours(self) -> None:
        ends = [wilson_ends(count, 305) for count in (273, 273.5, 274)]
        assert ends == sorted(ends)
        assert ends[0] == (wilson(273, 305).low, wilson(273, 305).high)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_that_is_none_is_refused(level: float) -> None:
    labels, scores = np.array([0, 0, 1, 1], np.uint8), np.array([0.1, 0.6, 0.4, 0.9])
    asked: list[Callable[[], object]] = [
        lambda: wilson(1, 2, level),
        lambda: auc_interval(labels, scores, level),
        lambda: mcnemar(labels == 1, labels == 0, level),
        lambda: bootstrap(labels, scores, lambda _, given: float(given.mean()), level=level, draws=20),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match=f"level {level}"):
            ask()


class TestRows:
    @pytest.mark.parametrize(
        ("labels", "scores", "part"),
        [
            ([0, 1, 1], [0.1, 0.2], r"\(3,\) .*\(2,\)"),
            ([[0, 1]], [[0.1, 0.2]], r"\(1, 2\) labels"),
            ([0, 2], [0.1, 0.2], r"labels \[0, 2\]"),
            ([0, 1], [0.1, math.nan], "NaN"),
            ([0, 1], [0.1, -math.inf], "infinite"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, labels: list[int], scores: list[float], part: str) -> None:
        with pytest.raises(DataError, match=part):
            check_rows(np.array(labels, np.uint8), np.array(scores))

    def test_any_number_of_columns_fits(self) -> None:
        labels, scores, texts = np.array([0, 1], np.uint8), np.array([0.1, 0.2]), np.array(["a", "b"])
        check_rows(labels)
        check_rows(labels, scores, texts)
        with pytest.raises(DataError, match="3"):
            check_rows(labels, scores, np.array(["a", "b", "c"]))


def test_an_interval_is_logged_as_two_further_metrics() -> None:
    metrics = {"a": 0.5, "a_low": 0.4, "a_high": 0.6, "b": 0.5, "b_low": 0.4, "threshold_high": 1.0}
    assert logged_intervals(metrics) == {"a": Interval(0.5, 0.4, 0.6)}
