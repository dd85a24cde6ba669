"""Calibration and operating points of a run, from its stored predictions, and at other prevalences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import Config
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
from mobilenet_chest.evaluation.conformal import (
    ConformalResult,
    ConformalRule,
    conformal_result,
    conformal_rule,
    coverage_spread,
    crossfit_result,
    risk_coverage,
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
from mobilenet_chest.evaluation.predictions import Labels, Predictions, Probabilities
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.evaluate import check_finished
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_run, short_id
from mobilenet_chest.tracking.store import connect

Fixed = Literal["specificity", "sensitivity"]

FIXED: tuple[Fixed, ...] = ("specificity", "sensitivity")
"""What a target point holds fixed; its value is the other of the two."""


@dataclass(frozen=True)
class TargetPoint:
    """Sensitivity at a fixed specificity, or specificity at a fixed sensitivity.

    Attributes:
        fixed: The rate that is fixed: sensitivity or specificity.
        at: Its least value.
        threshold: The threshold that reaches it on these rows.
        value: The other rate, with a 95% interval: the wider of Wilson's and a bootstrap's that chooses the threshold
            in every draw.
    """

    fixed: Fixed
    at: float
    threshold: float
    value: Interval


@dataclass(frozen=True)
class ThresholdMetrics:
    """Metrics at a threshold and a prevalence, with 95% intervals.

    The intervals of sensitivity and specificity are Wilson's, those of the others come from
    :func:`~mobilenet_chest.evaluation.operating_points.metrics_at_prevalence`. Where patients have more than one image,
    all come from the bootstrap.
    """

    threshold: float
    prevalence: float
    sensitivity: Interval
    specificity: Interval
    accuracy: Interval
    ppv: Interval
    npv: Interval


@dataclass(frozen=True)
class Abstention:
    """What answers with a conformal promise give on a split.

    Attributes:
        rule: Which classes an answer keeps, made from all validation images.
        images: Validation images of class 0 and class 1, which the rule was made from.
        spread: Between which coverages the rule of each class lies in 95% of such samples.
        result: Shares on the split; on validation each image is answered by a rule from the other folds.
        risk: Mean risk over all coverages: area under the risk–coverage curve at the run's threshold.
        risk_at: Risk where 50%, 80%, 90% and 100% of images are answered, the surest first.
    """

    rule: ConformalRule
    images: tuple[int, int]
    spread: tuple[tuple[float, float], tuple[float, float]]
    result: ConformalResult
    risk: float
    risk_at: dict[str, float]


COVERAGES = (0.5, 0.8, 0.9, 1.0)
"""Shares of images that are answered, for which the risk is shown."""


@dataclass(frozen=True)
class OperatingPoints:
    """Calibration and operating points of a run on one split. The attributes are the keys of ``points --json``.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Number of images.
        temperature: Temperature fitted on validation.
        scores: ``ece``, ``ece_bias``, ``brier``, ``log_loss`` of the run's probabilities.
        calibrated: The same of calibrated probabilities; on validation, each row has the temperature of the other
            folds.
        intervals: 95% intervals of ``ece``, ``brier``, ``log_loss`` and their ``_calibrated`` forms, by the bootstrap.
        targets: Points at fixed specificity, and at fixed sensitivity.
        figures: Metrics at the run's threshold and the prevalence of the rows. Where another prevalence was asked for,
            two more: at that prevalence with the run's threshold, and with the threshold moved by the odds.
        openings: Every access to the test split for the run's study, where the split is test.
        abstention: Answers at an error rate, where one was asked for.
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
    abstention: Abstention | None = None


def check_prevalence(prevalence: float | None) -> None:
    """Check that a prevalence lies between 0 and 1.

    Raises:
        UserError: It does not.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UserError(f"--prevalence {prevalence:g}: a share of class 1 above 0 and below 1, such as 0.05")


def check_error_rate(rate: float | None) -> None:
    """Check that an error rate lies between 0 and 0.5.

    Raises:
        UserError: It does not.
    """
    if rate is not None and not 0 < rate < 0.5:
        raise UserError(f"--error-rate {rate:g}: a share of wrong answers above 0 and below 0.5, such as 0.05")


def operating_points(
    reference: str, split: Literal["val", "test"], prevalence: float | None = None, error_rate: float | None = None
) -> OperatingPoints:
    """Return calibration and operating points from a run's stored predictions; the test split is not opened.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        split: val or test.
        prevalence: A further share of class 1, between 0 and 1, to give metrics for.
        error_rate: α of answers with a promise, between 0 and 0.5.

    Raises:
        UserError: ``prevalence`` is not between 0 and 1, or ``error_rate`` not between 0 and 0.5.
        TrackingError: There is no such finished run, or it was never scored on the test split.
    """
    check_prevalence(prevalence)
    check_error_rate(error_rate)
    client = connect(to_read=True)
    run = find_run(client, reference).run
    run_id = str(run.info.run_id)
    check_finished(run)
    if split == "test" and tags.TEST_DIGEST not in run.data.tags:
        raise TrackingError(
            f"run {short_id(run_id)} has no predictions of the test split; type `mobilenet-chest evaluate "
            f"{short_id(run_id)} --split "
            "test`, which opens it, once and on record"
        )
    config, threshold = run_config(client, run), metrics_of(run)["threshold"]
    val = predicted = predictions_from_table(stored_predictions(client, run, "val"))
    temperature = fit_temperature(val.label, val.probability_tta)
    if split == "val":
        calibrated = crossfit_calibrated(val.label, val.probability_tta, config.evaluation.folds, config.seed)
    else:
        predicted = predictions_from_table(stored_predictions(client, run, "test"))
        calibrated = apply_temperature(predicted.probability_tta, temperature)
    labels, probabilities, clusters = predicted.label, predicted.probability_tta, patient_clusters(predicted.patient)
    points = [(threshold, float(labels.mean()))]
    if prevalence is not None:
        moved = threshold_at_prevalence(threshold, float(val.label.mean()), prevalence, temperature)
        points += [(threshold, prevalence), (moved, prevalence)]
    return OperatingPoints(
        run_id=run_id,
        split=split,
        rows=len(labels),
        temperature=temperature,
        scores=calibration_scores(labels, probabilities),
        calibrated=calibration_scores(labels, calibrated),
        intervals=_score_intervals(labels, {"": probabilities, "_calibrated": calibrated}, clusters),
        targets=[_target(labels, probabilities, clusters, fixed, at) for fixed in FIXED for at in TARGETS],
        figures=[_threshold_metrics(labels, probabilities, clusters, *point) for point in points],
        openings=accesses(client, run) if split == "test" else [],
        abstention=None if error_rate is None else _abstention(val, predicted, error_rate, threshold, config),
    )


def _abstention(val: Predictions, predicted: Predictions, rate: float, threshold: float, config: Config) -> Abstention:
    """Return what a rule from the validation predictions gives on these or on others, which ``predicted`` then are."""
    labels, probabilities = val.label, val.probability_tta
    positive = int(labels.sum())
    images = (len(labels) - positive, positive)
    if min(images) < (least := max(2, math.ceil(1 / rate - 1 - 1e-9))):
        raise UserError(
            f"--error-rate {rate:g}: a promise needs {least} validation images of each class, not {images[0]} and "
            f"{images[1]}; take a larger rate, or more images"
        )
    if predicted is val:
        result = crossfit_result(labels, probabilities, rate, config.evaluation.folds, config.seed)
    else:
        rule = conformal_rule(labels, probabilities, rate)
        result = conformal_result(rule, predicted.label, predicted.probability_tta)
    curve = risk_coverage(predicted.label, predicted.probability_tta, threshold)
    places = {share: math.ceil(share * len(predicted.label)) - 1 for share in COVERAGES}
    return Abstention(
        rule=conformal_rule(labels, probabilities, rate),
        images=images,
        spread=(coverage_spread(images[0], rate), coverage_spread(images[1], rate)),
        result=result,
        risk=curve.area,
        risk_at={f"{share:g}": float(curve.risk[place]) for share, place in places.items()},
    )


def _score_intervals(
    labels: Labels, kinds: Mapping[str, Probabilities], clusters: NDArray[np.int64] | None
) -> dict[str, Interval]:
    """Return the intervals by the scores' names, with the suffix of each kind of probabilities."""
    statistics = {f"{score}{suffix}": mean_statistic(image_losses(score, labels, probabilities))
                  for suffix, probabilities in kinds.items() for score in ("brier", "log_loss")}  # fmt: skip
    drawn = bootstrap_distributions(labels, list(statistics.values()), clusters)
    intervals = {name: distribution.interval() for name, distribution in zip(statistics, drawn, strict=True)}
    return intervals | {f"ece{suffix}": ece_interval(labels, kinds[suffix], clusters) for suffix in kinds}


def _target(
    labels: Labels, probabilities: Probabilities, clusters: NDArray[np.int64] | None, fixed: Fixed, at: float
) -> TargetPoint:
    find_point = point_at_specificity if fixed == "specificity" else point_at_sensitivity

    def other_rate(drawn_labels: Labels, drawn_probabilities: Probabilities) -> float:
        point = find_point(drawn_labels, drawn_probabilities, at)
        return point.sensitivity if fixed == "specificity" else point.specificity

    drawn = bootstrap(labels, probabilities, other_rate, groups=clusters)
    # a rate that is the same in every draw has a bootstrap interval of no width: Wilson's is then the honest one
    of_class = labels == (fixed == "specificity")
    units = int(of_class.sum()) if clusters is None else len(np.unique(clusters[of_class]))
    least = wilson(round(drawn.value * units), units)
    value = Interval(drawn.value, min(drawn.low, least.low), max(drawn.high, least.high))
    return TargetPoint(fixed, at, find_point(labels, probabilities, at).threshold, value)


def _threshold_metrics(
    labels: Labels,
    probabilities: Probabilities,
    clusters: NDArray[np.int64] | None,
    threshold: float,
    prevalence: float,
) -> ThresholdMetrics:
    point, positives = point_at(labels, probabilities, threshold), int(labels.sum())
    negatives = len(labels) - positives
    hits, rejections = round(point.sensitivity * positives), round(point.specificity * negatives)
    if clusters is None:
        rates = wilson(hits, positives), wilson(rejections, negatives)
        others = metrics_at_prevalence(hits, positives, rejections, negatives, prevalence)
        return ThresholdMetrics(threshold, prevalence, *rates, **vars(others))
    predicted = probabilities >= threshold
    statistics = mean_statistic(predicted, labels == 1), mean_statistic(~predicted, labels == 0)
    drawn = bootstrap_distributions(labels, [*statistics, *prevalence_statistics(*statistics, prevalence)], clusters)
    intervals = (wilson_if_constant(distribution.interval(), labels, clusters) for distribution in drawn)
    return ThresholdMetrics(threshold, prevalence, *intervals)
