"""The rows of a comparison, and the values of the source report as rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.selection.access import Access


@dataclass(frozen=True)
class Row:
    """One row of a comparison. The attributes are the keys of ``compare --json``.

    Attributes:
        name: Name of the run or study.
        run_id: Run in MLflow; ``None`` for a value of the source report.
        kind: ``run``, ``study`` (its best run) or ``reported``: a value of the source report, not reproduced here.
        model: Architecture.
        parameters: Number of parameters.
        metrics: Logged metrics, and ``tta_gain``: accuracy with TTA minus accuracy without, both at 0.5. A plugin's
            metric that was asked for is computed from the predictions.
        dataset: Dataset and digest of its validation rows; metrics of different rows are not comparable.
        baseline: ``speed_ratio`` (the baseline's training time over this one's) and the differences of logged metrics
            from the baseline's. Empty without a baseline.
        intervals: 95% intervals of AUCs, accuracies and other shares of images, and of the requested metric, from the
            stored predictions.
        differences: Comparisons with the baseline by ``val_auc``, ``val_accuracy_crossfit`` and the requested metric,
            each as :func:`~mobilenet_chest.evaluation.paired.paired_difference` tests it. Empty without a baseline, and
            where the two cannot be paired.
        best: Whether it has the highest ``val_auc`` of several rows that were scored on the same images.
        tied: Whether it is indistinguishable from the best row; for the best row, whether any other is.
        comparable: Whether it can be paired with the baseline; without a baseline, with runs of the same images.
        reason: Why not.
        selection: How its selection budget differs from the baseline's, as
            :func:`~mobilenet_chest.selection.budget.budget_difference` puts it; ``None`` where it does not.
        openings: Accesses to the test split for this very run, where it has ``test_*`` metrics.
    """

    name: str
    run_id: str | None
    kind: Literal["run", "study", "reported"]
    model: str
    parameters: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    dataset: str = ""
    baseline: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, PairedComparison] = field(default_factory=dict)
    best: bool = False
    tied: bool = False
    comparable: bool = True
    reason: str | None = None
    selection: str | None = None
    openings: list[Access] = field(default_factory=list)


def _reported(name: str, model: str, parameters: float, accuracy: float, minutes: float | None, **more: float) -> Row:
    metrics = {"val_accuracy_tta_threshold" if "threshold" in more else "val_accuracy": accuracy, **more}
    if minutes is not None:
        metrics["train_seconds"] = minutes * 60
    return Row(
        name, None, "reported", model, int(parameters), metrics, "chestmnist (as reported)", comparable=False,
        reason="reported, not reproduced: it has no predictions",
    )  # fmt: skip


REPORTED = (
    # source report, sections 2.2, 3.1, 3.4; its accuracies are of the 305 images that chose epoch and threshold
    _reported("MobileNetV3-Large, stage 1", "mobilenet_v3_large", 5_022_225, 0.7475, 2.8),
    _reported("MobileNetV3-Large, stage 2", "mobilenet_v3_large", 5_022_225, 0.8918, 8.3),
    _reported("MobileNetV3-Large, TTA + threshold", "mobilenet_v3_large", 5_022_225, 0.8951, 11.1, threshold=0.67),
    _reported("DenseNet121, best of five seeds", "densenet121", 7.6e6, 0.9246, 19.6),
    _reported("DenseNet121, single", "densenet121", 7.6e6, 0.9180, None),
    _reported("DenseNet121, five-seed ensemble", "densenet121", 38e6, 0.9213, 72.0),
)
