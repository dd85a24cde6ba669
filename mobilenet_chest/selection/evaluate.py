"""Scoring a finished run's best weights on a split; for test, with the opening counted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_test, load_train_val
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predict import predict
from mobilenet_chest.selection.runs import SCORED_ON, run_config, trained_model
from mobilenet_chest.tracking.keeper import predictions_table
from mobilenet_chest.tracking.reading import get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker

OPENINGS = "test_evaluations"


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split.

    Attributes:
        run_id: The run.
        split: val or test.
        rows: Images scored.
        metrics: ``<split>_auc`` and so on, at the threshold that validation chose.
        test_evaluations: How often this run has been scored on the test split, this time included.
    """

    run_id: str
    split: str
    rows: int
    metrics: dict[str, float]
    test_evaluations: int


def evaluate(run_id: str, split: Literal["val", "test"]) -> Evaluation:
    """Score a run. Test figures and predictions are logged to the run and the opening is counted in a tag.

    Raises:
        TrackingError: No such finished run, or without checkpoint.
        DataError: The file is gone, its rows changed, or it has no test split.
    """
    client = connect()
    run = get_run(client, run_id)
    return evaluate_run(client, run, run_config(client, run), split)


def evaluate_run(client: MlflowClient, run: Run, config: Config, split: Literal["val", "test"]) -> Evaluation:
    """As :func:`evaluate`, for a run that has been read already."""
    run_id = str(run.info.run_id)
    if "threshold" not in run.data.metrics:
        raise TrackingError(f"run {run_id} has not finished: it has no threshold; resume or repeat it first")
    same_rows(run, config)
    if split == "val" and SCORED_ON in run.data.tags:
        raise TrackingError(
            f"run {run_id} was trained or chosen on some of the validation rows; its val_* figures are of "
            f"{run.data.tags[SCORED_ON]}, and there are no honest ones of all"
        )
    openings = int(run.data.tags.get(OPENINGS, 0))
    model = trained_model(client, run, config)
    rows = load_test(config.data) if split == "test" else load_train_val(config.data).val
    if split == "test":
        # counted before the first look: a crash from here on has still opened it
        openings += 1
        client.set_tag(run_id, OPENINGS, str(openings))
    predictions = predict(model, rows, torch.device("cpu"))
    metrics = split_metrics(split, predictions, run.data.metrics["threshold"])
    if split == "test":
        tracker = MlflowTracker(resume=run_id)
        tracker.log_metrics(metrics, step=0)
        tracker.log_tags({"test_digest": rows.digest[:16]})
        with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
            path = Path(folder) / "test.parquet"
            predictions_table(predictions).to_parquet(path, index=False)
            tracker.log_file(path, "predictions")
    return Evaluation(run_id, split, len(rows), metrics, openings)


def same_rows(run: Run, config: Config) -> None:
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
