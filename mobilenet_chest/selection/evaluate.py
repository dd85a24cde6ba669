"""Scoring a finished run's best weights on a split; every access to the test split goes on record first."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.config import Config
from mobilenet_chest.config.plugin_files import named_in
from mobilenet_chest.data.columns import Columns, read_columns
from mobilenet_chest.data.data_file import has_test_split
from mobilenet_chest.data.dataset import load_test, load_train_val
from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.evaluation.groups import GroupMetrics, group_metrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.claims import answer_claims
from mobilenet_chest.selection.ledger import accesses, record_access
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table, predictions_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import find_run, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.predict import predict


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one split. The attributes are the keys of ``evaluate --json``.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Number of images scored.
        metrics: ``<split>_auc`` and so on, at the threshold that was chosen on validation.
        test_evaluations: How often this run was scored on the test split, this time included.
        openings: Every access to the test split for the run's study, or for the run itself without a study.
        groups: Metrics of all images and of each group, with TTA at the threshold, where groups were asked for.
        intervals: 95% intervals of the metrics, by name. Where patients are known and some have several images, the
            bootstrap draws whole patients.
        claims: Every claim of the run's study, those about this run answered, where the split is test.
    """

    run_id: str
    split: Literal["val", "test"]
    rows: int
    metrics: dict[str, float]
    test_evaluations: int
    openings: list[Access] = field(default_factory=list)
    groups: list[GroupMetrics] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)


def evaluate(
    reference: str,
    split: Literal["val", "test"],
    again: bool = False,
    groups: Sequence[str] = (),
    groups_from: Path | None = None,
) -> Evaluation:
    """Score a run. Test metrics and predictions are logged to the run, and the access to the access log.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        split: val or test.
        again: Open the test split although it was opened for the same study before.
        groups: Columns whose values divide the images into groups.
        groups_from: A table of columns, or of patients alone: :func:`~mobilenet_chest.data.columns.read_columns`.

    Raises:
        TrackingError: There is no such finished run, or it has no checkpoint.
        DataError: The file is gone, its rows changed, it has no test split, or a column cannot be found.
        SealedError: The test split was opened before, and not ``again``.
    """
    client = connect()
    run = find_run(client, reference).run
    config = run_config(client, run)
    columns = read_columns(config.data, split, groups, groups_from)
    return evaluate_run(client, run, config, split, again=again, columns=columns)


def evaluate_run(
    client: MlflowClient,
    run: Run,
    config: Config,
    split: Literal["val", "test"],
    *,
    again: bool = False,
    command: str = "evaluate",
    columns: Columns | None = None,
) -> Evaluation:
    """Score a run that was already read, as :func:`evaluate` does.

    Args:
        client: Client of the tracking store.
        run: The run.
        config: Its experiment.
        split: val or test.
        again: Open the test split although it was opened for the same study before.
        command: Command to record with an access to the test split.
        columns: Groups and patients of the images.
    """
    run_id = str(run.info.run_id)
    _check_scorable(run, config, split)
    model = trained_model(client, run, config)
    record, claims = None, list[Claim]()
    if split == "test":
        if not has_test_split(config.data):
            raise DataError(
                f"{config.data.path or config.data.title}: has no rows in test_images and test_labels to score"
            )
        # on record before any image is read: a process that crashes from here on has still opened the split
        record = record_access(client, run, command, again)
        rows = load_test(config.data)
        record.log_digest(rows.digest[:16])
    else:
        rows = load_train_val(config.data).val
    predictions = predict(model, rows, torch.device("cpu"))
    row_columns = None if columns is None else columns.of(predictions.row)
    if row_columns is not None and row_columns.patients is not None:
        predictions = replace(predictions, patient=row_columns.patients)
    threshold = metrics_of(run)["threshold"]
    with plugins.using(config.plugins):
        metrics = split_metrics(split, predictions, threshold)
    if record is not None:
        record.log_result(metrics)
        _log_test(run_id, metrics, predictions, rows.digest[:16])
        claims = answer_claims(client, run, predictions, rows.digest[:16])
    test_evaluations = int(client.get_run(run_id).data.tags.get(tags.TEST_EVALUATIONS, 0))
    with plugins.using(config.plugins):
        intervals = metric_intervals(split, metrics, run_predictions(run, predictions))
    groups = list[GroupMetrics]()
    if row_columns is not None and row_columns.groups:
        classes = load_train_val(config.data).classes
        labels, probabilities = predictions.label, predictions.probability_tta
        groups = group_metrics(labels, probabilities, threshold, row_columns.groups, predictions.patient, classes)
    openings = accesses(client, run)
    return Evaluation(run_id, split, len(rows), metrics, test_evaluations, openings, groups, intervals, claims)


def stored_test_metrics(client: MlflowClient, run_id: str) -> dict[str, float]:
    """Return the ``test_*`` metrics that a finished access to the test split logged; empty if there are none."""
    run = client.get_run(run_id)
    if tags.TEST_DIGEST not in run.data.tags:
        return {}
    return {name: value for name, value in metrics_of(run).items() if name.startswith("test_")}


def stored_intervals(
    client: MlflowClient, run: Run, split: Literal["val", "test"], metrics: Mapping[str, float]
) -> dict[str, Interval]:
    """Return the 95% intervals of a split's metrics, by name, from the run's stored predictions."""
    predictions = predictions_from_table(stored_predictions(client, run, split))
    with plugins.using(named_in({"plugins": json.loads(run.data.params.get("plugins", "[]"))})):
        return metric_intervals(split, metrics, run_predictions(run, predictions))


def check_finished(run: Run) -> None:
    """Check that a run has a threshold, which is chosen when a training ends.

    Raises:
        TrackingError: It has none.
    """
    if "threshold" not in metrics_of(run):
        raise TrackingError(
            f"run {short_id(run.info.run_id)} has not finished: it has no threshold; resume it, or train it again"
        )


def check_same_rows(run: Run, config: Config) -> None:
    """Check that a data file still has the training and validation rows that the run was made from.

    Raises:
        TrackingError: They differ.
    """
    digest, run_digest = load_train_val(config.data).digest, run.data.tags.get(tags.DATA_DIGEST)
    if digest != run_digest:
        raise TrackingError(
            f"run {short_id(run.info.run_id)} was made from rows with digest {run_digest}, but "
            f"{config.data.path or config.data.title} now has {digest}; restore the original file, or train again"
        )


def _check_scorable(run: Run, config: Config, split: str) -> None:
    check_finished(run)
    check_same_rows(run, config)
    if split == "val" and tags.SCORED_ON in run.data.tags:
        raise TrackingError(
            f"run {short_id(run.info.run_id)} was trained or chosen on some of the validation rows, so "
            "metrics of all of them "
            f"would be too good; its val_* metrics are of {run.data.tags[tags.SCORED_ON]}"
        )


def _log_test(run_id: str, metrics: Mapping[str, float], predictions: Predictions, digest: str) -> None:
    """Log metrics and predictions of the test split to the run; the digest last, as it says that both are complete."""
    tracker = MlflowTracker(resume=run_id)
    tracker.log_metrics(metrics)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / "test.parquet"
        predictions_table(predictions).to_parquet(path, index=False)
        tracker.log_file(path, "predictions")
    tracker.log_tags({tags.TEST_DIGEST: digest})
