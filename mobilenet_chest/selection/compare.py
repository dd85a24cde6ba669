"""Runs and studies side by side, and the source report's figures as rows to hold them against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mobilenet_chest.selection.runs import SCORED_ON, Candidate, everything, find, find_one
from mobilenet_chest.tracking.store import all_experiment_ids, connect


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        name: Of the run or study.
        run_id: Run in MLflow; ``None`` for a reported figure.
        kind: ``reported`` rows are figures of the source report, not reproduced here.
        model: Architecture.
        parameters: Number of parameters.
        metrics: Of the run, and ``tta_gain`` (accuracy with TTA less accuracy without, both at 0.5).
        dataset: Dataset and digest of its rows; figures of different rows are not comparable.
        baseline: Set against the baseline: ``speed_ratio`` (its training time over this one's) and
            ``val_accuracy_crossfit`` and ``val_auc`` differences. Empty without a baseline.
    """

    name: str
    run_id: str | None
    kind: Literal["run", "study", "reported"]
    model: str
    parameters: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    dataset: str = ""
    baseline: dict[str, float] = field(default_factory=dict)


def _reported(name: str, model: str, parameters: float, accuracy: float, minutes: float | None, **more: float) -> Row:
    metrics = {"val_accuracy_tta_threshold" if "threshold" in more else "val_accuracy": accuracy, **more}
    if minutes is not None:
        metrics["train_seconds"] = minutes * 60
    return Row(name, None, "reported", model, int(parameters), metrics, "chestmnist (as reported)")


REPORTED = (
    # Source report, sections 2.2, 3.1 and 3.4; the accuracies are of the same 305 images that chose epoch and threshold
    _reported("MobileNetV3-Large, stage 1", "mobilenet_v3_large", 5_022_225, 0.7475, 2.8),
    _reported("MobileNetV3-Large, stage 2", "mobilenet_v3_large", 5_022_225, 0.8918, 8.3),
    _reported("MobileNetV3-Large, TTA + threshold", "mobilenet_v3_large", 5_022_225, 0.8951, 11.1, threshold=0.67),
    _reported("DenseNet121, best of five seeds", "densenet121", 7.6e6, 0.9246, 19.6),
    _reported("DenseNet121, single", "densenet121", 7.6e6, 0.9180, None),
    _reported("DenseNet121, five-seed ensemble", "densenet121", 38e6, 0.9213, 72.0),
)


def compare(references: Sequence[str], baseline: str | None = None, reported: bool = False) -> list[Row]:
    """Rows for runs, studies and experiments.

    Args:
        references: Names as :func:`~mobilenet_chest.selection.runs.find` takes them; none means everything.
        baseline: Run or study to set the others against; it becomes the first row.
        reported: Add the source report's figures.

    Raises:
        TrackingError: A reference stands for nothing.
    """
    client = connect()
    candidates: list[Candidate] = []
    if not references:
        candidates = everything(client, all_experiment_ids(client))
    for reference in references:
        candidates += find(client, reference)
    first = None
    if baseline is not None:
        base = find_one(client, baseline)
        first = _row(base)
        candidates = [candidate for candidate in candidates if candidate.run_id != base.run_id]
    rows: dict[str, Row] = {candidate.run_id: _row(candidate) for candidate in candidates}
    ordered = sorted(rows.values(), key=lambda row: -row.metrics.get("val_auc", 0))
    if first is not None:
        ordered = [replace(row, baseline=_against(row, first)) for row in (first, *ordered)]
    return [*ordered, *(REPORTED if reported else ())]


def _row(candidate: Candidate) -> Row:
    run, tags = candidate.run, candidate.run.data.tags
    metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")}
    if {"val_accuracy", "val_accuracy_tta"} <= metrics.keys():
        metrics["tta_gain"] = metrics["val_accuracy_tta"] - metrics["val_accuracy"]
    parameters = metrics.get("parameters")
    return Row(
        name=candidate.name,
        run_id=candidate.run_id,
        kind="study" if candidate.study else "run",
        model=tags.get("model", "unknown"),
        parameters=None if parameters is None else int(parameters),
        metrics=metrics,
        dataset=" ".join(tags[name] for name in ("dataset", "data_digest", SCORED_ON) if name in tags),
    )


def _against(row: Row, base: Row) -> dict[str, float]:
    """Nothing but the speed where the rows were scored on other images."""
    found = {}
    if row.metrics.get("train_seconds") and base.metrics.get("train_seconds"):
        found["speed_ratio"] = base.metrics["train_seconds"] / row.metrics["train_seconds"]
    if row.dataset == base.dataset:
        for name in ("val_auc", "val_accuracy_crossfit"):
            if name in row.metrics and name in base.metrics:
                found[name] = row.metrics[name] - base.metrics[name]
    return found
