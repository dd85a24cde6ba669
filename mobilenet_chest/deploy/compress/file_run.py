"""The run of a compressed file: predicted, judged, decided anew, and logged."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from mobilenet_chest import plugins
from mobilenet_chest.data.dataset import Split
from mobilenet_chest.deploy.compress.converted import Converted
from mobilenet_chest.deploy.compress.original import Original
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import CompressionRefused, ExportFailed
from mobilenet_chest.evaluation.calibration import ece_growth
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.files import write_whole
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.decision import with_decision
from mobilenet_chest.models.onnx_graph import set_metadata
from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.models.quantization import CHOICES
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier
from mobilenet_chest.registry.classifier import file_metadata
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import CHECKPOINTS, predictions_from_table, predictions_table
from mobilenet_chest.tracking.artifacts import ONNX_CHECKPOINT, quantized_classifier, run_config, stored_predictions
from mobilenet_chest.tracking.notes import Outcome, code
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run, short_id
from mobilenet_chest.tracking.tracker import MlflowTracker, Tracker
from mobilenet_chest.tracking.trainings import find_finished_runs

MEAN_CHANGE, ECE_GROWTH = 0.06, 0.01
"""Largest mean change of probability, and largest growth of the ECE, with which a compressed file is kept."""

INHERITED_TAGS = (tags.MODEL, tags.STUDY, tags.SCORED_ON)
"""Tags of the original that hold for what is made of it."""

INHERITED_METRICS = ("parameters", "train_seconds")

Convert = Callable[[Original], Converted]
"""Makes a compressed file of the original's."""


def compress_file(original: Original, method: str, convert: Convert) -> str:
    """Log the run of a compressed file, or find the run that was logged before; return its id.

    Temperature and threshold are fitted again on the validation rows, by the rules of the original's experiment.

    Raises:
        CompressionRefused: It predicts too differently; nothing is logged.
        ExportFailed: The file cannot be compressed, or ONNX Runtime cannot run the result.
    """
    if (existing := _logged_before(original, method)) is not None:
        return existing
    converted = _converted(original, method, convert)
    predictions = file_predictions(converted.model, original.scored)
    change, config = check_near(original, method, predictions), original.config
    with plugins.using(config.plugins):
        metrics = selection_metrics(predictions, config.evaluation, config.seed, (config.evaluation.metric,))
    before = metrics_of(original.run)
    metrics |= {"mean_change": change} | {name: before[name] for name in INHERITED_METRICS if name in before}
    decided = with_decision(converted.model, metrics["temperature"], metrics["threshold"])
    return _log(original, method, Converted(decided, converted.choices), predictions, metrics)


def _logged_before(original: Original, method: str) -> str | None:
    labels = {tags.KIND: tags.COMPRESSED_KIND, tags.COMPRESSION: method}
    for run in find_finished_runs(original.client, original.config.experiment, labels):
        if run.data.tags.get(tags.PARENT_RUN) == original.run_id:
            return str(run.info.run_id)
    return None


def _converted(original: Original, method: str, convert: Convert) -> Converted:
    try:
        converted = convert(original)
        open_session(converted.model.SerializeToString())
    except Exception as error:  # ONNX Runtime's errors, and those of its tools, have no common root
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportFailed(f"run {short_id(original.run_id)} cannot be compressed by {method}: {reason}") from error
    return converted


def file_predictions(model: Any, rows: Split) -> Predictions:
    """Return the predictions of an ``onnx.ModelProto`` of a classifier, as the served model computes them."""
    session = open_session(model.SerializeToString())
    parts = [
        session.run(["logit_plain", "logit"], {onnx_file.INPUT: part.numpy()})
        for part in rows.images.split(onnx_file.BATCH)
    ]
    plain, tta = (1 / (1 + np.exp(-np.concatenate(column).astype(np.float64))) for column in zip(*parts, strict=True))
    return Predictions(rows.rows, rows.labels.numpy(), plain, tta, rows.patients)


def check_near(
    original: Original, method: str, predictions: Predictions, ending: str = "nothing was logged; try another method"
) -> float:
    """Return the mean change of probability of the validation rows.

    Args:
        original: The run that was compressed.
        method: How.
        predictions: Of the compressed model.
        ending: What was done, and what to do, where it is refused.

    Raises:
        CompressionRefused: The mean change of probability or the growth of the ECE is above its limit.
    """
    before, reasons = original.predictions, []
    change = float(np.abs(predictions.probability_tta - before.probability_tta).mean())
    growth = ece_growth(before.label, before.probability_tta, predictions.probability_tta)
    if not change <= MEAN_CHANGE:
        reasons.append(f"its probabilities change by {change:.4f} on average (allowed: {MEAN_CHANGE:g})")
    if not growth <= ECE_GROWTH:
        reasons.append(f"its ECE grows by {growth:.4f} (allowed: {ECE_GROWTH:g})")
    if reasons:
        raise CompressionRefused(
            f"run {short_id(original.run_id)} was not compressed by {method}: {' and '.join(reasons)}; {ending}"
        )
    return change


TRAINED_ENDING = "give a lower stage2.lr, or another method"


def check_trained(original: Original, tracker: Tracker, model: Classifier, predictions: Predictions) -> None:
    """Check the predictions of a network that learned in 8-bit integers; log their change and what was chosen.

    It is called before the run has ended, so that nothing promotes one that is refused.

    Raises:
        CompressionRefused: It predicts too differently.
    """
    ending = f"its run {short_id(tracker.run_id)} is marked as failed; {TRAINED_ENDING}"
    # a soup was scored on half of the validation rows
    try:
        change = check_near(original, "int8-qat", predictions.of_rows(original.predictions.row), ending)
    except CompressionRefused as refused:
        tracker.log_tags({tags.COMPRESSION_REFUSED: str(refused)})
        raise
    _log_trained(tracker, model, change)


def check_earlier(original: Original, run_id: str) -> None:
    """Do as :func:`check_trained` for a finished run of an earlier training, if that was trained without.

    Raises:
        CompressionRefused: It predicts too differently; its run stays as it is.
    """
    run, client = get_run(original.client, run_id), original.client
    if "mean_change" in metrics_of(run):
        return
    predictions = predictions_from_table(stored_predictions(client, run, "val"))
    ending = f"its run {short_id(run_id)} was trained before by another command, and stays as it is; {TRAINED_ENDING}"
    change = check_near(original, "int8-qat", predictions.of_rows(original.predictions.row), ending)
    _log_trained(MlflowTracker(resume=run_id), quantized_classifier(client, run, run_config(client, run)), change)


def _log_trained(tracker: Tracker, model: Classifier, change: float) -> None:
    choices = json.loads(cast(QuantizedClassifier, model).network.metadata[CHOICES])
    tracker.log_tags({f"{tags.COMPRESSION}_{name}": value for name, value in choices.items()})
    tracker.log_metrics({"mean_change": change})


def _log(
    original: Original, method: str, converted: Converted, predictions: Predictions, metrics: Mapping[str, float]
) -> str:
    """Log the run with its checkpoint, which is the file; return its id."""
    parent, config = original.run, original.config
    labels = {name: parent.data.tags[name] for name in INHERITED_TAGS if name in parent.data.tags}
    labels |= {f"{tags.COMPRESSION}_{name}": value for name, value in converted.choices.items()}
    about = (
        f"**{method}** of run {code(short_id(original.run_id))}: {code(parent.data.tags.get(tags.MODEL, ''))} on "
        f"{code(original.data.name)}, as one ONNX file. Temperature and threshold were fitted again on validation."
    )
    tracker = MlflowTracker(
        tags.COMPRESSED_KIND, name=f"{parent.info.run_name}, {method}", parent=original.run_id, about=about,
        tags={tags.COMPRESSION: method},
    )  # fmt: skip
    with tracker.run(config, original.data), tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as name:
        folder, run_id = Path(name), str(tracker.run_id)
        tracker.log_tags(labels)
        tracker.log_metrics(metrics)
        predictions_table(predictions).to_parquet(folder / "val.parquet", index=False)
        tracker.log_file(folder / "val.parquet", "predictions")
        process_outbox().flush_run(run_id)  # the file says what the run says, and is written once
        run = get_run(original.client, run_id)
        path = folder / Path(ONNX_CHECKPOINT).name
        set_metadata(converted.model, file_metadata(original.client, run, config))
        write_whole(path, converted.model.SerializeToString())
        tracker.log_file(path, CHECKPOINTS)
        tracker.log_tags({tags.ONNX_SHA256: file_digest(path, "sha256")})
        tracker.log_outcome(Outcome("finished", metrics, 1, 1, predictions, "members"))
    return run_id
