"""Figures of groups of images, such as those of one sex or one view, each with its interval."""

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
"""Images of a class, below which a group's figures are said to rest on few."""

NOT_GIVEN = "not given"


@dataclass(frozen=True)
class GroupMetrics:
    """Figures of the images with one value of one column.

    Attributes:
        name: The column; ``all`` for all images.
        value: What they have in common; ``not given`` where the column is empty.
        rows: Images.
        positive: Those of class 1.
        patients: People, where they are known.
        figures: ``auc``, and ``accuracy``, ``sensitivity`` and ``specificity`` at the threshold; without those that
            need a class of which there is no image.
        note: What to beware of; empty where there is nothing.
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
    """Figures of all images, and of each group.

    Intervals are Wilson's, and for the AUC those of
    :func:`~mobilenet_chest.evaluation.delong.auc_interval`. In a group in which a patient has more than one image they
    are bootstrapped, patients drawn whole; where that finds no width, as for an accuracy of 1, they are Wilson's of the
    number of patients, for the AUC of the class with fewer.

    Args:
        labels: uint8 (n,), 0 or 1.
        probabilities: float64 (n,), of class 1.
        threshold: From which class 1 is predicted.
        groups: By name, text (n,); empty text is "not given".
        patients: Whose images these are, text (n,), where it is known; images of empty text are of people of their own.
        classes: Names of class 0 and class 1.
    """
    chosen = [("all", "", np.ones(len(labels), bool))]
    for name, values in groups.items():
        chosen += [(name, value, values == value) for value in sorted(set(values.tolist()), key=_in_order)]
    return [
        GroupMetrics(
            name=name,
            value=value or ("" if name == "all" else NOT_GIVEN),
            rows=int(mask.sum()),
            positive=int(labels[mask].sum()),
            patients=None if patients is None else _count(patients[mask]),
            figures=_figures(
                labels[mask], probabilities[mask], threshold, None if patients is None else patients[mask]
            ),
            note=_note(labels[mask], classes),
        )
        for name, value, mask in chosen
    ]


def _figures(
    labels: Labels, scores: Probabilities, threshold: float, patients: NDArray[np.str_] | None
) -> dict[str, Interval]:
    clusters, right = patient_clusters(patients), (scores >= threshold) == (labels == 1)
    masks = {"accuracy": labels >= 0, "sensitivity": labels == 1, "specificity": labels == 0}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    ranked = len(masks) == 3
    if clusters is None:
        found = {"auc": auc_interval(labels, scores)} if ranked else {}
        return found | {name: wilson(int(right[mask].sum()), int(mask.sum())) for name, mask in masks.items()}
    figures = {"auc": auc_statistic(labels, scores)} if ranked else {}
    figures |= {name: mean_statistic(right, mask) for name, mask in masks.items()}
    intervals = bootstrap_distributions(labels, list(figures.values()), clusters)
    return {
        name: wilson_if_constant(one.interval(), labels[mask], clusters[mask])
        for (name, one) in zip(figures, intervals, strict=True)
        for mask in [masks.get(name, labels >= 0)]
    }


def wilson_if_constant(interval: Interval, labels: Labels, clusters: NDArray[np.int64]) -> Interval:
    """Wilson's of so many clusters, of the class with fewer, for a share that is the same in every draw, as 1 is."""
    if interval.low < interval.high or not math.isfinite(interval.value):
        return interval
    count = min(len(np.unique(clusters[labels == label])) for label in np.unique(labels))
    wide = wilson(round(interval.value * count), count)
    return Interval(interval.value, min(wide.low, interval.value), max(wide.high, interval.value))


def _count(patients: NDArray[np.str_]) -> int:
    clusters = patient_clusters(patients)
    return len(patients) if clusters is None else len(np.unique(clusters))


def _in_order(value: str) -> tuple[bool, bool, int, str]:
    """Numbers by size before text by letters; what is not given last."""
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
