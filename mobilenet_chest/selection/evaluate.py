"""Scoring a finished run's best weights on a split; for test, with the opening on record."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.data.columns import Columns, read_columns
from mobilenet_chest.data.dataset import has_test_split, load_test, load_train_val
from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.evaluation.groups import GroupMetrics, group_metrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.selection.ledger import Access, accesses, record_access
from mobilenet_chest.tracking.artifact_writer import predictions_from_table, predictions_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, trained_model
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.scored import scored_by
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tags import SCORED_ON, TEST_EVALUATIONS
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.predict import predict


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Images scored.
        metrics: ``<split>_auc`` and so on, at the threshold that validation chose.
        test_evaluations: How often this run has been scored on the test split, this time included.
        openings: Every opening of its study, or of the run itself where it has none, this one included.
        groups: Figures of all images and of each group, with TTA at the threshold, where groups were asked for.
        intervals: 95% intervals of the figures, by their names; where patients are known and some have several images,
            with patients drawn whole.
    """

    run_id: str
    split: Literal["val", "test"]
    rows: int
    metrics: dict[str, float]
    test_evaluations: int
    openings: list[Access] = field(default_factory=list)
    groups: list[GroupMetrics] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)


def evaluate(
    run_id: str,
    split: Literal["val", "test"],
    again: bool = False,
    groups: Sequence[str] = (),
    groups_from: Path | None = None,
) -> Evaluation:
    """Score a run. Test figures and predictions are logged to the run, and the opening to the ledger.

    Args:
        run_id: The run.
        split: val or test.
        again: Open the test split although it was opened for the same study before.
        groups: Columns of which each value makes a group.
        groups_from: A table of columns, or of patients alone: :func:`~mobilenet_chest.data.columns.read_columns`.

    Raises:
        TrackingError: No such finished run, or without checkpoint.
        DataError: The file is gone, its rows changed, it has no test split, or a column is not to be had.
        SealedError: The test split was opened before, and not ``again``.
    """
    client = connect()
    run = get_run(client, run_id)
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
    """As :func:`evaluate`, for a run that has been read already; ``command`` goes on record."""
    run_id = str(run.info.run_id)
    if "threshold" not in run.data.metrics:
        raise TrackingError(f"run {run_id} has not finished: it has no threshold; resume or repeat it first")
    check_same_rows(run, config)
    if split == "val" and SCORED_ON in run.data.tags:
        raise TrackingError(
            f"run {run_id} was trained or chosen on some of the validation rows; its val_* figures are of "
            f"{run.data.tags[SCORED_ON]}, and there are no honest ones of all"
        )
    model = trained_model(client, run, config)
    if split == "test":
        if not has_test_split(config.data):
            raise DataError(f"{config.data.path or config.data.dataset}: has no test_images and test_labels to score")
        # on record before the first look: a crash from here on has still opened it
        look = record_access(client, run, command, again)
        rows = load_test(config.data)
        look.digest(rows.digest[:16])
    else:
        rows = load_train_val(config.data).val
    predictions = predict(model, rows, torch.device("cpu"))
    known = None if columns is None else columns.of(predictions.row)
    if known is not None and known.patients is not None:
        predictions = replace(predictions, patient=known.patients)
    metrics = split_metrics(split, predictions, run.data.metrics["threshold"])
    if split == "test":
        look.result(metrics)
        tracker = MlflowTracker(resume=run_id)
        tracker.log_metrics(metrics, step=0)
        with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
            path = Path(folder) / "test.parquet"
            predictions_table(predictions).to_parquet(path, index=False)
            tracker.log_file(path, "predictions")
        tracker.log_tags({"test_digest": rows.digest[:16]})  # last: it says that the rest is there
    opened = int(client.get_run(run_id).data.tags.get(TEST_EVALUATIONS, 0))
    intervals, groups = metric_intervals(split, metrics, scored_by(run, predictions)), list[GroupMetrics]()
    if known is not None and known.groups:
        classes, threshold = load_train_val(config.data).classes, run.data.metrics["threshold"]
        labels, tta = predictions.label, predictions.probability_tta
        groups = group_metrics(labels, tta, threshold, known.groups, predictions.patient, classes)
    return Evaluation(run_id, split, len(rows), metrics, opened, accesses(client, run), groups, intervals)


def stored_test_metrics(client: MlflowClient, run_id: str) -> dict[str, float]:
    """What a finished opening of the test split left on the run; empty if there was none."""
    run = client.get_run(run_id)
    if "test_digest" not in run.data.tags:
        return {}
    return {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}


def stored_intervals(
    client: MlflowClient, run: Run, split: Literal["val", "test"], figures: Mapping[str, float]
) -> dict[str, Interval]:
    """95% intervals of a split's figures, from the predictions that lie in the run."""
    predicted = predictions_from_table(stored_predictions(client, run, split))
    return metric_intervals(split, figures, scored_by(run, predicted))


def check_same_rows(run: Run, config: Config) -> None:
    """Refuse a data file whose training or validation rows are not those the run was made with.

    Raises:
        TrackingError: They differ.
    """
    digest = load_train_val(config.data).digest
    if digest != run.data.tags.get("data_digest"):
        raise TrackingError(
            f"run {run.info.run_id} was made from rows with digest {run.data.tags.get('data_digest')}, but "
            f"{config.data.path or config.data.dataset} now has {digest}; put the original file back, or train again"
        )
