"""Cross-fitted accuracy: every image is judged by choices that were made on the other folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.evaluation.auc import auc_statistic
from mobilenet_chest.evaluation.custom_metrics import custom_epochs
from mobilenet_chest.evaluation.predictions import Labels, Predictions, Probabilities
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold

DIGITS = 12
"""Decimals to which epochs are compared: the order of a sum must not tell equal epochs apart."""


def crossfit_accuracy(labels: Labels, probabilities: Probabilities, config: EvaluationConfig, seed: int) -> float:
    """Return the accuracy where every image is judged by a threshold chosen on the other folds.

    A threshold that is chosen and reported on the same 305 images makes the accuracy about 0.9 points too high; this
    accuracy is not.
    """
    return int(crossfit_correct(labels, probabilities, config, seed).sum()) / len(labels)


def crossfit_correct(
    labels: Labels, probabilities: Probabilities, config: EvaluationConfig, seed: int
) -> NDArray[np.bool_]:
    """Return which images (n,) the thresholds of :func:`crossfit_accuracy` judge correctly."""
    correct = np.empty(len(labels), bool)
    for fitting, judged in crossfit_folds(labels, config.folds, seed):
        threshold = choose_threshold(labels[fitting], probabilities[fitting], config)
        correct[judged] = (probabilities[judged] >= threshold) == (labels[judged] == 1)
    return correct


def crossfit_all_accuracy(
    predictions: Predictions,
    logits: NDArray[np.float64],
    stages: Sequence[float],
    best_epoch: int,
    config: EvaluationConfig,
    seed: int,
) -> float:
    """Return the accuracy where epoch, TTA and threshold of every image were all chosen on the other folds.

    Each fold takes the epoch with the best ``config.metric`` on the other folds, by logits without TTA. TTA is known of
    the run's best epoch alone. Where the fold takes that epoch, it uses TTA unless the other folds are more accurate
    without; with and without, the threshold is the one that suits the other folds.

    The list of epochs is taken as it is, also where patience ended the training. For thirty equal epochs, of which the
    best looks 4.4 points too good, this accuracy is 0.14 points too low. One reason is that the fold's own images have
    a say in where TTA is known; another, that a threshold chosen on four fifths of the images is a little worse.

    Args:
        predictions: Labels, and probabilities of the run's best epoch.
        logits: (epochs, n), without TTA.
        stages: Stage of each epoch.
        best_epoch: The run's best epoch, counted from 1.
        config: Metric, thresholds, folds.
        seed: Of the folds.
    """
    from scipy.special import expit  # slow to import

    labels, correct = predictions.label, 0
    for fitting, judged in crossfit_folds(labels, config.folds, seed):
        values = epoch_values(labels[fitting], logits[:, fitting], config.metric)
        epoch = choose_epoch(values, stages, config.metric)
        if epoch == best_epoch:
            columns = [predictions.probability_tta, predictions.probability]
        else:
            columns = [expit(logits[epoch - 1])]
        accuracies = []
        for column in columns:
            threshold = choose_threshold(labels[fitting], column[fitting], config)
            accuracies.append((accuracy_at(labels[fitting], column[fitting], threshold), column, threshold))
        _, column, threshold = max(accuracies, key=lambda choice: choice[0])
        correct += int(((column[judged] >= threshold) == (labels[judged] == 1)).sum())
    return correct / len(labels)


def choose_epoch(values: NDArray[np.float64], stages: Sequence[float], metric: str) -> int:
    """Return the epoch, counted from 1, that a training keeps.

    It is the first of the best epochs in its stage, and stage 2's where both stages are equal. An epoch with NaN is
    chosen only if all are NaN.
    """
    scores = np.nan_to_num(np.round(as_score(values, best_direction(metric)), DIGITS), nan=-np.inf)
    order = np.argsort(-np.asarray(stages), kind="stable")
    return int(order[np.argmax(scores[order])]) + 1


def epoch_values(labels: Labels, logits: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Return a metric of :func:`~mobilenet_chest.evaluation.metrics.epoch_metrics` of each epoch, (epochs,).

    Args:
        labels: uint8 (n,).
        logits: (epochs, n).
        metric: One of ``val_loss``, ``val_accuracy`` and ``val_auc``, or of a plugin; an AUC of images of one class is
            NaN.
    """
    if metric == "val_loss":
        losses: NDArray[np.float64] = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean(axis=1)
        return losses
    if metric == "val_accuracy":
        shares: NDArray[np.float64] = ((logits >= 0) == (labels == 1)).mean(axis=1)
        return shares
    if metric != "val_auc":
        return custom_epochs(metric, labels, np.exp(-np.logaddexp(0, -logits)))
    once = np.ones((1, len(labels)))
    return np.array([auc_statistic(labels, row)(once)[0] for row in logits])


def crossfit_folds(
    labels: Labels, folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:  # fmt: skip
    """Yield for each fold the rows of the other folds, to choose on, and its own rows, to be judged.

    Folds are stratified, unless a class has fewer rows than there are folds.
    """
    yield from _folds(np.asarray(labels, np.uint8).tobytes(), min(folds, len(labels)), seed)


@lru_cache(maxsize=8)
def _folds(labels: bytes, folds: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the folds; kept, because all runs of a study have the same, and a comparison may have hundreds of runs.

    They are those of scikit-learn's shuffled StratifiedKFold and KFold. These are not called: their import takes a
    second of ``compare``, and a later version with other folds would change the metrics of finished runs.
    """
    is_positive = np.frombuffer(labels, np.uint8) == 1
    rows, generator = np.arange(len(is_positive)), np.random.RandomState(seed)
    fold_of, dealt = np.empty_like(rows), rows % folds  # dealt as cards are, to one class after the other
    if min(int(is_positive.sum()), int((~is_positive).sum())) >= folds:
        of_first = is_positive == is_positive[0]
        for members, of_class in zip((of_first, ~of_first), np.split(dealt, [int(of_first.sum())]), strict=True):
            shuffled = np.sort(of_class)
            generator.shuffle(shuffled)
            fold_of[members] = shuffled
    else:
        generator.shuffle(rows)
        fold_of[rows] = np.sort(dealt)
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(folds)]
