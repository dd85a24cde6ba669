"""Resampling images and patients."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.bootstrap import (
    bootstrap,
    bootstrap_difference,
    bootstrap_distributions,
    mean_statistic,
    patient_clusters,
)
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson

LABELS = np.repeat(np.array([0, 1], np.uint8), [97, 208])


def scored(seed: int, shift: float = 2.44) -> np.ndarray:
    """Scores of 305 images, the classes ``shift`` standard deviations apart."""
    return np.random.default_rng(seed).normal(shift * LABELS, 1)


def accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(((scores >= 1.2) == (labels == 1)).mean())


class TestImages:
    @pytest.mark.parametrize("seed", [4, 5, 6])
    def test_it_is_near_what_is_known_without_resampling(self, seed: int) -> None:
        """Seed 3 has one image so far off that DeLong's interval, which allows for more such, reaches 0.0125 lower."""
        scores = scored(seed)
        right = int(((scores >= 1.2) == (LABELS == 1)).sum())
        for metric, expected in ((auc, auc_interval(LABELS, scores)), (accuracy, wilson(right, 305))):
            result = bootstrap(LABELS, scores, metric)
            assert result.value == pytest.approx(expected.value)
            assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=0.01)

    def test_each_class_keeps_its_number(self) -> None:
        """The share of class 1 is the same in every draw, so it has no width."""
        result = bootstrap(LABELS, scored(3), lambda labels, _: float(labels.mean()), draws=50)
        assert (result.value, result.low, result.high) == (208 / 305, 208 / 305, 208 / 305)

    def test_scores_stay_with_their_labels(self) -> None:
        result = bootstrap(LABELS, LABELS.astype(np.float64), lambda labels, given: float((labels == given).mean()))
        assert (result.low, result.high) == (1.0, 1.0)

    def test_it_repeats_with_its_seed(self) -> None:
        first, again, other = (bootstrap(LABELS, scored(3), auc, seed=seed, draws=200) for seed in (4, 4, 5))
        assert first == again
        assert first.low != other.low

    def test_a_mean_by_the_formula(self) -> None:
        """The stratified standard error of a mean: each class's own variance, by its share."""
        scores = scored(9)
        result = bootstrap(LABELS, scores, lambda _, given: float(given.mean()), draws=4000)
        error = math.sqrt(97 * scores[:97].var() + 208 * scores[97:].var()) / 305
        assert (result.high - result.low) / (2 * 1.96) == pytest.approx(error, rel=0.04)
        assert (result.low + result.high) / 2 == pytest.approx(scores.mean(), abs=0.1 * error)

    def test_2000_draws_take_well_under_a_second(self) -> None:
        scores = scored(3)
        started = time.process_time()
        bootstrap(LABELS, scores, auc)
        assert time.process_time() - started < 1

    def test_a_metric_that_is_nan_in_a_draw_has_no_ends(self) -> None:
        result = bootstrap(
            LABELS, scored(3), lambda labels, given: float(given.mean()) if given[0] != given[1] else math.nan
        )
        assert math.isfinite(result.value)
        assert math.isnan(result.low)
        assert math.isnan(result.high)

    def test_a_score_that_is_nan_is_refused(self) -> None:
        with pytest.raises(DataError, match="NaN"):
            bootstrap(LABELS, np.where(LABELS == 1, 0.5, math.nan), auc)


class TestPatients:
    def test_patients_of_one_image_are_images(self) -> None:
        scores = scored(3)
        assert bootstrap(LABELS, scores, auc, groups=np.arange(305), draws=300) == bootstrap(
            LABELS, scores, auc, draws=300
        )

    def test_names_do_as_well_as_numbers(self) -> None:
        scores, patients = scored(3), np.arange(305) // 2
        names = np.array([f"patient {number:03}" for number in patients])
        assert bootstrap(LABELS, scores, auc, groups=names, draws=100) == bootstrap(
            LABELS, scores, auc, groups=patients, draws=100
        )

    def test_four_copies_of_each_image_are_worth_one(self) -> None:
        """Drawn whole, patients give the width of 305 images; as if they were images, half of it."""
        labels, scores, patients = (np.repeat(values, 4) for values in (LABELS, scored(3), np.arange(305)))
        single = bootstrap(LABELS, scored(3), auc)
        whole = bootstrap(labels, scores, auc, groups=patients)
        apart = bootstrap(labels, scores, auc)
        assert (whole.low, whole.high) == pytest.approx((single.low, single.high), abs=0.003)
        assert (apart.high - apart.low) / (whole.high - whole.low) == pytest.approx(0.5, abs=0.05)

    def test_a_patient_is_never_torn(self) -> None:
        """Two images a patient, one of them with -1: the sum over a patient is 0, and so is that of every draw."""
        scores = np.tile([1.0, -1.0], 60)
        labels = np.repeat(np.array([0, 1, 0, 1], np.uint8), 30)
        result = bootstrap(labels, scores, lambda _, given: float(given.sum()), groups=np.arange(120) // 2, draws=100)
        assert (result.value, result.low, result.high) == (0.0, 0.0, 0.0)

    def test_patients_of_both_classes_are_drawn_among_themselves(self) -> None:
        labels = np.array([0, 0, 1, 1, 0, 1, 0, 1], np.uint8)
        patients = np.array([1, 2, 3, 4, 5, 5, 6, 6])
        result = bootstrap(labels, np.zeros(8), lambda given, _: float(len(given)), groups=patients, draws=100)
        assert (result.low, result.high) == (8.0, 8.0)

    def test_other_lengths_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"\(305,\) .*\(304,\)"):
            bootstrap(LABELS, scored(3), auc, groups=np.arange(304))


class TestDifferences:
    def test_the_same_model_differs_by_nothing(self) -> None:
        result = bootstrap_difference(LABELS, scored(3), scored(3), auc, draws=100)
        assert (result.value, result.low, result.high, result.p) == (0.0, 0.0, 0.0, 1.0)

    def test_a_metric_that_is_nan_in_a_draw_has_no_p(self) -> None:
        def positive_share(labels: np.ndarray, scores: np.ndarray) -> float:
            return float(labels[scores > 0.9].mean()) if (scores > 0.9).any() else math.nan

        scores = np.append(np.linspace(0, 0.5, 304), 0.95)
        result = bootstrap_difference(LABELS, scores, scores[::-1].copy(), positive_share, draws=50)
        assert math.isnan(result.p)
        assert math.isnan(result.low)

    def test_both_models_are_drawn_alike(self) -> None:
        """A constant added to every score is the same constant in every draw."""
        scores = scored(3)
        result = bootstrap_difference(LABELS, scores + 0.25, scores, lambda _, given: float(given.mean()), draws=100)
        assert (result.value, result.low, result.high) == pytest.approx((0.25, 0.25, 0.25))
        assert result.p < 0.02

    def test_the_interval_ends_at_0_where_its_level_is_one_less_p(self) -> None:
        first = scored(3)
        second = first + np.random.default_rng(12).normal(0, 0.35, 305)
        result = bootstrap_difference(LABELS, first, second, auc, draws=4000)
        assert 0.001 < result.p < 0.5
        edge = bootstrap_difference(LABELS, first, second, auc, draws=4000, level=1 - result.p)
        assert min(abs(edge.low), abs(edge.high)) < 2e-4

    def test_the_other_way_round_is_the_negative(self) -> None:
        result = bootstrap_difference(LABELS, scored(3), scored(4), auc, draws=2000)
        turned = bootstrap_difference(LABELS, scored(4), scored(3), auc, draws=2000)
        assert (turned.value, turned.low, turned.high) == pytest.approx(
            (-result.value, -result.high, -result.low), abs=1e-9
        )
        assert turned.p == pytest.approx(result.p)

    def test_patients_count_once(self) -> None:
        labels, first, second, patients = (
            np.repeat(values, 4) for values in (LABELS, scored(3), scored(4), np.arange(305))
        )
        single = bootstrap_difference(LABELS, scored(3), scored(4), auc)
        whole = bootstrap_difference(labels, first, second, auc, groups=patients)
        assert (whole.low, whole.high) == pytest.approx((single.low, single.high), abs=0.004)
        assert whole.p == pytest.approx(single.p, abs=0.05)


@pytest.mark.slow
def test_the_bootstrap_covers_an_accuracy_and_a_sensitivity() -> None:
    generator = np.random.default_rng(9)
    distance, repeats = float(norm.ppf(0.9)), 200
    held = np.zeros(2)
    for repeat in range(repeats):
        scores = generator.normal(np.where(LABELS == 1, distance, -distance), 1)
        right = (scores >= 0) == (LABELS == 1)
        # as means of blocks of draws: metrics of rows would be called 120,000 times
        both = [mean_statistic(right), mean_statistic(right, LABELS == 1)]
        intervals = [found.interval() for found in bootstrap_distributions(LABELS, both, draws=300, seed=repeat)]
        if not repeat:
            by_rows = [bootstrap(LABELS, scores, metric, draws=300, seed=0) for metric in (_accuracy, _sensitivity)]
            for one, other in zip(intervals, by_rows, strict=True):
                assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
        held += [interval.low <= 0.9 <= interval.high for interval in intervals]
    assert (held / repeats >= 0.92).all()
    assert (held / repeats <= 0.98).all()


def _accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(((scores >= 0) == (labels == 1)).mean())


def _sensitivity(labels: np.ndarray, scores: np.ndarray) -> float:
    return float((scores >= 0)[labels == 1].mean())


@pytest.mark.parametrize(
    ("labels", "patients"),
    [
        ([0, 1], None),
        ([0] * 7 + [1], None),
        ([0] * 5 + [1] * 5, ["one"] * 10),
        ([0] * 5 + [1] * 5, ["a"] * 5 + ["b"] * 5),
        ([0] * 5 + [1] * 2, ["a", "b", "c", "d", "e", "e", "e"]),
        ([0] * 3 + [1] * 3, ["a", "a", "b", "b", "c", "c"]),
    ],
)
def test_no_resampled_set_lacks_a_class(labels: list[int], patients: list[str] | None) -> None:
    given = np.array(labels, np.uint8)
    scores = np.linspace(0.1, 0.9, len(labels))

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        assert (weights[:, given == 0].sum(1) > 0).all()
        assert (weights[:, given == 1].sum(1) > 0).all()
        return weights @ scores / weights.sum(1)

    groups = None if patients is None else patient_clusters(np.array(patients))
    (distribution,) = bootstrap_distributions(given, [statistic], groups, draws=50)
    assert distribution.value == pytest.approx(scores.mean())
    interval = distribution.interval()
    assert np.isfinite([interval.value, interval.low, interval.high]).all()
