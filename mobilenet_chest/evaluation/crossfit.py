"""The accuracy of a run as if another sample had judged it: every choice made on the other folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig, best_direction
from mobilenet_chest.evaluation.auc import auc_statistic
from mobilenet_chest.evaluation.predictions import Labels, Predictions, Probabilities
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold

DIGITS = 12
"""To which two epochs are compared: sums in another order must not tell equal ones apart."""


def crossfit_all_accuracy(
    predicted: Predictions,
    logits: NDArray[np.float64],
    stages: Sequence[float],
    best_epoch: int,
    config: EvaluationConfig,
    seed: int,
) -> float:
    """Accuracy where every row is judged by an epoch, TTA or none, and a threshold, all chosen on the other folds.

    For each fold, the epoch is the one with the best ``config.metric`` on the other folds, by logits without TTA. TTA
    is known of the run's own best epoch alone: where the fold's epoch is that one, TTA is used unless the other folds
    are more accurate without; each has the threshold that suits it on those folds. Which epochs there are is taken as
    it is, also where patience ended the training. For thirty equal epochs, of which the best seems 4.4 points better
    than it is, this errs by 0.14 points to the other side: the fold's own rows have a say in where TTA is known, and a
    threshold chosen on four fifths of the rows is a little worse.

    Args:
        predicted: Labels, and probabilities of the run's best epoch.
        logits: (epochs, n), without TTA.
        stages: Stage of each epoch.
        best_epoch: The run's own, from 1.
        config: MetricFunction, thresholds, folds.
        seed: Of the folds.
    """
    from scipy.special import expit  # takes long

    labels, correct = predicted.label, 0
    for fitting, judged in crossfit_folds(labels, config.folds, seed):
        epoch = choose_epoch(epoch_values(labels[fitting], logits[:, fitting], config.metric), stages, config.metric)
        if epoch == best_epoch:
            columns = [predicted.probability_tta, predicted.probability]
        else:
            columns = [expit(logits[epoch - 1])]
        choices = [(column, choose_threshold(labels[fitting], column[fitting], config)) for column in columns]
        column, threshold = max(choices, key=lambda one: accuracy_at(labels[fitting], one[0][fitting], one[1]))
        correct += int(((column[judged] >= threshold) == (labels[judged] == 1)).sum())
    return correct / len(labels)


def choose_epoch(values: NDArray[np.float64], stages: Sequence[float], metric: str) -> int:
    """The epoch, from 1, that a training keeps: the first of the best in its stage, stage 2's where the stages are
    equal. NaN is never best, unless there is nothing else."""
    sign = -1 if best_direction(metric) == "minimize" else 1
    values = np.nan_to_num(np.round(sign * values, DIGITS), nan=-np.inf)
    order = np.argsort(-np.asarray(stages), kind="stable")
    return int(order[np.argmax(values[order])]) + 1


def epoch_values(labels: Labels, logits: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """The metric of :func:`~mobilenet_chest.evaluation.metrics.epoch_metrics` for each row of ``logits`` (epochs, n).

    An AUC of rows of one class is NaN.
    """
    if metric == "val_loss":
        losses: NDArray[np.float64] = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean(axis=1)
        return losses
    if metric == "val_accuracy":
        shares: NDArray[np.float64] = ((logits >= 0) == (labels == 1)).mean(axis=1)
        return shares
    once = np.ones((1, len(labels)))
    return np.array([auc_statistic(labels, row)(once)[0] for row in logits])


def crossfit_accuracy(labels: Labels, probabilities: Probabilities, config: EvaluationConfig, seed: int) -> float:
    """Accuracy where every row is judged by a threshold chosen on the other folds.

    A threshold chosen and reported on the same 305 images promises about 0.9 points that are not there; this figure
    does not.
    """
    return int(crossfit_correct(labels, probabilities, config, seed).sum()) / len(labels)


def crossfit_correct(
    labels: Labels, probabilities: Probabilities, config: EvaluationConfig, seed: int
) -> NDArray[np.bool_]:
    """Which rows (n,) the thresholds of :func:`crossfit_accuracy` judge rightly."""
    right = np.empty(len(labels), bool)
    for fitting, judged in crossfit_folds(labels, config.folds, seed):
        threshold = choose_threshold(labels[fitting], probabilities[fitting], config)
        right[judged] = (probabilities[judged] >= threshold) == (labels[judged] == 1)
    return right


def crossfit_folds(
    labels: Labels, folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:  # fmt: skip
    """For each fold the row indices of the others, to choose by, and its own, to be judged.

    Folds are stratified, unless a class has fewer rows than there are folds.
    """
    yield from _folds(np.asarray(labels, np.uint8).tobytes(), min(folds, len(labels)), seed)


@lru_cache(maxsize=8)
def _folds(labels: bytes, folds: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The same for all runs of a study, of which a comparison may have hundreds."""
    from sklearn.model_selection import KFold, StratifiedKFold  # takes seconds

    of_class = np.frombuffer(labels, np.uint8)
    kind = StratifiedKFold if int(np.bincount(of_class, minlength=2).min()) >= folds else KFold
    return list(kind(folds, shuffle=True, random_state=seed).split(of_class[:, None], of_class))
