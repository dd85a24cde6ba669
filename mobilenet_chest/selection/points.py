"""What a run's stored predictions say of its calibration, its operating points, and other prevalences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from mlflow import MlflowClient

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.calibration import (
    at_temperature,
    brier,
    calibration_scores,
    crossfit_calibrated,
    fit_temperature,
    log_loss,
)
from mobilenet_chest.evaluation.operating import (
    TARGETS,
    at_prevalence,
    at_sensitivity,
    at_specificity,
    point_at,
    shifted_threshold,
)
from mobilenet_chest.evaluation.statistics import Interval, bootstrap, wilson
from mobilenet_chest.evaluation.thresholds import Labels, Probabilities
from mobilenet_chest.selection.ledger import Opening, openings
from mobilenet_chest.selection.runs import run_config, stored_predictions
from mobilenet_chest.tracking.reading import get_run
from mobilenet_chest.tracking.store import connect

Fixed = Literal["specificity", "sensitivity"]

FIXED: tuple[Fixed, ...] = ("specificity", "sensitivity")


@dataclass(frozen=True)
class Target:
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
class Figures:
    """What a threshold gives at a prevalence, with 95% intervals: Wilson's of sensitivity and specificity, those of
    :func:`~mobilenet_chest.evaluation.operating.at_prevalence` of the others."""

    threshold: float
    prevalence: float
    sensitivity: Interval
    specificity: Interval
    accuracy: Interval
    ppv: Interval
    npv: Interval


@dataclass(frozen=True)
class Points:
    """Calibration and operating points of a run on one split.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Images.
        temperature: As fitted on validation.
        scores: ``ece``, ``ece_bias``, ``brier``, ``log_loss`` of the run's probabilities.
        calibrated: The same at the temperature; on validation each row at that of the other folds.
        intervals: Of ``brier``, ``log_loss`` and their ``_calibrated`` forms, by the bootstrap. The ECE has none: in
            every draw it is further from 0 than in the rows, which is what ``ece_bias`` is for.
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
    targets: list[Target]
    figures: list[Figures]
    openings: list[Opening] = field(default_factory=list)


def check_prevalence(prevalence: float | None) -> None:
    """Refuse what is no prevalence.

    Raises:
        UserError: It is not between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UserError(f"--prevalence {prevalence:g}: a share of class 1 above 0 and below 1, such as 0.05")


def operating_points(run_id: str, split: Literal["val", "test"], prevalence: float | None = None) -> Points:
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
    val_labels, val_probabilities = _stored(client, run_id, "val")
    temperature = fit_temperature(val_labels, val_probabilities)
    if split == "val":
        labels, probabilities = val_labels, val_probabilities
        calibrated = crossfit_calibrated(labels, probabilities, config.evaluation.folds, config.seed)
    else:
        labels, probabilities = _stored(client, run_id, "test")
        calibrated = at_temperature(probabilities, temperature)
    figures = [_figures(labels, probabilities, threshold, float(labels.mean()))]
    if prevalence is not None:
        moved = shifted_threshold(threshold, float(val_labels.mean()), prevalence, temperature)
        figures += [_figures(labels, probabilities, at, prevalence) for at in (threshold, moved)]
    return Points(
        run_id=run_id,
        split=split,
        rows=len(labels),
        temperature=temperature,
        scores=calibration_scores(labels, probabilities),
        calibrated=calibration_scores(labels, calibrated),
        intervals={
            f"{score.__name__}{suffix}": bootstrap(labels, of_them, score)
            for suffix, of_them in (("", probabilities), ("_calibrated", calibrated))
            for score in (brier, log_loss)
        },
        targets=[_target(labels, probabilities, fixed, at) for fixed in FIXED for at in TARGETS],
        figures=figures,
        openings=openings(client, run) if split == "test" else [],
    )


def _stored(client: MlflowClient, run_id: str, split: str) -> tuple[Labels, Probabilities]:
    table = stored_predictions(client, client.get_run(run_id), split)
    return table["label"].to_numpy().astype(np.uint8), table["probability_tta"].to_numpy()


def _target(labels: Labels, probabilities: Probabilities, fixed: Fixed, at: float) -> Target:
    find = at_specificity if fixed == "specificity" else at_sensitivity

    def other(some: Labels, of_them: Probabilities) -> float:
        point = find(some, of_them, at)
        return point.sensitivity if fixed == "specificity" else point.specificity

    drawn, rows = bootstrap(labels, probabilities, other), int((labels == (fixed == "specificity")).sum())
    # of a figure that is the same in every draw the bootstrap has no interval
    least = wilson(round(drawn.value * rows), rows)
    value = Interval(drawn.value, min(drawn.low, least.low), max(drawn.high, least.high))
    return Target(fixed, at, find(labels, probabilities, at).threshold, value)


def _figures(labels: Labels, probabilities: Probabilities, threshold: float, prevalence: float) -> Figures:
    point, ones = point_at(labels, probabilities, threshold), int(labels.sum())
    zeros = len(labels) - ones
    hits, right = round(point.sensitivity * ones), round(point.specificity * zeros)
    there = at_prevalence(hits, ones, right, zeros, prevalence)
    return Figures(threshold, prevalence, wilson(hits, ones), wilson(right, zeros), **vars(there))
