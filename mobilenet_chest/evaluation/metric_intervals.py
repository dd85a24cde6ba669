"""95% intervals of a run's metrics, from the predictions that the metrics were computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from mobilenet_chest import plugins
from mobilenet_chest.evaluation.bootstrap import bootstrap_distributions, difference_statistic
from mobilenet_chest.evaluation.calibration import ece_interval
from mobilenet_chest.evaluation.delong import auc_intervals
from mobilenet_chest.evaluation.groups import wilson_if_constant
from mobilenet_chest.evaluation.intervals import Interval, wilson, wilson_ends
from mobilenet_chest.evaluation.run_predictions import AUC_COLUMNS, CLASS_RATES, PROPORTIONS, RunPredictions
from mobilenet_chest.evaluation.significance import mcnemar

ROUNDING = 1e-9
"""By how much a metric may differ from that of the predictions: a loss may have been summed in another order."""

WILSON_METRICS = (*PROPORTIONS, "accuracy_crossfit_all")
"""Shares of images; ``accuracy_crossfit_all`` cannot be computed from the predictions, but its count is known."""

BY_FORMULA = (*AUC_COLUMNS, *WILSON_METRICS)
"""Metrics with an interval that needs no resampling, unless a patient has more than one image."""

ECE_METRICS = ("ece", "ece_calibrated")

_wilson = lru_cache(maxsize=4096)(wilson)  # hundreds of runs on the same images have the same few hundred counts


def metric_intervals(split: str, metrics: Mapping[str, float], run: RunPredictions) -> dict[str, Interval]:
    """Return 95% intervals of a run's metrics, by their names.

    AUCs have DeLong's interval, shares of images Wilson's, all others (losses, Brier score, ECE) that of a stratified
    bootstrap. If a patient has more than one image, all are bootstrapped with patients drawn whole, and
    :func:`~mobilenet_chest.evaluation.groups.wilson_if_constant` gives a width to those without one. Means over folds
    are bootstrapped as such; shares then have Wilson's interval of all images.

    The intervals say what another sample of images would change in this model's metrics. What the choice of epoch,
    threshold or trial changed is not included.

    Args:
        split: Of the predictions: ``val`` or ``test``.
        metrics: Named ``<split>_auc`` and so on. Metrics that the predictions do not give again have no interval.
        run: The predictions.
    """
    values = {name.removeprefix(f"{split}_"): value for name, value in metrics.items()
              if name.startswith(f"{split}_") and math.isfinite(value)}  # fmt: skip
    intervals = _by_formula(values, run) | _bootstrapped(values, run)
    return {
        f"{split}_{name}": intervals[name]
        for name, value in values.items()
        if name in intervals and math.isclose(intervals[name].value, value, abs_tol=ROUNDING, rel_tol=0)
    }


def tta_gain(run: RunPredictions) -> Interval:
    """Return the accuracy at 0.5 with TTA minus that without, with a 95% interval.

    The interval is that of :func:`~mobilenet_chest.evaluation.significance.mcnemar`, or the bootstrap's if patients
    have more than one image.
    """
    if run.clusters is None:
        gain = mcnemar(run.correct("accuracy_tta"), run.correct("accuracy"))
        return Interval(gain.value, gain.low, gain.high)
    statistic = difference_statistic(run.statistic("accuracy_tta"), run.statistic("accuracy"))
    return bootstrap_distributions(run.predictions.label, [statistic], run.clusters)[0].interval()


def _by_formula(values: Mapping[str, float], run: RunPredictions) -> dict[str, Interval]:
    """Return intervals of shares and of AUCs, where no patient has more than one image."""
    if run.clusters is not None:
        return {}
    predictions, labels = run.predictions, run.predictions.label
    positive = int((labels == 1).sum())
    images = dict.fromkeys(WILSON_METRICS, len(labels))
    images |= {"sensitivity": positive, "specificity": len(labels) - positive}
    intervals = {}
    if predictions.fold is None:
        scores = [getattr(predictions, column) for column in AUC_COLUMNS.values()]
        intervals = dict(zip(AUC_COLUMNS, auc_intervals(labels, *scores), strict=True))
    for name in values.keys() & images.keys():
        successes = values[name] * images[name]
        if predictions.fold is None:
            intervals[name] = _wilson(round(successes), images[name])
        else:  # a mean over folds is close to the share of all images, and may lie between two counts
            intervals[name] = Interval(values[name], *wilson_ends(successes, images[name]))
    return intervals


def _bootstrapped(values: Mapping[str, float], run: RunPredictions) -> dict[str, Interval]:
    """Return intervals of all other metrics, and of all there are if patients have more than one image."""
    predictions, clusters = run.predictions, run.clusters
    by_formula = WILSON_METRICS if predictions.fold is not None else BY_FORMULA
    statistics, intervals = {}, {}
    for name in values:
        if name in ECE_METRICS and predictions.fold is None:
            probabilities = run.calibrated if name == "ece_calibrated" else predictions.probability_tta
            intervals[name] = ece_interval(predictions.label, probabilities, clusters)
        elif clusters is not None or name not in by_formula:
            try:
                statistics[name] = run.statistic(name)
            except KeyError:  # a threshold, a number of seconds, or a metric of other predictions
                continue
    distributions = bootstrap_distributions(predictions.label, list(statistics.values()), clusters)
    drawn_intervals = {name: drawn.interval() for name, drawn in zip(statistics, distributions, strict=True)}
    # a plugin's metric may fail on some of the resampled images: then it has no interval
    custom = {name.removeprefix("val_") for name in plugins.names("metric")}
    intervals |= {n: ends for n, ends in drawn_intervals.items() if n not in custom or math.isfinite(ends.low)}
    if clusters is not None:
        for name in intervals.keys() & {*AUC_COLUMNS, *PROPORTIONS}:
            among = predictions.label == CLASS_RATES[name] if name in CLASS_RATES else predictions.label >= 0
            intervals[name] = wilson_if_constant(intervals[name], predictions.label[among], clusters[among])
    return intervals
