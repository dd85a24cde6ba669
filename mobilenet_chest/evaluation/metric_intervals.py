"""How far a run's figures are from being known: an interval for each, from the predictions that they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from mobilenet_chest.evaluation.bootstrap import less, resampled
from mobilenet_chest.evaluation.calibration import error_interval
from mobilenet_chest.evaluation.delong import auc_intervals
from mobilenet_chest.evaluation.groups import as_of_people
from mobilenet_chest.evaluation.scored import JUDGED, OF_CLASS, RANKED, Scored
from mobilenet_chest.evaluation.significance import LEVEL, Interval, mcnemar, wilson

ROUNDING = 1e-9
"""By how much a figure may differ from that of the predictions, relative to 1: a loss is summed in another order."""

COUNTED = (*JUDGED, "accuracy_crossfit_all")
"""Shares of images."""

BY_FORMULA = (*RANKED, *COUNTED)
"""What has an interval without resampling, where no patient has more than one image."""

ERRORS = {"ece": "probability_tta", "ece_calibrated": "calibrated"}

_wilson = lru_cache(maxsize=4096)(wilson)  # hundreds of runs on the same images have the same few hundred counts


def figure_intervals(split: str, figures: Mapping[str, float], scored: Scored) -> dict[str, Interval]:
    """95% intervals of a run's figures, by their names.

    DeLong's of AUCs, Wilson's of shares of images, and the stratified bootstrap's of the others: losses, the Brier
    score, calibration errors. Where patients have more than one image, all are bootstrapped, patients drawn whole;
    where that finds no width, as of an accuracy of 1, they are Wilson's of the number of patients (of the class with
    fewer). Means over folds are bootstrapped as such, shares have Wilson's of all images.

    They say what another sample of images would do to the figures of this model. What its choice did to them, of the
    epoch, of the threshold, among trials, is not in them.

    Args:
        split: What the predictions are of.
        figures: Named ``<split>_auc`` and so on. Others have no interval, nor have those that the predictions do not
            give again.
        scored: The predictions.
    """
    named = {name.removeprefix(f"{split}_"): value for name, value in figures.items()
             if name.startswith(f"{split}_") and math.isfinite(value)}  # fmt: skip
    found = _by_formula(named, scored) | _bootstrapped(named, scored)
    return {
        f"{split}_{name}": found[name]
        for name, value in named.items()
        if name in found and math.isclose(found[name].value, value, abs_tol=ROUNDING, rel_tol=0)
    }


def tta_gain(scored: Scored) -> Interval:
    """The accuracy at 0.5 with TTA less that without, with the 95% interval of :func:`mcnemar`; the bootstrap's where
    patients have more than one image."""
    if scored.people is None:
        found = mcnemar(scored.right("accuracy_tta"), scored.right("accuracy"))
        return Interval(found.value, found.low, found.high)
    gain = less(scored.figure("accuracy_tta"), scored.figure("accuracy"))
    return resampled(scored.predicted.label, [gain], scored.people)[0].interval()


def _by_formula(named: Mapping[str, float], scored: Scored) -> dict[str, Interval]:
    """Without repeated patients: shares of images, and AUCs of all images at once."""
    if scored.people is not None:
        return {}
    predicted, labels = scored.predicted, scored.predicted.label
    positive = int((labels == 1).sum())
    counted = dict.fromkeys(COUNTED, len(labels)) | {"sensitivity": positive, "specificity": len(labels) - positive}
    found = {}
    if predicted.fold is None:
        scores = [getattr(predicted, column) for column in RANKED.values()]
        found = dict(zip(RANKED, auc_intervals(labels, *scores), strict=True))
    for name in named.keys() & counted.keys():
        count = named[name] * counted[name]
        # a mean over folds is close to the share of all images, but need not be one
        share = _wilson(round(count), counted[name])
        found[name] = share if predicted.fold is None else Interval(named[name], *_around(count, counted[name]))
    return found


def _around(count: float, of: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, of, alpha=1 - LEVEL, method="wilson")
    return float(low), float(high)


def _bootstrapped(named: Mapping[str, float], scored: Scored) -> dict[str, Interval]:
    predicted, people = scored.predicted, scored.people
    by_formula = {*COUNTED} if predicted.fold is not None else {*COUNTED, *RANKED}
    figures, found = {}, {}
    for name in named:
        if name in ERRORS and predicted.fold is None:
            probabilities = scored.calibrated if name == "ece_calibrated" else predicted.probability_tta
            found[name] = error_interval(predicted.label, probabilities, people)
        elif people is not None or name not in by_formula:
            try:
                figures[name] = scored.figure(name)
            except KeyError:  # a threshold, a number of seconds, or a figure of other predictions
                continue
    intervals = resampled(predicted.label, list(figures.values()), people)
    found |= {name: one.interval() for name, one in zip(figures, intervals, strict=True)}
    if people is not None:
        for name in found.keys() & {*RANKED, *JUDGED}:
            among = predicted.label == OF_CLASS[name] if name in OF_CLASS else predicted.label >= 0
            found[name] = as_of_people(found[name], predicted.label[among], people[among])
    return found
