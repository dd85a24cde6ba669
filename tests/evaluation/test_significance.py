"""Proportions and paired tests, against published and printed values, and what is degenerate."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import Difference, Interval, wilson
from mobilenet_chest.evaluation.significance import holm, mcnemar, mcnemar_range, not_inferior, paired_proportions


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Where two models are right, from the four cells of their table."""
    counts = (both, only_first, only_second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


class TestMcNemar:
    def test_the_approval_ratings(self) -> None:
        """Agresti, Categorical Data Analysis, table 10.1: 1600 people asked twice about the prime minister."""
        result = mcnemar(*answers(794, 150, 86, 570))
        # R: mcnemar.exact(matrix(c(794, 86, 150, 570), 2)) prints p-value = 3.716e-05
        assert result.p == pytest.approx(3.715936e-05, rel=1e-6)
        assert result.value == pytest.approx(0.04, abs=1e-12)
        # the large-sample interval printed there is 0.04 ± 0.0187
        assert (result.low, result.high) == pytest.approx((0.0213, 0.0587), abs=1e-3)

    @pytest.mark.parametrize("cells", [(794, 86, 150, 570), (59, 6, 16, 80), (264, 18, 9, 14), (273, 9, 0, 23)])
    def test_the_p_of_statsmodels(self, cells: tuple[int, int, int, int]) -> None:
        both, only_first, only_second, neither = cells
        expected = statsmodels_mcnemar([[both, only_first], [only_second, neither]], exact=True).pvalue
        assert mcnemar(*answers(*cells)).p == pytest.approx(expected, rel=1e-12)

    def test_tangos_interval_as_r_prints_it(self) -> None:
        """contingencytables, complete response before and after therapy (Cavo et al. 2012): 59, 6, 16, 80."""
        assert paired_proportions(6, 16, 161, correction=0) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
        # and its exact conditional test
        assert mcnemar(*answers(59, 6, 16, 80)).p == pytest.approx(0.052479, abs=5e-7)

    def test_the_other_way_round_is_the_negative(self) -> None:
        first, second = answers(250, 30, 12, 13)
        result, turned = mcnemar(first, second), mcnemar(second, first)
        assert (turned.value, turned.low, turned.high) == pytest.approx((-result.value, -result.high, -result.low))
        assert turned.p == result.p

    def test_a_higher_level_is_wider(self) -> None:
        first, second = answers(250, 30, 12, 13)
        narrow, wide = mcnemar(first, second, 0.9), mcnemar(first, second, 0.99)
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high

    def test_equal_answers_leave_room_for_a_rare_difference(self) -> None:
        result = mcnemar(*answers(290, 0, 0, 15))
        assert (result.value, result.p) == (0.0, 1.0)
        assert result.low == pytest.approx(-result.high)
        assert -0.02 < result.low < -0.01

    def test_one_always_right_and_one_always_wrong(self) -> None:
        result = mcnemar(*answers(0, 40, 0, 0))
        assert (result.value, result.high) == (1.0, 1.0)
        assert 0.7 < result.low < 1
        assert result.p == pytest.approx(2 * 0.5**40)

    @pytest.mark.parametrize(("first", "second"), [(3, 4), (0, 0)])
    def test_other_images_or_none_are_refused(self, first: int, second: int) -> None:
        with pytest.raises(DataError, match=rf"\({first},\) .*\({second},\)"):
            mcnemar(np.ones(first, bool), np.ones(second, bool))


class TestUnknownOverlap:
    def test_the_reports_282_and_273_of_305(self) -> None:
        """The smallest: all 273 are among the 282 (9 against 0); the largest: no image is wrong for both (32, 23)."""
        smallest, largest = mcnemar_range(282, 273, 305)
        assert smallest == 2 * 0.5**9 == 0.00390625
        assert largest == pytest.approx(binomtest(23, 55).pvalue, rel=1e-12)
        assert largest == pytest.approx(0.2806097, abs=5e-8)

    def test_the_overlap_from_which_on_the_report_would_be_right(self) -> None:
        """19 errors of both, of 23 and of 32: 4 and 13 of one only."""
        assert mcnemar(*answers(269, 13, 4, 19)).p == pytest.approx(0.04904, abs=5e-6)
        assert mcnemar(*answers(268, 14, 5, 18)).p == pytest.approx(0.06357, abs=5e-6)

    def test_every_overlap_lies_within(self) -> None:
        smallest, largest = mcnemar_range(7, 5, 10)
        seen = [
            mcnemar(*answers(both, 7 - both, 5 - both, 10 - 12 + both)).p
            for both in range(11)
            if min(7 - both, 5 - both, 10 - 12 + both) >= 0
        ]
        assert (min(seen), max(seen)) == (smallest, largest)
        assert mcnemar_range(5, 7, 10) == (smallest, largest)

    def test_no_room_and_no_difference(self) -> None:
        assert mcnemar_range(305, 305, 305) == (1.0, 1.0)
        assert mcnemar_range(10, 4, 10) == pytest.approx((2 * 0.5**6, 2 * 0.5**6))
        assert mcnemar_range(5, 5, 10) == (1.0, 1.0)

    def test_more_right_than_there_are_is_refused(self) -> None:
        with pytest.raises(ValueError, match="282 .*306 .*305"):
            mcnemar_range(282, 306, 305)


class TestDecisions:
    def test_holm_by_hand(self) -> None:
        """.01 · 4, .02 · 3, .03 · 2 (not below the one before), .5 · 1."""
        assert holm([0.02, 0.01, 0.5, 0.03]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
        assert holm([0.4, 0.9, 0.6]) == pytest.approx([1.0, 1.0, 1.0])
        assert holm([]) == []

    def test_holm_leaves_out_what_could_not_be_compared(self) -> None:
        first, second, third = holm([0.01, math.nan, 0.04])
        assert (first, third) == pytest.approx((0.02, 0.04))
        assert math.isnan(second)

    @pytest.mark.parametrize(
        ("low", "margin", "expected"),
        [(-0.019, 0.02, True), (-0.02, 0.02, False), (-0.021, 0.02, False), (0.001, 0.0, True), (0.0, 0.0, False),
         (math.nan, 0.02, False)],
    )  # fmt: skip
    def test_only_the_lower_end_decides(self, low: float, margin: float, expected: bool) -> None:
        assert not_inferior(Difference(0.01, low, 0.05, 0.5), margin) is expected

    @pytest.mark.parametrize("margin", [-0.01, math.nan])
    def test_a_margin_below_0_is_refused(self, margin: float) -> None:
        with pytest.raises(ValueError, match="margin"):
            not_inferior(Difference(0.0, 0.0, 0.0, 1.0), margin)

    def test_what_is_found_is_plain_values(self) -> None:
        assert wilson(1, 2) == Interval(0.5, pytest.approx(0.0945, abs=5e-5), pytest.approx(0.9055, abs=5e-5))


IMAGES = 305


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03, 0.05])
def test_an_accuracy_at_the_margin_passes_at_most_1_time_in_20(margin: float) -> None:
    """Exactly, over every likely number of images that only one of the two gets right, for rare to frequent ones."""
    for disagreement in (margin + 0.005, margin + 0.03, margin + 0.1, margin + 0.2):
        shares = (disagreement - margin) / 2, (disagreement + margin) / 2
        only_first, only_second = (
            range(int(binom.ppf(1e-6, IMAGES, share)), int(binom.ppf(1 - 1e-6, IMAGES, share)) + 1) for share in shares
        )
        passed = 0.0
        for gains, losses in itertools.product(only_first, only_second):
            # the further one is behind, the less it passes: no need to ask once it is behind by more than the margin
            if losses - gains >= margin * IMAGES:
                continue
            low, high = paired_proportions(gains, losses, IMAGES, level=0.9)
            if not_inferior(Difference((gains - losses) / IMAGES, low, high, math.nan), margin):
                share = shares[1] / (1 - shares[0])
                passed += binom.pmf(gains, IMAGES, shares[0]) * binom.pmf(losses, IMAGES - gains, share)
        assert 0.01 < passed <= 0.05


def test_the_interval_of_paired_accuracies_covers() -> None:
    """The same way, for a difference of 0.03 at a disagreement of one image in eight."""
    shares, covered = ((0.125 - 0.03) / 2, (0.125 + 0.03) / 2), 0.0
    for gains, losses in itertools.product(range(1, 40), range(3, 50)):
        low, high = paired_proportions(gains, losses, IMAGES)
        if low <= -0.03 <= high:
            share = shares[1] / (1 - shares[0])
            covered += binom.pmf(gains, IMAGES, shares[0]) * binom.pmf(losses, IMAGES - gains, share)
    assert 0.95 <= covered <= 0.97
