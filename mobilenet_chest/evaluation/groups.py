"""Metrics of groups of images, such as those of one sex or one view, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.auc import auc_statistic
from mobilenet_chest.evaluation.bootstrap import bootstrap_distributions, mean_statistic, patient_clusters
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.predictions import Labels, Probabilities

FEW = 10
"""Images of a class; with fewer, a group's note says so."""

NOT_GIVEN = "not given"


@dataclass(frozen=True)
class GroupMetrics:
    """Metrics of the images with one value of one column.

    Attributes:
        name: The column; ``all`` for all images.
        value: Of the column; ``not given`` where it is empty.
        rows: Number of images.
        positive: Number of images of class 1.
        patients: Number of patients, if patients are known.
        figures: ``auc``, and ``accuracy``, ``sensitivity`` and ``specificity`` at the threshold. Metrics of a class
            without an image are left out.
        note: A warning about few or no images of a class, or empty text.
    """

    name: str
    value: str
    rows: int
    positive: int
    patients: int | None
    figures: dict[str, Interval]
    note: str


def group_metrics(
    labels: Labels,
    probabilities: Probabilities,
    threshold: float,
    groups: Mapping[str, NDArray[np.str_]],
    patients: NDArray[np.str_] | None,
    classes: tuple[str, str],
) -> list[GroupMetrics]:
    """Return the metrics of all images, and of each group.

    Intervals are Wilson's, and for the AUC those of :func:`~mobilenet_chest.evaluation.delong.auc_interval`. In a group
    where a patient has more than one image they are bootstrapped, with patients drawn whole, and
    :func:`wilson_if_constant` gives a width to metrics without one.

    Args:
        labels: uint8 (n,), 0 or 1.
        probabilities: float64 (n,), of class 1.
        threshold: From which class 1 is predicted.
        groups: Column name -> text (n,); empty text is "not given".
        patients: Patient of each image, text (n,), if known; images of empty text are of different patients.
        classes: Names of class 0 and class 1.
    """
    masks = [("all", "", np.ones(len(labels), bool))]
    for name, values in groups.items():
        masks += [(name, value, values == value) for value in sorted(set(values.tolist()), key=_sort_key)]
    return [
        GroupMetrics(
            name=name,
            value=value or ("" if name == "all" else NOT_GIVEN),
            rows=int(mask.sum()),
            positive=int(labels[mask].sum()),
            patients=None if patients is None else _count(patients[mask]),
            figures=_metrics(
                labels[mask], probabilities[mask], threshold, None if patients is None else patients[mask]
            ),
            note=_note(labels[mask], classes),
        )
        for name, value, mask in masks
    ]


def _metrics(
    labels: Labels, scores: Probabilities, threshold: float, patients: NDArray[np.str_] | None
) -> dict[str, Interval]:
    clusters, correct = patient_clusters(patients), (scores >= threshold) == (labels == 1)
    masks = {"accuracy": labels >= 0, "sensitivity": labels == 1, "specificity": labels == 0}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    both_classes = len(masks) == 3
    if clusters is None:
        aucs = {"auc": auc_interval(labels, scores)} if both_classes else {}
        return aucs | {name: wilson(int(correct[mask].sum()), int(mask.sum())) for name, mask in masks.items()}
    statistics = {"auc": auc_statistic(labels, scores)} if both_classes else {}
    statistics |= {name: mean_statistic(correct, mask) for name, mask in masks.items()}
    distributions = bootstrap_distributions(labels, list(statistics.values()), clusters)
    return {
        name: wilson_if_constant(distribution.interval(), labels[mask], clusters[mask])
        for (name, distribution) in zip(statistics, distributions, strict=True)
        for mask in [masks.get(name, labels >= 0)]
    }


def wilson_if_constant(interval: Interval, labels: Labels, clusters: NDArray[np.int64]) -> Interval:
    """Return a bootstrapped interval, or Wilson's where the metric was the same in every draw, as an accuracy of 1 is.

    Wilson's is of as many patients as the class with fewer patients has.

    Args:
        interval: Of a share, or of an AUC.
        labels: uint8 (n,), of the images that the metric is of.
        clusters: int64 (n,), patient of each of these images.
    """
    if interval.low < interval.high or not math.isfinite(interval.value):
        return interval
    count = min(len(np.unique(clusters[labels == label])) for label in np.unique(labels))
    wide = wilson(round(interval.value * count), count)
    return Interval(interval.value, min(wide.low, interval.value), max(wide.high, interval.value))


def _count(patients: NDArray[np.str_]) -> int:
    clusters = patient_clusters(patients)
    return len(patients) if clusters is None else len(np.unique(clusters))


def _sort_key(value: str) -> tuple[bool, bool, int, str]:
    """Sort numbers by size before text by letters, and what is not given last."""
    number = value.removeprefix("-").isdecimal()
    return not value, not number, int(value) if number else 0, value


def _note(labels: Labels, classes: tuple[str, str]) -> str:
    counts = {name: int((labels == label).sum()) for label, name in enumerate(classes)}
    missing = [name for name, count in counts.items() if not count]
    if missing:
        share = "specificity" if missing[0] == classes[0] else "sensitivity"
        return f"no image of {missing[0]}: no AUC, no {share}"
    few = [f"{count} of {name}" for name, count in counts.items() if count < FEW]
    return f"rests on {' and '.join(few)}" if few else ""
