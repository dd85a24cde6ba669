"""What a run's stored predictions say of its calibration, its operating points, and other prevalences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.bootstrap import of_mean, repeated, resampled
from mobilenet_chest.evaluation.calibration import (
    at_temperature,
    calibration_scores,
    crossfit_calibrated,
    error_interval,
    fit_temperature,
    losses,
)
from mobilenet_chest.evaluation.groups import as_of_people
from mobilenet_chest.evaluation.operating_points import (
    TARGETS,
    at_prevalence,
    at_sensitivity,
    at_specificity,
    of_prevalence,
    point_at,
    shifted_threshold,
)
from mobilenet_chest.evaluation.significance import Interval, bootstrap, wilson
from mobilenet_chest.evaluation.thresholds import Labels, Probabilities
from mobilenet_chest.selection.ledger import Access, accesses
from mobilenet_chest.tracking.artifact_writer import predictions_of
from mobilenet_chest.tracking.runs import get_run, run_config, stored_predictions
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
    :func:`~mobilenet_chest.evaluation.operating_points.at_prevalence` of the others; of all the bootstrap's where
    patients have more than one image."""

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
    val = predicted = predictions_of(stored_predictions(client, run, "val"))
    temperature = fit_temperature(val.label, val.probability_tta)
    if split == "val":
        calibrated = crossfit_calibrated(val.label, val.probability_tta, config.evaluation.folds, config.seed)
    else:
        predicted = predictions_of(stored_predictions(client, run, "test"))
        calibrated = at_temperature(predicted.probability_tta, temperature)
    labels, probabilities, people = predicted.label, predicted.probability_tta, repeated(predicted.patient)
    figures = [_figures(labels, probabilities, people, threshold, float(labels.mean()))]
    if prevalence is not None:
        moved = shifted_threshold(threshold, float(val.label.mean()), prevalence, temperature)
        figures += [_figures(labels, probabilities, people, at, prevalence) for at in (threshold, moved)]
    return OperatingPoints(
        run_id=run_id,
        split=split,
        rows=len(labels),
        temperature=temperature,
        scores=calibration_scores(labels, probabilities),
        calibrated=calibration_scores(labels, calibrated),
        intervals=_score_intervals(labels, {"": probabilities, "_calibrated": calibrated}, people),
        targets=[_target(labels, probabilities, people, fixed, at) for fixed in FIXED for at in TARGETS],
        figures=figures,
        openings=accesses(client, run) if split == "test" else [],
    )


def _score_intervals(
    labels: Labels, kinds: Mapping[str, Probabilities], people: NDArray[np.int64] | None
) -> dict[str, Interval]:
    """By the names of calibration scores with a suffix for each kind of probabilities."""
    figures = {f"{score}{suffix}": of_mean(losses(score, labels, probabilities))
               for suffix, probabilities in kinds.items() for score in ("brier", "log_loss")}  # fmt: skip
    drawn = resampled(labels, list(figures.values()), people)
    found = {name: one.interval() for name, one in zip(figures, drawn, strict=True)}
    return found | {f"ece{suffix}": error_interval(labels, kinds[suffix], people) for suffix in kinds}


def _target(
    labels: Labels, probabilities: Probabilities, people: NDArray[np.int64] | None, fixed: Fixed, at: float
) -> TargetPoint:
    find = at_specificity if fixed == "specificity" else at_sensitivity

    def other(some: Labels, of_them: Probabilities) -> float:
        point = find(some, of_them, at)
        return point.sensitivity if fixed == "specificity" else point.specificity

    drawn, shown = bootstrap(labels, probabilities, other, groups=people), labels == (fixed == "specificity")
    # of a figure that is the same in every draw the bootstrap has no interval
    rows = int(shown.sum()) if people is None else len(np.unique(people[shown]))
    least = wilson(round(drawn.value * rows), rows)
    value = Interval(drawn.value, min(drawn.low, least.low), max(drawn.high, least.high))
    return TargetPoint(fixed, at, find(labels, probabilities, at).threshold, value)


def _figures(
    labels: Labels,
    probabilities: Probabilities,
    people: NDArray[np.int64] | None,
    threshold: float,
    prevalence: float,
) -> ThresholdMetrics:
    point, ones = point_at(labels, probabilities, threshold), int(labels.sum())
    zeros = len(labels) - ones
    hits, right = round(point.sensitivity * ones), round(point.specificity * zeros)
    there = at_prevalence(hits, ones, right, zeros, prevalence)
    if people is None:
        return ThresholdMetrics(threshold, prevalence, wilson(hits, ones), wilson(right, zeros), **vars(there))
    positive = probabilities >= threshold
    rates = of_mean(positive, labels == 1), of_mean(~positive, labels == 0)
    figures = [*rates, *of_prevalence(*rates, prevalence)]
    drawn = [one.interval() for one in resampled(labels, figures, people)]
    return ThresholdMetrics(threshold, prevalence, *(as_of_people(one, labels, people) for one in drawn))
