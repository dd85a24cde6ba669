"""Choosing the decision threshold, and what its choice really gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.predictions import Labels, Probabilities


def accuracy_at(labels: Labels, probabilities: Probabilities, threshold: float) -> float:
    """Share of rows where ``probability >= threshold`` agrees with the label."""
    return float(((probabilities >= threshold) == (labels == 1)).mean())


def threshold_grid(low: float, high: float, step: float) -> NDArray[np.float64]:
    """``low``, ``low + step``, … up to ``high`` inclusive, free of the drift of repeated addition."""
    count = int(np.floor((high - low) / step + 1e-9)) + 1
    return np.round(low + step * np.arange(count), 10)


def choose_threshold(labels: Labels, probabilities: Probabilities, config: EvaluationConfig) -> float:
    """The grid's threshold with the highest accuracy; among ties, the middle of the widest run of neighbours.

    The middle of a wide plateau is the choice that the next sample is least likely to upset. Of two equally wide
    runs the one nearer to 0.5 is taken; of an even number, the lower of the two middles.
    """
    grid = threshold_grid(config.threshold_low, config.threshold_high, config.threshold_step)
    correct = ((probabilities >= grid[:, None]) == (labels == 1)).sum(axis=1)
    best = np.flatnonzero(correct == correct.max())
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    middles = [(len(run), -abs(grid[run[(len(run) - 1) // 2]] - 0.5), run[(len(run) - 1) // 2]) for run in runs]
    return float(grid[max(middles)[2]])
