"""Figures of groups of images, such as those of one sex or one view, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.metrics import Predicted
from mobilenet_chest.evaluation.statistics import Interval, Metric, auc, auc_interval, bootstrap, wilson
from mobilenet_chest.evaluation.thresholds import Labels, Probabilities

FEW = 10
"""Images of a class, below which a group's figures are said to rest on few."""

NOT_GIVEN = "not given"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class GroupFigures:
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


def grouped(
    labels: Labels,
    probabilities: Probabilities,
    threshold: float,
    groups: Mapping[str, NDArray[np.str_]],
    patients: NDArray[np.str_] | None,
    classes: tuple[str, str],
) -> list[GroupFigures]:
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
    people = None if patients is None else _people(patients)
    chosen = [("all", "", np.ones(len(labels), bool))]
    for name, values in groups.items():
        chosen += [(name, value, values == value) for value in sorted(set(values.tolist()), key=_in_order)]
    return [
        GroupFigures(
            name=name,
            value=value or ("" if name == "all" else NOT_GIVEN),
            rows=int(mask.sum()),
            positive=int(labels[mask].sum()),
            patients=None if people is None else len(np.unique(people[mask])),
            figures=_figures(
                labels[mask], probabilities[mask], threshold, people=None if people is None else people[mask]
            ),
            note=_note(labels[mask], classes),
        )
        for name, value, mask in chosen
    ]


def share(labels: Labels, right: Mask, patients: NDArray[np.str_] | None) -> Interval:
    """Share of right answers, bool (n,), with the 95% interval of :func:`grouped`; the other arguments as there."""
    people = None if patients is None else _people(patients)
    if people is None or len(np.unique(people)) == len(people):
        return wilson(int(right.sum()), len(right))
    return _share_of_people(labels, right, people)


def intervals_of_patients(
    split: str, predicted: Predicted, threshold: float, patients: NDArray[np.str_]
) -> dict[str, Interval]:
    """95% intervals of what :func:`~mobilenet_chest.evaluation.metrics.split_metrics` gives, by the same names, with
    patients drawn whole as in :func:`grouped`; none where no patient has more than one image.

    Args:
        split: Before each name: val or test.
        predicted: n images.
        threshold: The run's.
        patients: Whose images these are, text (n,); images of empty text are of people of their own.
    """
    people = _people(patients)
    if len(np.unique(people)) == len(people):
        return {}
    labels, plain, tta = predicted.label, predicted.probability, predicted.probability_tta
    at_threshold = _figures(labels, tta, threshold, people)
    return {
        f"{split}_accuracy": _share_of_people(labels, (plain >= 0.5) == (labels == 1), people),
        f"{split}_accuracy_tta": _share_of_people(labels, (tta >= 0.5) == (labels == 1), people),
        f"{split}_accuracy_tta_threshold": at_threshold["accuracy"],
        f"{split}_auc": _of_people(labels, plain, auc, people),
        f"{split}_auc_tta": at_threshold["auc"],
        f"{split}_sensitivity": at_threshold["sensitivity"],
        f"{split}_specificity": at_threshold["specificity"],
    }


def _figures(
    labels: Labels, scores: Probabilities, threshold: float, people: NDArray[np.int64] | None
) -> dict[str, Interval]:
    if people is not None and len(np.unique(people)) == len(people):
        people = None  # one image each: as good as unknown
    found: dict[str, Interval] = {}
    if 0 < labels.sum() < len(labels):
        found["auc"] = auc_interval(labels, scores) if people is None else _of_people(labels, scores, auc, people)
    right = (scores >= threshold) == (labels == 1)
    for name, mask in (("accuracy", labels >= 0), ("sensitivity", labels == 1), ("specificity", labels == 0)):
        if not mask.any():
            continue
        if people is None:
            found[name] = wilson(int(right[mask].sum()), int(mask.sum()))
        else:
            found[name] = _share_of_people(labels[mask], right[mask], people[mask])
    return found


def _share_of_people(labels: Labels, right: Mask, people: NDArray[np.int64]) -> Interval:
    return _of_people(labels, right.astype(np.float64), _mean, people)


def _of_people(labels: Labels, scores: Probabilities, metric: Metric, people: NDArray[np.int64]) -> Interval:
    interval = bootstrap(labels, scores, metric, groups=people)
    if interval.low < interval.high:
        return interval
    count = min(len(np.unique(people[labels == label])) for label in np.unique(labels))
    wide = wilson(round(interval.value * count), count)
    return Interval(interval.value, min(wide.low, interval.value), max(wide.high, interval.value))


def _mean(_labels: Labels, scores: Probabilities) -> float:
    return float(scores.mean())


def _people(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """A number for each patient, (n,); one of its own for each image of nobody known."""
    names, numbers = np.unique(patients, return_inverse=True)
    unknown = patients == ""
    numbers[unknown] = len(names) + np.arange(int(unknown.sum()))
    return numbers.astype(np.int64)


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
