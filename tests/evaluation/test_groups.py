"""Metrics of groups are those of their images alone, with intervals that know of patients."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.oracles import rank_auc
from numpy.typing import NDArray

from mobilenet_chest.evaluation.bootstrap import bootstrap, bootstrap_distributions, mean_statistic
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.groups import GroupMetrics, group_metrics
from mobilenet_chest.evaluation.intervals import wilson

CLASSES = ("normal", "pneumonia")


@pytest.fixture
def drawn() -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.str_]]:
    """Labels, probabilities and a sex of 120 images."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 120).astype(np.uint8)
    scores = np.clip(labels * 0.3 + random.normal(0.35, 0.25, 120), 0, 1)
    return labels, scores, np.where(np.arange(120) < 50, "F", "M")


def by_value(result: list[GroupMetrics]) -> dict[str, GroupMetrics]:
    return {group.value or group.name: group for group in result}


def test_metrics_of_each_group_are_those_of_its_images(
    drawn: tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.str_]],
) -> None:
    labels, scores, sex = drawn
    result = group_metrics(labels, scores, 0.4, {"sex": sex}, None, CLASSES)
    assert [(group.name, group.value, group.rows, group.patients) for group in result] == [
        ("all", "", 120, None), ("sex", "F", 50, None), ("sex", "M", 70, None)
    ]  # fmt: skip
    for group, mask in zip(result, (sex != "", sex == "F", sex == "M"), strict=True):
        group_labels, positive = labels[mask], scores[mask] >= 0.4
        assert group.positive == group_labels.sum()
        assert group.figures == {
            "auc": auc_interval(group_labels, scores[mask]),
            "accuracy": wilson(int((positive == group_labels).sum()), len(group_labels)),
            "sensitivity": wilson(int(positive[group_labels == 1].sum()), int(group_labels.sum())),
            "specificity": wilson(int((~positive[group_labels == 0]).sum()), int((group_labels == 0).sum())),
        }
        assert group.note == ""


def test_small_groups_and_groups_of_one_class_say_so() -> None:
    labels = np.array([1, 1, 0, 0, 0, 1] + [0, 1] * 20, np.uint8)
    scores = np.linspace(0.2, 0.8, len(labels))
    view = np.array(["AP", "AP", "LL", "LL", "", ""] + ["PA"] * 40)
    result = by_value(group_metrics(labels, scores, 0.5, {"view": view}, None, CLASSES))
    assert list(result) == ["all", "AP", "LL", "PA", "not given"]
    assert result["AP"].note == "no image of normal: no AUC, no specificity"
    assert result["AP"].figures.keys() == {"accuracy", "sensitivity"}
    assert result["LL"].note == "no image of pneumonia: no AUC, no sensitivity"
    assert result["LL"].figures.keys() == {"accuracy", "specificity"}
    assert result["not given"].note == "rests on 1 of normal and 1 of pneumonia"
    assert len(result["not given"].figures) == 4
    assert result["PA"].note == ""


def test_groups_that_are_numbers_stand_in_their_order() -> None:
    labels = np.array([0, 1] * 4, np.uint8)
    decade = np.array(["90", "10", "9", "", "unknown", "100", "-1", "9"])
    result = group_metrics(labels, np.linspace(0, 1, 8), 0.5, {"decade": decade}, None, CLASSES)
    assert [group.value for group in result[1:]] == ["-1", "9", "10", "90", "100", "unknown", "not given"]


def test_patients_who_repeat_are_drawn_whole(
    drawn: tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.str_]],
) -> None:
    """The men have one image each; of the women, ten images each show five."""
    labels, scores, sex = drawn
    labels[:50], scores[:50] = np.repeat([0, 0, 1, 1, 1], 10), np.repeat([0.2, 0.6, 0.3, 0.7, 0.9], 10)
    patients = np.array([f"woman {row // 10}" if row < 50 else f"man {row}" for row in range(120)])
    alone = by_value(group_metrics(labels, scores, 0.5, {"sex": sex}, None, CLASSES))
    result = by_value(group_metrics(labels, scores, 0.5, {"sex": sex}, patients, CLASSES))
    assert [result[name].patients for name in ("all", "F", "M")] == [75, 5, 70]
    assert result["M"].figures == alone["M"].figures
    women = result["F"].figures
    assert women["auc"] == bootstrap(labels[:50], scores[:50], rank_auc, groups=patients[:50])
    for name, interval in women.items():
        unclustered = alone["F"].figures[name]
        assert interval.value == pytest.approx(unclustered.value)
        assert interval.high - interval.low > 1.5 * (unclustered.high - unclustered.low)


def test_a_perfect_metric_of_few_patients_is_as_sure_as_their_number() -> None:
    """30 images of 3 and of 2 patients, all right: Wilson's interval of 2 of 2, not that of 30 of 30."""
    labels = np.repeat([0, 0, 0, 1, 1], [10, 10, 10, 15, 15]).astype(np.uint8)
    patients = np.repeat(["a", "b", "c", "d", "e"], [10, 10, 10, 15, 15])
    (result,) = group_metrics(labels, labels * 0.8 + 0.1, 0.5, {}, patients, CLASSES)
    assert result.figures["sensitivity"] == result.figures["auc"] == wilson(2, 2)
    assert result.figures["specificity"] == wilson(3, 3)
    assert result.figures["accuracy"].low < wilson(5, 5).low + 1e-12


def test_images_of_nobody_known_are_of_people_of_their_own() -> None:
    labels = np.tile([0, 1], 20).astype(np.uint8)
    scores = np.linspace(0, 1, 40)
    patients = np.array([""] * 38 + ["a", "b"])
    (result,) = group_metrics(labels, scores, 0.5, {}, patients, CLASSES)
    assert result.patients == 40
    assert result.figures["auc"] == auc_interval(labels, scores)


def test_intervals_of_patients_are_as_wide_as_sandwich_errors_say() -> None:
    """Of the 400 images of 100 people, each person's are mostly alike: close to ± 1.96 clustered standard errors."""
    random = np.random.default_rng(11)
    labels = np.tile(np.repeat([0, 1], 4), 50).astype(np.uint8)
    right = np.repeat(random.random(100) < 0.75, 4)
    right = np.where(random.random(400) < 0.2, random.random(400) < 0.75, right)
    patients = np.repeat(np.arange(100), 4).astype(str)
    scores = np.where(right == (labels == 1), 0.9, 0.1)
    (whole,) = group_metrics(labels, scores, 0.5, {}, patients, CLASSES)
    (alone,) = group_metrics(labels, scores, 0.5, {}, None, CLASSES)
    # each class is drawn by itself, so residuals are taken from its own share
    shares = np.array([right[labels == label].mean() for label in (0, 1)])
    residuals = (right - shares[labels]).reshape(100, 4).sum(1)
    error = np.sqrt((residuals**2).sum()) / 400
    interval = whole.figures["accuracy"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert interval.high - interval.low > 1.6 * (alone.figures["accuracy"].high - alone.figures["accuracy"].low)


@pytest.mark.slow
def test_intervals_of_patients_cover_and_those_of_images_do_not() -> None:
    """300 sets of 60 people with four images each, whose answers are mostly alike: 95% hold the true share."""
    random = np.random.default_rng(11)
    patients = np.repeat(np.arange(60), 4)
    labels = np.repeat(np.arange(60) % 2, 4).astype(np.uint8)
    held = {"patients": 0, "images": 0}
    for _ in range(300):
        right = np.repeat(random.random(60) < 0.8, 4)
        right = np.where(random.random(240) < 0.1, random.random(240) < 0.8, right)
        (drawn,) = bootstrap_distributions(labels, [mean_statistic(right)], patients, draws=1000)
        whole = drawn.interval()
        alone = wilson(int(right.sum()), 240)
        held["patients"] += whole.low <= 0.8 <= whole.high
        held["images"] += alone.low <= 0.8 <= alone.high
    assert 0.93 <= held["patients"] / 300 <= 0.98
    assert held["images"] / 300 < 0.8
