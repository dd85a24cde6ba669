"""Comparisons of two runs on the same images: differences, tests, and which runs are indistinguishable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.evaluation.bootstrap import bootstrap_distributions, difference_statistic
from mobilenet_chest.evaluation.delong import auc_differences
from mobilenet_chest.evaluation.intervals import LEVEL, Difference
from mobilenet_chest.evaluation.run_predictions import AUC_COLUMNS, PROPORTIONS, RunPredictions
from mobilenet_chest.evaluation.significance import holm, mcnemar, not_inferior

ALPHA = 1 - LEVEL

PRIMARY_METRIC = "val_auc"
"""Orders runs and tells them from the best. Unlike an accuracy it needs no threshold, and one image moves it little."""

BASELINE_METRICS = (PRIMARY_METRIC, "val_accuracy_crossfit")
"""Metrics in which runs are compared with a baseline."""

Verdict = Literal["better", "worse", "not inferior", "cannot tell"]


@dataclass(frozen=True)
class PairedComparison:
    """A run's metric minus the baseline's, and what that says.

    Attributes:
        value: The difference.
        low: Lower end of its 95% interval, not corrected for other runs.
        high: Upper end.
        p: Two-sided p of no difference.
        p_holm: ``p``, corrected for all runs that are compared with the baseline (Holm, 1979).
        verdict: ``better`` or ``worse`` if ``p_holm`` is below 0.05 and the interval excludes 0. Else ``not inferior``
            if the interval excludes a loss of the margin, corrected for all runs as well; else ``cannot tell``. Lower
            is better of losses, the Brier score and ECE, and higher of all other metrics.
        not_inferior: Whether the run is worse by less than the margin, also if it is better or worse; ``None`` without
            a margin.
        margin: What may be lost.
    """

    value: float
    low: float
    high: float
    p: float
    p_holm: float
    verdict: Verdict
    not_inferior: bool | None
    margin: float | None = None


def paired_difference(
    metric: str, first: RunPredictions, second: RunPredictions, level: float = LEVEL
) -> Difference:  # fmt: skip
    """Return the first run's metric minus the second's, on the same images.

    AUCs are tested by paired DeLong, accuracies by exact McNemar, all other metrics by the paired bootstrap. If
    patients have several images, all are bootstrapped, with patients drawn whole.

    Args:
        metric: With or without ``val_``.
        first: A run.
        second: A run with predictions of the same images.
        level: Confidence of the interval.

    Raises:
        KeyError: The predictions do not give the metric.
    """
    return paired_differences(metric, [first], second, level)[0]


def paired_differences(
    metric: str, firsts: Sequence[RunPredictions], second: RunPredictions, level: float = LEVEL
) -> list[Difference]:
    """Return :func:`paired_difference` of each of ``firsts`` and the same second run."""
    name, labels = metric.removeprefix("val_"), second.predictions.label
    if second.clusters is None and name in PROPORTIONS:
        return [mcnemar(first.correct(name), second.correct(name), level) for first in firsts]
    if second.clusters is None and name in AUC_COLUMNS and second.predictions.fold is None:
        *scores, baseline = [getattr(run.predictions, AUC_COLUMNS[name]) for run in (*firsts, second)]
        return auc_differences(labels, scores, baseline, level)
    statistics = [difference_statistic(first.statistic(name), second.statistic(name)) for first in firsts]
    distributions = bootstrap_distributions(labels, statistics, second.clusters)
    return [distribution.difference(level) for distribution in distributions]


def compare_with_baseline(
    metric: str, baseline: RunPredictions, runs: Sequence[RunPredictions], margin: float | None = None
) -> list[PairedComparison]:
    """Return the comparison of each of ``runs`` with the baseline.

    A run is not inferior if the lower end of a one-sided 95% interval of its difference is above minus the margin. For
    several runs the level is Bonferroni's.

    Args:
        metric: With ``val_``.
        baseline: The run to compare with.
        runs: Runs with predictions of the same images.
        margin: What may be lost in a metric of :data:`BASELINE_METRICS`; other metrics ignore it.
    """
    differences = paired_differences(metric, runs, baseline)
    inferiority: list[bool | None] = [None] * len(differences)
    if margin is not None and metric in BASELINE_METRICS:
        level = 1 - 2 * ALPHA / max(1, len(runs))
        one_sided = paired_differences(metric, runs, baseline, level)
        inferiority = [not_inferior(difference, margin) for difference in one_sided]
    corrected = holm([difference.p for difference in differences])
    return [
        PairedComparison(
            **vars(difference), p_holm=p, verdict=_verdict(metric, difference, p, enough), not_inferior=enough,
            margin=margin,
        )
        for difference, p, enough in zip(differences, corrected, inferiority, strict=True)
    ]  # fmt: skip


def _distinct(difference: Difference, p: float) -> bool:
    """Return whether both test and interval exclude 0: near an AUC of 1 the test alone would do so too often."""
    return p < ALPHA and (difference.low > 0 or difference.high < 0)


def _verdict(metric: str, difference: Difference, p: float, enough: bool | None) -> Verdict:
    if _distinct(difference, p):
        return "better" if as_score(difference.value, best_direction(metric)) > 0 else "worse"
    return "not inferior" if enough else "cannot tell"


def indistinguishable(metric: str, best: RunPredictions, others: Sequence[RunPredictions]) -> list[bool]:
    """Return which of ``others`` are indistinguishable from the best of them all.

    The best run was picked from the data it is tested on. The largest of several equal values lies further from the
    rest than a run that was named beforehand would. So p is corrected for all pairs of runs (Bonferroni).

    Raises:
        KeyError: The predictions do not give the metric.
    """
    pairs = len(others) * (len(others) + 1) // 2
    differences = paired_differences(metric, others, best)
    return [not _distinct(difference, difference.p * pairs) for difference in differences]
