"""Two models on the same images: which is better, as far as these images can tell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.delong import auc_differences
from mobilenet_chest.evaluation.predict import Predictions
from mobilenet_chest.evaluation.statistics import LEVEL, Difference, holm, mcnemar, not_inferior
from mobilenet_chest.evaluation.thresholds import crossfit_right

ALPHA = 1 - LEVEL

PRIMARY = "val_auc"
"""What rows are ordered by, and told apart from the best by: unlike an accuracy it needs no threshold, and one image
moves it little."""

RANKED = {"val_auc": "probability", "val_auc_tta": "probability_tta"}
"""AUCs, and the predictions that they are of."""

PAIRED = (PRIMARY, "val_accuracy_crossfit")
"""What rows are set against a baseline by."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A run's predictions of the validation images, and what its figures were made of them with.

    Attributes:
        predicted: One row for each image.
        metrics: The run's own.
        config: How its threshold was chosen.
        seed: Of the folds of the cross-fitted accuracy.
    """

    predicted: Predictions
    metrics: Mapping[str, float]
    config: EvaluationConfig
    seed: int

    @cached_property
    def images(self) -> str:
        """SHA-256 (first 16 hex digits) of the row numbers and labels that were predicted."""
        digest = hashlib.sha256(self.predicted.row.tobytes())
        digest.update(self.predicted.label.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _crossfit(self) -> NDArray[np.bool_]:
        return crossfit_right(self.predicted.label, self.predicted.probability_tta, self.config, self.seed)

    def right(self, metric: str) -> NDArray[np.bool_]:
        """Which images (n,) were judged rightly, where the metric is an accuracy.

        Raises:
            KeyError: It is none, or the run has no threshold.
        """
        if metric == "val_accuracy_crossfit":
            return self._crossfit
        plain, tta = self.predicted.probability, self.predicted.probability_tta
        probability, threshold = {
            "val_accuracy": (plain, None),
            "val_accuracy_tta": (tta, None),
            "val_accuracy_threshold": (plain, "threshold_plain"),
            "val_accuracy_tta_threshold": (tta, "threshold"),
        }[metric]
        at_least = 0.5 if threshold is None else self.metrics[threshold]
        right: NDArray[np.bool_] = (probability >= at_least) == (self.predicted.label == 1)
        return right


@dataclass(frozen=True)
class Verdict:
    """A figure less the baseline's, and what that says.

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


def difference(metric: str, first: Scored, second: Scored, level: float = LEVEL) -> Difference:
    """First less second on the same images: AUC by paired DeLong, accuracies by exact McNemar.

    Raises:
        KeyError: The metric is neither.
    """
    return differences(metric, [first], second, level)[0]


def differences(metric: str, firsts: Sequence[Scored], second: Scored, level: float = LEVEL) -> list[Difference]:
    """:func:`difference` of each of ``firsts`` to the second."""
    if metric not in RANKED:
        return [mcnemar(first.right(metric), second.right(metric), level) for first in firsts]
    *scores, other = [getattr(one.predicted, RANKED[metric]) for one in (*firsts, second)]
    return auc_differences(second.predicted.label, scores, other, level)


def verdicts(metric: str, base: Scored, others: Sequence[Scored], margin: float | None = None) -> list[Verdict]:
    """Each of ``others`` against the baseline.

    Not inferior by a margin: the lower end of an interval of 95%, one-sided, lies above it (for one row; for several
    the level is Bonferroni's).
    """
    found = differences(metric, others, base)
    within: list[bool | None] = [None] * len(found)
    if margin is not None:
        level = 1 - 2 * ALPHA / max(1, len(others))
        within = [not_inferior(one, margin) for one in differences(metric, others, base, level)]
    return [
        Verdict(one.value, one.low, one.high, one.p, p, _word(one, p, enough), enough, margin)
        for one, p, enough in zip(found, holm([one.p for one in found]), within, strict=True)
    ]


def _apart(one: Difference, p: float) -> bool:
    """Beyond chance by test and interval alike: near an AUC of 1 the test alone says so too easily."""
    return p < ALPHA and (one.low > 0 or one.high < 0)


def _word(one: Difference, p: float, within: bool | None) -> Literal["better", "worse", "not inferior", "cannot tell"]:
    if _apart(one, p):
        return "better" if one.value > 0 else "worse"
    return "not inferior" if within else "cannot tell"


def cannot_be_told(metric: str, best: Scored, others: Sequence[Scored]) -> list[bool]:
    """Which of ``others`` cannot be told from the best of them all.

    The best was found by looking at what it is tested by: the largest of equal ones lies further from the rest than
    one named beforehand would. So a difference counts only if it would among all pairs (Bonferroni).

    Raises:
        KeyError: As :func:`difference`.
    """
    pairs = len(others) * (len(others) + 1) // 2
    return [not _apart(one, one.p * pairs) for one in differences(metric, others, best)]
