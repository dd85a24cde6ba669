"""Scoring a finished run on a cohort: labelled images of another source. Every access goes on record first."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.data.cohort import Cohort, load_cohort
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.evaluation.groups import GroupMetrics, group_metrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.unpaired import unpaired_difference
from mobilenet_chest.selection.access import Access, CohortKey, cohort_prefix
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.claims import answer_claims, claimed_cohorts
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows, stored_intervals
from mobilenet_chest.selection.ledger import all_cohort_accesses, cohort_accesses, record_access
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_table
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import find_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.predict import predict

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

COMPARED = ("auc_tta", "accuracy_tta_threshold", "sensitivity", "specificity")
"""Metrics whose difference from validation is given."""


@dataclass(frozen=True)
class CohortEvaluation:
    """Metrics of a run on a cohort. The attributes are the keys of ``evaluate --data … --json``.

    Attributes:
        run_id: The run.
        cohort: Name of the cohort.
        digest: Of its pixels and labels, 16 hex digits.
        rows: Number of images of the run's two classes.
        prevalence: Share of class 1 among them.
        metrics: ``cohort-<NAME>_auc`` and so on, at the threshold that was chosen on validation.
        intervals: Their 95% intervals.
        differences: Cohort minus validation, with 95% intervals of two samples, by the names without the cohort's.
        groups: Metrics of all images, of each site, and of the groups asked for; empty where the file names no sites.
        openings: Every access to the cohort for the run's study, or for the run itself without a study.
        claims: Every claim of the study about the cohort, those about this run answered.
    """

    run_id: str
    cohort: str
    digest: str
    rows: int
    prevalence: float
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    differences: dict[str, Interval]
    groups: list[GroupMetrics]
    openings: list[Access]
    claims: list[Claim]


def evaluate_cohort(
    reference: str, source: Path, name: str, again: bool = False, groups: Sequence[str] = ()
) -> CohortEvaluation:
    """Score a run on a cohort. Metrics and predictions are logged to the run, and the access to the access log.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        source: A ``.npz``, or a YAML file with a section ``data``.
        name: What the cohort is called: small letters, digits and hyphens.
        again: Open the cohort although it was opened for the same study before.
        groups: Columns of the file whose values divide the images into groups, besides ``site``.

    Raises:
        UserError: The name is not allowed, or another cohort has it.
        DataError: The cohort's file cannot be used, or the run's is gone.
        TrackingError: There is no such finished run.
        SealedError: The cohort was opened before, and not ``again``.
    """
    check_name(name)
    client = connect()
    run = find_run(client, reference).run
    config = run_config(client, run)
    check_finished(run)
    check_same_rows(run, config)
    classes = load_train_val(config.data).classes
    cohort = load_cohort(source, config.data, classes, groups)
    check_rows(client, name, cohort)
    model = trained_model(client, run, config)
    record = record_access(client, run, "evaluate", again, CohortKey(name, cohort.digest))
    predictions = predict(model, cohort.split, torch.device("cpu"))
    prefix, threshold = cohort_prefix(name), metrics_of(run)["threshold"]
    with plugins.using(config.plugins):
        metrics = split_metrics(prefix, predictions, threshold)
        intervals = metric_intervals(prefix, metrics, run_predictions(run, predictions))
    _log(str(run.info.run_id), name, cohort, predictions, metrics)
    record.log_result(metrics)
    claims = answer_claims(client, run, predictions, cohort.digest, name)
    by_group = list[GroupMetrics]()
    if cohort.columns:
        by_group = group_metrics(
            predictions.label, predictions.probability_tta, threshold, cohort.columns, predictions.patient, classes
        )
    return CohortEvaluation(
        str(run.info.run_id), name, cohort.digest, len(cohort.split), cohort.prevalence, metrics, intervals,
        differences_from_validation(client, run, name, intervals), by_group,
        cohort_accesses(client, run, cohort.digest), claims,
    )  # fmt: skip


def differences_from_validation(
    client: MlflowClient, run: Run, cohort: str, intervals: Mapping[str, Interval]
) -> dict[str, Interval]:
    """Return the cohort's metrics minus those of validation; none where the run has no predictions of validation.

    Args:
        client: Client of the tracking store.
        run: The run.
        cohort: Its name.
        intervals: Of the cohort's metrics.
    """
    of_val = {
        f"val_{score}": metrics_of(run)[f"val_{score}"] for score in COMPARED if f"val_{score}" in metrics_of(run)
    }
    try:
        inside = stored_intervals(client, run, "val", of_val)
    except TrackingError:
        return {}
    return {
        score: unpaired_difference(intervals[f"{cohort_prefix(cohort)}_{score}"], inside[f"val_{score}"])
        for score in COMPARED
        if f"val_{score}" in inside and f"{cohort_prefix(cohort)}_{score}" in intervals
    }


def cohort_facts(run: Run) -> dict[str, dict[str, object]]:
    """Return what is on record of the cohorts that a run was scored on: digest, rows and prevalence, by name."""
    length = len(tags.COHORT_PREFIX)
    return {
        key[length:]: json.loads(text)
        for key, text in sorted(run.data.tags.items())
        if key.startswith(tags.COHORT_PREFIX)
    }


def check_name(name: str) -> None:
    """Check that a cohort may have a name.

    Raises:
        UserError: It may not.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"--as {name}: 1 to 40 small letters, digits and hyphens, a letter first, such as clinic-b")


def check_rows(client: MlflowClient, name: str, cohort: Cohort) -> None:
    """Check that a name means the same rows everywhere in the store, and that the rows have one name.

    Raises:
        UserError: An access or a claim on record says otherwise.
    """
    accessed = [(str(access.cohort), access.digest) for access in all_cohort_accesses(client)]
    for other, digest in (*accessed, *claimed_cohorts(client)):
        if other == name and digest != cohort.digest:
            raise UserError(
                f"--as {name}: taken by other rows (digest {digest}); those of {cohort.source} have "
                f"{cohort.digest}: choose another name"
            )
        if other != name and digest == cohort.digest:
            raise UserError(f"--as {name}: these rows are on record as '{other}'; type --as {other}")


def _log(
    run_id: str, name: str, cohort: Cohort, predictions: Predictions, metrics: Mapping[str, float]
) -> None:  # fmt: skip
    """Log metrics and predictions to the run; the tag last, as it says that both are complete."""
    tracker = MlflowTracker(resume=run_id)
    tracker.log_metrics(metrics)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / f"{cohort_prefix(name)}.parquet"
        predictions_table(predictions).assign(**cohort.columns).to_parquet(path, index=False)
        tracker.log_file(path, "predictions")
    facts = {"digest": cohort.digest, "rows": len(cohort.split), "prevalence": cohort.prevalence}
    tracker.log_tags({f"{tags.COHORT_PREFIX}{name}": json.dumps(facts)})


def check_scored(name: str, runs: Sequence[Run]) -> None:
    """Check that each run was scored on a cohort.

    Raises:
        DataError: One was not.
    """
    for run in runs:
        if name not in cohort_facts(run):
            known = ", ".join(sorted({each for one in runs for each in cohort_facts(one)})) or "none"
            run_id = str(run.info.run_id)[:8]
            raise DataError(
                f"--cohort {name}: run {run_id} was not scored on it (cohorts on record: {known}); type: "
                f"mobilenet-chest evaluate {run_id} --data FILE --as {name}"
            )
