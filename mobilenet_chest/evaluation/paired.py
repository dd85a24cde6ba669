"""Two models on the same images: which is better, as far as these images can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mobilenet_chest.config import best_direction
from mobilenet_chest.evaluation.bootstrap import bootstrap_distributions, difference_statistic
from mobilenet_chest.evaluation.delong import auc_differences
from mobilenet_chest.evaluation.intervals import LEVEL, Difference
from mobilenet_chest.evaluation.run_predictions import AUC_COLUMNS, PROPORTIONS, RunPredictions
from mobilenet_chest.evaluation.significance import holm, mcnemar, not_inferior

ALPHA = 1 - LEVEL

PRIMARY_METRIC = "val_auc"
"""What rows are ordered by, and told apart from the best by: unlike an accuracy it needs no threshold, and one image
moves it little."""

BASELINE_METRICS = (PRIMARY_METRIC, "val_accuracy_crossfit")
"""What rows are set against a baseline by."""


@dataclass(frozen=True)
class PairedComparison:
    """A figure less the baseline's, and what that says.

    Better is lower of losses, the Brier score and calibration errors, and higher of all else.

    Attributes:
        value: The difference.
        low: Lower end of its own 95% interval.
        high: Upper end.
        p: Two-sided, of no difference.
        p_holm: The same, corrected for all rows that the baseline is compared with (Holm, 1979).
        verdict: Better or worse where ``p_holm`` is below 0.05 and the interval leaves 0 out; else not inferior where
            the interval says so of the margin, corrected for all rows as well; else it cannot be told.
        not_inferior: Whether it is worse by less than the margin, also where it is better or worse; ``None`` without
            a margin.
        margin: What may be lost.
    """

    value: float
    low: float
    high: float
    p: float
    p_holm: float
    verdict: Literal["better", "worse", "not inferior", "cannot tell"]
    not_inferior: bool | None
    margin: float | None = None


def paired_difference(metric: str, first: RunPredictions, second: RunPredictions, level: float = LEVEL) -> Difference:
    """First less second on the same images: AUC by paired DeLong, accuracies by exact McNemar, all else by the paired
    bootstrap, and so those two where patients have several images, drawn whole.

    Raises:
        KeyError: The predictions do not give the metric.
    """
    return paired_differences(metric, [first], second, level)[0]


def paired_differences(
    metric: str, firsts: Sequence[RunPredictions], second: RunPredictions, level: float = LEVEL
) -> list[Difference]:
    """:func:`paired_difference` of each of ``firsts`` to the second."""
    name, labels = metric.removeprefix("val_"), second.predictions.label
    if second.clusters is None and name in PROPORTIONS:
        return [mcnemar(first.correct(name), second.correct(name), level) for first in firsts]
    if second.clusters is None and name in AUC_COLUMNS and second.predictions.fold is None:
        *scores, other = [getattr(one.predictions, AUC_COLUMNS[name]) for one in (*firsts, second)]
        return auc_differences(labels, scores, other, level)
    figures = [difference_statistic(first.statistic(name), second.statistic(name)) for first in firsts]
    return [one.difference(level) for one in bootstrap_distributions(labels, figures, second.clusters)]


def compare_with_baseline(
    metric: str, base: RunPredictions, others: Sequence[RunPredictions], margin: float | None = None
) -> list[PairedComparison]:
    """Each of ``others`` against the baseline.

    Not inferior by a margin: the lower end of an interval of 95%, one-sided, lies above it (for one row; for several
    the level is Bonferroni's).
    """
    found = paired_differences(metric, others, base)
    within: list[bool | None] = [None] * len(found)
    if margin is not None and metric in BASELINE_METRICS:
        level = 1 - 2 * ALPHA / max(1, len(others))
        within = [not_inferior(one, margin) for one in paired_differences(metric, others, base, level)]
    return [
        PairedComparison(one.value, one.low, one.high, one.p, p, _word(metric, one, p, enough), enough, margin)
        for one, p, enough in zip(found, holm([one.p for one in found]), within, strict=True)
    ]


def _apart(one: Difference, p: float) -> bool:
    """Beyond chance by test and interval alike: near an AUC of 1 the test alone says so too easily."""
    return p < ALPHA and (one.low > 0 or one.high < 0)


def _word(
    metric: str, one: Difference, p: float, within: bool | None
) -> Literal["better", "worse", "not inferior", "cannot tell"]:
    if _apart(one, p):
        return "better" if (one.value > 0) == (best_direction(metric) == "maximize") else "worse"
    return "not inferior" if within else "cannot tell"


def indistinguishable(metric: str, best: RunPredictions, others: Sequence[RunPredictions]) -> list[bool]:
    """Which of ``others`` cannot be told from the best of them all.

    The best was found by looking at what it is tested by: the largest of equal ones lies further from the rest than
    one named beforehand would. So a difference counts only if it would among all pairs (Bonferroni).

    Raises:
        KeyError: As :func:`paired_difference`.
    """
    pairs = len(others) * (len(others) + 1) // 2
    return [not _apart(one, one.p * pairs) for one in paired_differences(metric, others, best)]
