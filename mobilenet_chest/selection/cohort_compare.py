"""Runs side by side on one cohort: their metrics, how far they are from validation, and differences to a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.paired import PairedComparison, compare_with_baseline
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.access import cohort_prefix
from mobilenet_chest.selection.cohorts import COMPARED, check_scored, cohort_facts, differences_from_validation
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import Candidate, find_all, find_run, find_runs
from mobilenet_chest.tracking.store import all_experiment_ids, connect

PAIRED = ("val_auc_tta", "val_accuracy_tta_threshold")
"""Metrics that are compared with the baseline's, by the names that a comparison takes."""


@dataclass(frozen=True)
class CohortRow:
    """A run on a cohort. The attributes are the keys of ``compare --cohort --json``.

    Attributes:
        name: Name of the run or study.
        run_id: Run in MLflow.
        metrics: :data:`~mobilenet_chest.selection.cohorts.COMPARED`, by their names without the cohort's.
        intervals: Their 95% intervals.
        from_validation: Cohort minus validation, with 95% intervals of two samples.
        differences: Comparisons with the baseline on the same images; empty without a baseline.
    """

    name: str
    run_id: str
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    from_validation: dict[str, Interval]
    differences: dict[str, PairedComparison]


def compare_on_cohort(cohort: str, references: Sequence[str], baseline: str | None = None) -> list[CohortRow]:
    """Return a row for each run that was scored on a cohort, the highest AUC first; with a baseline, that first.

    Args:
        cohort: Its name.
        references: Runs and studies; none means all that were scored on it.
        baseline: Run or study to compare the others with.

    Raises:
        DataError: A run that is named was not scored on it, or none was.
        TrackingError: A reference names no run, or predictions cannot be read.
    """
    client = connect(to_read=True)
    if references:
        candidates = [found for reference in references for found in find_runs(client, reference)]
    else:
        every = find_all(client, all_experiment_ids(client))
        candidates = [each for each in every if cohort in cohort_facts(each.run)]
    base = None if baseline is None else find_run(client, baseline)
    by_id = {each.run_id: each for each in [*([base] if base else []), *candidates]}
    if not by_id:
        raise DataError(f"--cohort {cohort}: no run was scored on it; type: mobilenet-chest evaluate RUN --data FILE "
                        f"--as {cohort}")  # fmt: skip
    check_scored(cohort, [each.run for each in by_id.values()])
    scored = {run_id: _scored(client, each.run, cohort) for run_id, each in by_id.items()}
    rows = [_row(client, each, cohort, scored[run_id]) for run_id, each in by_id.items()]
    rows.sort(key=lambda row: (base is None or row.run_id != base.run_id, -row.metrics.get("auc_tta", 0)))
    return rows if base is None else _against_first(rows, scored)


def scored_metrics(run: Run, cohort: str) -> dict[str, float]:
    """Return :data:`~mobilenet_chest.selection.cohorts.COMPARED` of a cohort, by their names with the cohort's."""
    metrics = metrics_of(run)
    names = (f"{cohort_prefix(cohort)}_{score}" for score in COMPARED)
    return {name: metrics[name] for name in names if name in metrics}


def cohort_intervals(client: MlflowClient, run: Run, cohort: str) -> dict[str, Interval]:
    """Return the 95% intervals of :func:`scored_metrics`, from the stored predictions.

    Raises:
        TrackingError: The run has no predictions of the cohort.
    """
    return metric_intervals(cohort_prefix(cohort), scored_metrics(run, cohort), _scored(client, run, cohort))


def _scored(client: MlflowClient, run: Run, cohort: str) -> RunPredictions:
    return run_predictions(run, predictions_from_table(stored_predictions(client, run, cohort_prefix(cohort))))


def _row(client: MlflowClient, candidate: Candidate, cohort: str, scored: RunPredictions) -> CohortRow:
    metrics = scored_metrics(candidate.run, cohort)
    intervals = metric_intervals(cohort_prefix(cohort), metrics, scored)
    apart = differences_from_validation(client, candidate.run, cohort, intervals)
    length = len(cohort_prefix(cohort)) + 1
    return CohortRow(
        candidate.name, candidate.run_id, {name[length:]: value for name, value in metrics.items()},
        {name[length:]: interval for name, interval in intervals.items()}, apart, {},
    )  # fmt: skip


def _against_first(rows: Sequence[CohortRow], scored: dict[str, RunPredictions]) -> list[CohortRow]:
    base, *others = rows
    differences: dict[str, dict[str, PairedComparison]] = {row.run_id: {} for row in others}
    for metric in PAIRED if others else ():
        compared = compare_with_baseline(metric, scored[base.run_id], [scored[row.run_id] for row in others])
        for row, comparison in zip(others, compared, strict=True):
            differences[row.run_id][metric.removeprefix("val_")] = comparison
    with_differences = [
        CohortRow(row.name, row.run_id, row.metrics, row.intervals, row.from_validation, differences[row.run_id])
        for row in others
    ]
    return [base, *with_differences]
