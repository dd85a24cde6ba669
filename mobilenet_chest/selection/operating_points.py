"""What a run's stored predictions say of its calibration, its operating points, and other prevalences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.bootstrap import bootstrap, bootstrap_distributions, mean_statistic, patient_clusters
from mobilenet_chest.evaluation.calibration import (
    apply_temperature,
    calibration_scores,
    crossfit_calibrated,
    ece_interval,
    fit_temperature,
    image_losses,
)
from mobilenet_chest.evaluation.groups import wilson_if_constant
from mobilenet_chest.evaluation.intervals import Interval, wilson
from mobilenet_chest.evaluation.operating_points import (
    TARGETS,
    metrics_at_prevalence,
    point_at,
    point_at_sensitivity,
    point_at_specificity,
    prevalence_statistics,
    threshold_at_prevalence,
)
from mobilenet_chest.evaluation.predictions import Labels, Probabilities
from mobilenet_chest.selection.ledger import Access, accesses
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect

Fixed = Literal["specificity", "sensitivity"]

FIXED: tuple[Fixed, ...] = ("specificity", "sensitivity")


@dataclass(frozen=True)
class TargetPoint:
    """What one of sensitivity and specificity is where the other is at least so much; its threshold is of these rows.

    Attributes:
        fixed: The one that is given: sensitivity or specificity.
        at: How much it is to be.
        threshold: That gives it.
        value: The other one, with the interval of a bootstrap that chooses the threshold anew in every draw, or
            Wilson's where that is wider.
    """

    fixed: Fixed
    at: float
    threshold: float
    value: Interval


@dataclass(frozen=True)
class ThresholdMetrics:
    """What a threshold gives at a prevalence, with 95% intervals: Wilson's of sensitivity and specificity, those of
    :func:`~mobilenet_chest.evaluation.operating_points.metrics_at_prevalence` of the others; of all the bootstrap's
    where patients have more than one image."""

    threshold: float
    prevalence: float
    sensitivity: Interval
    specificity: Interval
    accuracy: Interval
    ppv: Interval
    npv: Interval


@dataclass(frozen=True)
class OperatingPoints:
    """Calibration and operating points of a run on one split.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Images.
        temperature: As fitted on validation.
        scores: ``ece``, ``ece_bias``, ``brier``, ``log_loss`` of the run's probabilities.
        calibrated: The same at the temperature; on validation each row at that of the other folds.
        intervals: Of ``ece``, ``brier``, ``log_loss`` and their ``_calibrated`` forms, by the bootstrap.
        targets: Points at fixed specificity, and at fixed sensitivity.
        figures: At the run's threshold as the rows are; then, where another prevalence was asked for, at that
            prevalence, and there at the threshold moved by the odds.
        openings: Of the test split, for the run's study, where the figures are of it.
    """

    run_id: str
    split: str
    rows: int
    temperature: float
    scores: dict[str, float]
    calibrated: dict[str, float]
    intervals: dict[str, Interval]
    targets: list[TargetPoint]
    figures: list[ThresholdMetrics]
    openings: list[Access] = field(default_factory=list)


def check_prevalence(prevalence: float | None) -> None:
    """Refuse what is no prevalence.

    Raises:
        UserError: It is not between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UserError(f"--prevalence {prevalence:g}: a share of class 1 above 0 and below 1, such as 0.05")


def operating_points(run_id: str, split: Literal["val", "test"], prevalence: float | None = None) -> OperatingPoints:
    """Read a run's predictions back: no model is run, and the test split is not opened.

    Raises:
        UserError: ``prevalence`` is none.
        TrackingError: No such finished run, or its test split was never opened.
    """
    check_prevalence(prevalence)
    client = connect()
    run = get_run(client, run_id)
    if "threshold" not in run.data.metrics:
        raise TrackingError(f"run {run_id} has not finished: it has no threshold; resume or repeat it first")
    if split == "test" and "test_digest" not in run.data.tags:
        raise TrackingError(
            f"run {run_id} has no predictions of the test split; `mobilenet-chest evaluate {run_id} --split test` "
            "opens it, once"
        )
    config, threshold = run_config(client, run), run.data.metrics["threshold"]
    val = predicted = predictions_from_table(stored_predictions(client, run, "val"))
    temperature = fit_temperature(val.label, val.probability_tta)
    if split == "val":
        calibrated = crossfit_calibrated(val.label, val.probability_tta, config.evaluation.folds, config.seed)
    else:
        predicted = predictions_from_table(stored_predictions(client, run, "test"))
        calibrated = apply_temperature(predicted.probability_tta, temperature)
    labels, probabilities, clusters = predicted.label, predicted.probability_tta, patient_clusters(predicted.patient)
    figures = [_figures(labels, probabilities, clusters, threshold, float(labels.mean()))]
    if prevalence is not None:
        moved = threshold_at_prevalence(threshold, float(val.label.mean()), prevalence, temperature)
        figures += [_figures(labels, probabilities, clusters, at, prevalence) for at in (threshold, moved)]
    return OperatingPoints(
        run_id=run_id,
        split=split,
        rows=len(labels),
        temperature=temperature,
        scores=calibration_scores(labels, probabilities),
        calibrated=calibration_scores(labels, calibrated),
        intervals=_score_intervals(labels, {"": probabilities, "_calibrated": calibrated}, clusters),
        targets=[_target(labels, probabilities, clusters, fixed, at) for fixed in FIXED for at in TARGETS],
        figures=figures,
        openings=accesses(client, run) if split == "test" else [],
    )


def _score_intervals(
    labels: Labels, kinds: Mapping[str, Probabilities], clusters: NDArray[np.int64] | None
) -> dict[str, Interval]:
    """By the names of calibration scores with a suffix for each kind of probabilities."""
    figures = {f"{score}{suffix}": mean_statistic(image_losses(score, labels, probabilities))
               for suffix, probabilities in kinds.items() for score in ("brier", "log_loss")}  # fmt: skip
    drawn = bootstrap_distributions(labels, list(figures.values()), clusters)
    found = {name: one.interval() for name, one in zip(figures, drawn, strict=True)}
    return found | {f"ece{suffix}": ece_interval(labels, kinds[suffix], clusters) for suffix in kinds}


def _target(
    labels: Labels, probabilities: Probabilities, clusters: NDArray[np.int64] | None, fixed: Fixed, at: float
) -> TargetPoint:
    find = point_at_specificity if fixed == "specificity" else point_at_sensitivity

    def other(some: Labels, of_them: Probabilities) -> float:
        point = find(some, of_them, at)
        return point.sensitivity if fixed == "specificity" else point.specificity

    drawn, shown = bootstrap(labels, probabilities, other, groups=clusters), labels == (fixed == "specificity")
    # of a figure that is the same in every draw the bootstrap has no interval
    rows = int(shown.sum()) if clusters is None else len(np.unique(clusters[shown]))
    least = wilson(round(drawn.value * rows), rows)
    value = Interval(drawn.value, min(drawn.low, least.low), max(drawn.high, least.high))
    return TargetPoint(fixed, at, find(labels, probabilities, at).threshold, value)


def _figures(
    labels: Labels,
    probabilities: Probabilities,
    clusters: NDArray[np.int64] | None,
    threshold: float,
    prevalence: float,
) -> ThresholdMetrics:
    point, ones = point_at(labels, probabilities, threshold), int(labels.sum())
    zeros = len(labels) - ones
    hits, right = round(point.sensitivity * ones), round(point.specificity * zeros)
    there = metrics_at_prevalence(hits, ones, right, zeros, prevalence)
    if clusters is None:
        return ThresholdMetrics(threshold, prevalence, wilson(hits, ones), wilson(right, zeros), **vars(there))
    positive = probabilities >= threshold
    rates = mean_statistic(positive, labels == 1), mean_statistic(~positive, labels == 0)
    figures = [*rates, *prevalence_statistics(*rates, prevalence)]
    drawn = [one.interval() for one in bootstrap_distributions(labels, figures, clusters)]
    return ThresholdMetrics(threshold, prevalence, *(wilson_if_constant(one, labels, clusters) for one in drawn))
