"""Metrics of stressed copies, relative to the clean images, and the table of all corruptions and severities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.auc import auc, auc_statistic
from mobilenet_chest.evaluation.bootstrap import bootstrap_weights, mean_statistic, patient_clusters
from mobilenet_chest.evaluation.conformal import results_under_shift
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import LEVEL, Interval, wilson
from mobilenet_chest.evaluation.operating_points import ABSTENTION, abstention_promised
from mobilenet_chest.evaluation.predictions import Labels
from mobilenet_chest.evaluation.unpaired import unpaired_mean

FIGURES = ("auc_mean", "auc_worst", "accuracy_mean", "auc_loss", "accuracy_loss")
"""The metrics, by their names without the prefix."""

DRAWS = 1000
"""Bootstrap draws."""


def stress_metrics(
    prefix: str, labels: Labels, logits: NDArray[np.float64], clean: NDArray[np.float64]
) -> dict[str, float]:  # fmt: skip
    """Return the mean and the worst AUC over families, the mean accuracy at 0.5, and what was lost to the clean images.

    If a logit is NaN or infinite, all are NaN.

    Args:
        prefix: ``stress`` or ``heldout_stress``.
        labels: uint8 (n,).
        logits: (families, n), without TTA.
        clean: (n,), of the images without stress.
    """
    names = [f"{prefix}_{name}" for name in FIGURES]
    if not (np.isfinite(logits).all() and np.isfinite(clean).all()):
        return dict.fromkeys(names, float("nan"))
    aucs = [auc(labels, row) for row in logits]
    accuracy, clean_accuracy = (float(((rows >= 0) == (labels == 1)).mean()) for rows in (logits, clean))
    mean = float(np.mean(aucs))
    return dict(zip(names, (mean, min(aucs), accuracy, auc(labels, clean) - mean, clean_accuracy - accuracy),
                    strict=True))  # fmt: skip


def stress_intervals(
    prefix: str,
    labels: Labels,
    logits: NDArray[np.float64],
    clean: NDArray[np.float64],
    patients: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return the ends of the 95% intervals of :func:`stress_metrics`, as ``stress_auc_mean_low`` and ``…_high``.

    They are percentiles of :data:`DRAWS` bootstrap draws. A draw takes the same images of all families and of the
    clean ones, and each class keeps its number of images. Patients with several images are drawn whole. If a logit is
    NaN or infinite, all ends are NaN.

    The interval of the lowest AUC is that of the family which has it. The lowest AUC of each draw would lie too low, as
    the lowest of several estimates always does: such an interval missed the lowest true AUC in up to 39% of simulated
    sets (``experiments/results/intervals.md``).

    Args:
        prefix: ``stress`` or ``heldout_stress``.
        labels: uint8 (n,).
        logits: (families, n), without TTA.
        clean: (n,), of the images without stress.
        patients: Of each image, (n,); ``None`` where they are unknown.
        seed: The same seed gives the same draws, also of the other half of the families.
    """
    ends = ("low", "high")
    if not (np.isfinite(logits).all() and np.isfinite(clean).all()):
        return {f"{prefix}_{name}_{end}": float("nan") for name in FIGURES for end in ends}
    families = [auc_statistic(labels, row) for row in logits]
    accuracy = mean_statistic(((logits >= 0) == (labels == 1)).mean(axis=0))
    clean_auc, clean_accuracy = auc_statistic(labels, clean), mean_statistic((clean >= 0) == (labels == 1))
    worst, blocks = int(np.argmin([auc(labels, row) for row in logits])), []
    for weights in bootstrap_weights(labels, patient_clusters(patients), DRAWS, seed):
        areas, share = np.stack([family(weights) for family in families]), accuracy(weights)
        mean = areas.mean(axis=0)
        blocks.append((mean, areas[worst], share, clean_auc(weights) - mean, clean_accuracy(weights) - share))
    metrics: dict[str, float] = {}
    for name, drawn in zip(FIGURES, zip(*blocks, strict=True), strict=True):
        low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        metrics |= {f"{prefix}_{name}_low": float(low), f"{prefix}_{name}_high": float(high)}
    return metrics


def mean_rows(tables: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the table of a trial from those of its folds, whose images are different ones.

    Numbers are means over the folds, with the intervals of :func:`~mobilenet_chest.evaluation.unpaired.unpaired_mean`;
    ``images`` is a sum. What one of the folds lacks is left out.

    Args:
        tables: Of each fold, the rows of :func:`stress_row`.
    """
    by_case = [{(row["corruption"], row["severity"]): row for row in table} for table in tables]
    return [_mean_row([rows[case] for rows in by_case]) for case in by_case[0] if all(case in rows for rows in by_case)]


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mean = {name: rows[0][name] for name in ("family", "corruption", "severity", "held_out")}
    mean["images"] = sum(row["images"] for row in rows)
    for name in ("auc", "accuracy", "kept_0", "kept_1", "errors"):
        intervals = [
            Interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows if row.get(name) is not None
        ]
        if len(intervals) == len(rows):
            ends = unpaired_mean(intervals)
            mean |= {name: ends.value, f"{name}_low": ends.low, f"{name}_high": ends.high}
    for name in ("promised", "referred"):
        values = [row[name] for row in rows if row.get(name) is not None]
        if len(values) == len(rows):
            mean[name] = sum(values) / len(values)
    return mean


def stress_row(
    labels: Labels,
    logits: NDArray[np.float64],
    clean: NDArray[np.float64],
    corruption: str,
    severity: int,
    family: str,
    held_out: bool,
) -> dict[str, Any]:
    """Return a row of the table: AUC and accuracy at 0.5 with 95% intervals (DeLong, Wilson), and what becomes of
    abstention: :func:`promise_under_stress`.

    Args:
        labels: uint8 (n,).
        logits: (n,), without TTA.
        clean: (n,), of the images without stress.
        corruption: ``clean`` for the images without stress.
        severity: 1 to 5; 0 without stress.
        family: Of the corruption.
        held_out: Whether the family chooses nothing.
    """
    area = auc_interval(labels, logits)
    accuracy = wilson(int(((logits >= 0) == (labels == 1)).sum()), len(labels))
    return {
        "family": family, "corruption": corruption, "severity": severity, "held_out": held_out, "images": len(labels),
        "auc": area.value, "auc_low": area.low, "auc_high": area.high,
        "accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high,
    } | promise_under_stress(labels, logits, clean)  # fmt: skip


def promise_under_stress(
    labels: Labels, logits: NDArray[np.float64], clean: NDArray[np.float64]
) -> dict[str, float]:  # fmt: skip
    """Return what becomes of the promise that a registered model's abstention makes, by a rule from the clean images.

    ``promised`` is the share of each class whose answer is to keep its class, ``kept_0`` and ``kept_1`` what is kept,
    ``referred`` the share of images that are not answered by one class, ``errors`` that of wrong ones among those that
    are; ``_low`` and ``_high`` are the ends of 95% Wilson intervals. Nothing where a class has too few images for a
    promise.

    Args:
        labels: uint8 (n,).
        logits: (n,), without TTA, of the images under stress.
        clean: (n,), of the same images without it.
    """
    if not abstention_promised(labels):
        return {}
    # a rule goes by the order of the images alone, so logits do as well as probabilities
    (result,) = results_under_shift(1 - ABSTENTION, labels, clean, [logits])
    shares = {"kept_0": result.covered[0], "kept_1": result.covered[1], "errors": result.errors}
    row = {"promised": ABSTENTION, "referred": 1 - result.one.value}
    for name, share in shares.items():
        row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
    return row
