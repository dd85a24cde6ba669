"""The AUC's variance and difference, against what R's pROC prints, and by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.delong import auc_difference, auc_differences, auc_interval, auc_intervals, delong
from mobilenet_chest.evaluation.significance import mcnemar, not_inferior

# aSAH, which comes with pROC (Turck et al., Intensive Care Medicine 2010): 113 patients with a subarachnoid
# haemorrhage, whose outcome was good (G) or poor (P); the WFNS grade, and S100β and NDKA in µg/l
ASAH = """
G,1,0.13,3.01 G,1,0.14,8.54 G,1,0.1,8.09 G,1,0.04,10.42 P,3,0.13,17.4 P,2,0.1,12.75 G,5,0.47,6.0 P,4,0.16,13.2
G,1,0.18,15.54 G,2,0.1,6.01 P,5,0.12,15.96 G,2,0.1,17.86 P,5,0.44,5.18 P,5,0.71,8.9 G,1,0.04,13.41 G,2,0.08,20.75
P,5,0.49,11.6 G,2,0.04,16.11 P,2,0.07,32.37 P,5,0.33,54.82 P,2,0.09,32.41 G,1,0.09,49.94 P,1,0.07,40.34 G,1,0.11,9.47
G,1,0.07,6.29 G,2,0.17,12.53 G,1,0.07,6.54 G,2,0.11,6.3 G,1,0.13,80.3 G,1,0.19,12.8 G,3,0.05,9.8 G,4,0.16,9.81
P,2,0.41,9.85 G,1,0.14,18.21 G,4,0.34,5.03 P,5,0.35,14.04 P,4,0.48,21.93 G,1,0.09,8.02 P,4,0.96,7.42 P,2,0.25,8.38
G,5,0.5,6.59 G,5,0.46,9.63 G,1,0.16,13.12 G,1,0.07,7.96 G,2,0.43,14.34 G,4,0.45,41.43 G,1,0.11,7.63 G,1,0.08,7.06
G,2,0.09,12.59 P,5,0.86,13.56 P,5,0.52,3.87 G,2,0.08,9.44 G,1,0.06,7.66 G,2,0.13,12.98 P,5,2.07,419.19 G,1,0.1,27.19
G,2,0.14,22.27 G,2,0.15,9.95 P,2,0.07,21.22 G,1,0.06,11.73 P,5,0.77,10.4 G,1,0.05,58.83 G,1,0.09,6.39 P,2,0.3,11.09
P,5,0.03,12.22 P,2,0.09,13.67 G,1,0.04,17.21 P,4,0.23,22.63 P,5,0.7,12.9 G,2,0.09,9.7 P,4,0.27,21.57 P,4,0.71,8.23
P,1,0.08,72.57 P,4,0.26,15.54 G,1,0.08,10.51 G,2,0.16,10.6 G,1,0.09,14.57 P,4,0.13,5.19 P,2,0.1,9.63 G,1,0.08,4.61
P,2,0.11,21.48 G,3,0.33,17.3 G,2,0.11,12.71 G,4,0.28,9.44 G,2,0.07,11.07 G,1,0.1,19.46 G,4,0.32,10.83 P,5,0.22,5.37
G,1,0.07,11.97 G,1,0.05,7.75 G,5,0.24,9.83 G,4,0.38,10.55 G,2,0.1,28.49 G,2,0.15,8.53 G,1,0.08,12.57 G,1,0.14,12.9
G,1,0.1,46.83 G,3,0.07,11.68 G,1,0.04,12.67 G,2,0.19,9.01 P,5,0.56,9.57 P,2,0.14,34.06 P,2,0.58,11.72 P,5,0.32,14.26
P,5,0.82,47.61 P,5,0.74,11.67 G,2,0.15,24.58 G,4,0.47,10.33 G,4,0.17,13.87 P,5,0.44,15.89 G,1,0.15,22.43 G,1,0.5,6.79
G,1,0.48,13.45
"""
ROWS = [row.split(",") for row in ASAH.split()]
POOR = np.array([row[0] == "P" for row in ROWS], np.uint8)
WFNS, S100B, NDKA = (np.array([float(row[column]) for row in ROWS]) for column in (1, 2, 3))


class TestPublished:
    def test_areas_and_covariance(self) -> None:
        """What pROC's own tests expect of ``auc``, ``var`` and ``cov``."""
        areas, covariance = delong(POOR, WFNS, S100B, NDKA)
        assert areas == pytest.approx([0.823678861788618, 0.731368563685637, 0.611957994579946], abs=1e-12)
        expected = [
            [0.00146991470882363, 0.00119615567376754, -0.000532967856762438],
            [0.00119615567376754, 0.00266868245717244, -0.000756164938056579],
            [-0.000532967856762438, -0.000756164938056579, 0.0031908105493913],
        ]
        np.testing.assert_allclose(covariance, expected, rtol=1e-10)

    @pytest.mark.parametrize(
        ("first", "second", "p", "low", "high"),
        [
            # pROC: Z = 2.20898359144091, 2.79777591868904 and -1.39077002573558
            (WFNS, S100B, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
            (WFNS, NDKA, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
            (NDKA, S100B, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
        ],
    )
    def test_delongs_test(self, first: np.ndarray, second: np.ndarray, p: float, low: float, high: float) -> None:
        result = auc_difference(POOR, first, second)
        assert result.p == pytest.approx(p, rel=1e-10)
        assert result.value == pytest.approx((low + high) / 2, abs=1e-12)
        # pROC's interval is symmetrical: away from 1 the two differ little
        assert (result.low, result.high) == pytest.approx((low, high), abs=0.03)

    def test_the_interval_is_near_procs_where_that_holds(self) -> None:
        result = auc_interval(POOR, NDKA)
        assert (result.low, result.high) == pytest.approx((0.501244999271703, 0.722670989888189), abs=0.01)


class TestByHand:
    def test_four_images(self) -> None:
        """Class 1 at .4 and .9, class 0 at .1 and .6: three of four pairs in order."""
        labels, scores = np.array([1, 1, 0, 0], np.uint8), np.array([0.4, 0.9, 0.1, 0.6])
        # placements .5, 1 and 1, .5: variance .125 / 2 of each class
        areas, covariance = delong(labels, scores)
        assert (areas[0], covariance[0, 0]) == (0.75, pytest.approx(0.125))

    def test_the_area_is_scikit_learns_ties_included(self) -> None:
        generator = np.random.default_rng(8)
        for _ in range(20):
            labels = generator.integers(0, 2, 60).astype(np.uint8)
            scores = generator.integers(0, 9, 60) / 8
            assert auc_interval(labels, scores).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)

    def test_order_and_scale_do_not_matter(self) -> None:
        order = np.random.default_rng(1).permutation(len(POOR))
        result = auc_interval(POOR, S100B)
        other = auc_interval(POOR[order], np.log(S100B[order]))
        assert (other.low, other.value, other.high) == pytest.approx((result.low, result.value, result.high), abs=1e-12)
        turned = auc_interval(1 - POOR, -S100B)
        assert (turned.low, turned.high) == pytest.approx((result.low, result.high), abs=1e-12)

    def test_the_other_way_round_is_the_negative(self) -> None:
        result, turned = auc_difference(POOR, WFNS, S100B), auc_difference(POOR, S100B, WFNS)
        assert (turned.value, turned.low, turned.high) == pytest.approx((-result.value, -result.high, -result.low))
        assert turned.p == result.p


class TestDegenerate:
    LABELS = np.repeat(np.array([0, 1], np.uint8), [97, 208])

    def test_separated_classes_are_no_proof_of_1(self) -> None:
        """As a proportion of 1 among the 97 images of the smaller class."""
        result = auc_interval(self.LABELS, self.LABELS.astype(np.float64))
        assert (result.value, result.high) == (1.0, 1.0)
        assert result.low == pytest.approx(1 / (1 + 1.959964**2 / 97), abs=1e-6)
        wrong = auc_interval(self.LABELS, -self.LABELS.astype(np.float64))
        assert (wrong.value, wrong.low) == (0.0, 0.0)
        assert wrong.high == pytest.approx(1 - result.low)

    def test_two_that_separate_them_in_other_orders(self) -> None:
        first = self.LABELS + np.linspace(0, 0.5, 305)
        second = self.LABELS + np.linspace(0.5, 0, 305)
        result = auc_difference(self.LABELS, first, second)
        assert (result.value, result.p) == (0.0, 1.0)
        assert -0.06 < result.low < -0.03 < 0.03 < result.high < 0.06

    def test_scores_that_are_all_the_same(self) -> None:
        result = auc_interval(self.LABELS, np.full(305, 0.3))
        assert result.value == 0.5
        assert 0.39 < result.low < 0.41 < 0.59 < result.high < 0.61

    def test_one_class_only_has_no_area(self) -> None:
        labels, scores = np.ones(5, np.uint8), np.linspace(0, 1, 5)
        for result in (auc_interval(labels, scores), auc_difference(labels, scores, scores)):
            assert math.isnan(result.value)
            assert math.isnan(result.low)
            assert math.isnan(result.high)

    def test_one_image_of_a_class_has_an_area_but_no_variance(self) -> None:
        labels, scores = np.array([1, 0, 0, 0], np.uint8), np.array([0.5, 0.1, 0.7, 0.3])
        result = auc_interval(labels, scores)
        assert result.value == pytest.approx(2 / 3)
        assert result.low < 0.2
        assert result.high > 0.9
        difference = auc_difference(labels, scores, scores[::-1].copy())
        assert math.isnan(difference.p)
        assert difference.low < difference.value < difference.high

    def test_the_same_ranking_is_no_difference(self) -> None:
        result = auc_difference(POOR, S100B, np.sqrt(S100B))
        assert (result.value, result.low, result.high, result.p) == (0.0, 0.0, 0.0, 1.0)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_scores_that_are_no_numbers_are_refused(self, bad: float) -> None:
        scores = np.array([0.1, bad, 0.3])
        with pytest.raises(DataError, match="NaN or infinite"):
            auc_interval(np.array([0, 1, 1], np.uint8), scores)
        with pytest.raises(DataError, match="NaN or infinite"):
            auc_difference(np.array([0, 1, 1], np.uint8), np.array([0.1, 0.2, 0.3]), scores)

    def test_other_lengths_and_labels_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"\(3,\) .*\(2,\)"):
            auc_interval(np.array([0, 1, 1], np.uint8), np.array([0.1, 0.2]))
        with pytest.raises(DataError, match=r"labels \[0, 2\]"):
            auc_interval(np.array([0, 2], np.uint8), np.array([0.1, 0.2]))


def test_many_at_once_are_each_as_alone() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat(np.array([0, 1], np.uint8), (40, 25))
    second, *firsts = (np.round(generator.normal(labels, 1), 1) for _ in range(6))
    firsts += [second * 2, labels.astype(np.float64), np.zeros(65)]
    for result, first in zip(auc_differences(labels, firsts, second, 0.9), firsts, strict=True):
        alone = auc_difference(labels, first, second, 0.9)
        assert dataclasses.astuple(result) == pytest.approx(dataclasses.astuple(alone), abs=1e-14)
    for interval, first in zip(auc_intervals(labels, *firsts), firsts, strict=True):
        assert dataclasses.astuple(interval) == pytest.approx(
            dataclasses.astuple(auc_interval(labels, first)), abs=1e-14
        )


NEGATIVE, POSITIVE = 97, 208
IMAGES = NEGATIVE + POSITIVE
LABELS = np.repeat(np.array([0, 1], np.uint8), [NEGATIVE, POSITIVE])


def shift(auc: float, spread: float = 1.0) -> float:
    """How far apart two normal classes are, with deviations 1 and ``spread``, for an AUC."""
    return float(norm.ppf(auc) * math.sqrt(1 + spread**2))


def pair(generator: np.random.Generator, first: float, second: float, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two models with these AUCs, whose noise has the correlation ``shared``."""
    common, *separate = generator.normal(size=(3, IMAGES))
    noise = (math.sqrt(shared) * common + math.sqrt(1 - shared) * each for each in separate)
    first_scores, second_scores = (shift(auc) * LABELS + each for auc, each in zip((first, second), noise, strict=True))
    return first_scores, second_scores


def missed(auc: float, spread: float) -> tuple[float, float]:
    """How often the 95% interval of an AUC lies above it, and below."""
    generator = np.random.default_rng(305)
    scores = generator.normal(shift(auc, spread) * LABELS, np.where(LABELS == 1, spread, 1.0), (2_000, IMAGES))
    result = auc_intervals(LABELS, *scores)
    return float(np.mean([each.low > auc for each in result])), float(np.mean([each.high < auc for each in result]))


@pytest.mark.parametrize(("auc", "spread"), [(0.9, 1.0), (0.958, 1.0), (0.99, 1.0), (0.958, 0.6)])
def test_the_auc_interval_covers(auc: float, spread: float) -> None:
    above, below = missed(auc, spread)
    assert 0.93 <= 1 - above - below <= 0.97
    # and misses to both sides alike
    assert 0.01 <= above <= 0.04
    assert 0.01 <= below <= 0.04


@pytest.mark.parametrize("auc", [0.99, 0.997])
def test_it_covers_where_a_few_images_of_class_0_carry_all(auc: float) -> None:
    assert 1 - sum(missed(auc, 0.6)) >= 0.93


@pytest.mark.parametrize(
    ("champion", "margin", "shared"),
    [(0.9, 0.02, 0.8), (0.958, 0.02, 0.8), (0.99, 0.01, 0.8), (0.99, 0.01, 0.3), (0.99, 0.01, 0.0)],
)
def test_an_auc_at_the_margin_passes_at_most_1_time_in_20(champion: float, margin: float, shared: float) -> None:
    """Eight challengers to each of 300 champions."""
    generator = np.random.default_rng(20)
    passed = []
    for _ in range(300):
        noise, challenger_noise = generator.normal(size=IMAGES), generator.normal(size=(8, IMAGES))
        firsts = shift(champion - margin) * LABELS + shared * noise + math.sqrt(1 - shared**2) * challenger_noise
        result = auc_differences(LABELS, list(firsts), shift(champion) * LABELS + noise, level=0.9)
        passed += [not_inferior(each, margin) for each in result]
    assert 0.01 < np.mean(passed) <= 0.05


def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    generator = np.random.default_rng(7)
    better, worse, right = 0, 0, 0
    for _ in range(200):
        first, second = pair(generator, 0.97, 0.958, 0.8)
        better += not_inferior(auc_difference(LABELS, first, second, level=0.9), 0.02)
        worse += not_inferior(auc_difference(LABELS, second - 0.6 * LABELS, first, level=0.9), 0.02)
        at = shift(0.958) / 2
        right += mcnemar((first >= at) == (LABELS == 1), (first >= at) == (LABELS == 1), 0.9).low > -0.02
    assert better >= 160
    assert worse <= 2
    assert right == 200
