"""How far a run's figures are from being known: an interval for each, from the predictions that they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from mobilenet_chest.evaluation.bootstrap import bootstrap_distributions, difference_statistic
from mobilenet_chest.evaluation.calibration import ece_interval
from mobilenet_chest.evaluation.delong import auc_intervals
from mobilenet_chest.evaluation.groups import wilson_if_constant
from mobilenet_chest.evaluation.intervals import LEVEL, Interval, wilson
from mobilenet_chest.evaluation.run_predictions import AUC_COLUMNS, CLASS_OF_RATE, PROPORTIONS, RunPredictions
from mobilenet_chest.evaluation.significance import mcnemar

ROUNDING = 1e-9
"""By how much a figure may differ from that of the predictions, relative to 1: a loss is summed in another order."""

COUNTED = (*PROPORTIONS, "accuracy_crossfit_all")
"""Shares of images."""

BY_FORMULA = (*AUC_COLUMNS, *COUNTED)
"""What has an interval without resampling, where no patient has more than one image."""

ERRORS = {"ece": "probability_tta", "ece_calibrated": "calibrated"}

_wilson = lru_cache(maxsize=4096)(wilson)  # hundreds of runs on the same images have the same few hundred counts


def metric_intervals(split: str, figures: Mapping[str, float], scored: RunPredictions) -> dict[str, Interval]:
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


def tta_gain(scored: RunPredictions) -> Interval:
    """The accuracy at 0.5 with TTA less that without, with the 95% interval of :func:`mcnemar`; the bootstrap's where
    patients have more than one image."""
    if scored.clusters is None:
        found = mcnemar(scored.correct("accuracy_tta"), scored.correct("accuracy"))
        return Interval(found.value, found.low, found.high)
    gain = difference_statistic(scored.statistic("accuracy_tta"), scored.statistic("accuracy"))
    return bootstrap_distributions(scored.predictions.label, [gain], scored.clusters)[0].interval()


def _by_formula(named: Mapping[str, float], scored: RunPredictions) -> dict[str, Interval]:
    """Without repeated patients: shares of images, and AUCs of all images at once."""
    if scored.clusters is not None:
        return {}
    predicted, labels = scored.predictions, scored.predictions.label
    positive = int((labels == 1).sum())
    counted = dict.fromkeys(COUNTED, len(labels)) | {"sensitivity": positive, "specificity": len(labels) - positive}
    found = {}
    if predicted.fold is None:
        scores = [getattr(predicted, column) for column in AUC_COLUMNS.values()]
        found = dict(zip(AUC_COLUMNS, auc_intervals(labels, *scores), strict=True))
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


def _bootstrapped(named: Mapping[str, float], scored: RunPredictions) -> dict[str, Interval]:
    predicted, clusters = scored.predictions, scored.clusters
    by_formula = {*COUNTED} if predicted.fold is not None else {*COUNTED, *AUC_COLUMNS}
    figures, found = {}, {}
    for name in named:
        if name in ERRORS and predicted.fold is None:
            probabilities = scored.calibrated if name == "ece_calibrated" else predicted.probability_tta
            found[name] = ece_interval(predicted.label, probabilities, clusters)
        elif clusters is not None or name not in by_formula:
            try:
                figures[name] = scored.statistic(name)
            except KeyError:  # a threshold, a number of seconds, or a figure of other predictions
                continue
    intervals = bootstrap_distributions(predicted.label, list(figures.values()), clusters)
    found |= {name: one.interval() for name, one in zip(figures, intervals, strict=True)}
    if clusters is not None:
        for name in found.keys() & {*AUC_COLUMNS, *PROPORTIONS}:
            among = predicted.label == CLASS_OF_RATE[name] if name in CLASS_OF_RATE else predicted.label >= 0
            found[name] = wilson_if_constant(found[name], predicted.label[among], clusters[among])
    return found
