"""The decision threshold: the grid it is chosen from, and the choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.predictions import Labels, Probabilities


def accuracy_at(labels: Labels, probabilities: Probabilities, threshold: float) -> float:
    """Return the share of images where ``probability >= threshold`` agrees with the label."""
    return float(((probabilities >= threshold) == (labels == 1)).mean())


def threshold_grid(low: float, high: float, step: float) -> NDArray[np.float64]:
    """Return ``low``, ``low + step``, … up to and including ``high``, free of the drift of repeated addition."""
    count = int(np.floor((high - low) / step + 1e-9)) + 1
    return np.round(low + step * np.arange(count), 10)


def choose_threshold(labels: Labels, probabilities: Probabilities, config: EvaluationConfig) -> float:
    """Return the threshold of the grid with the highest accuracy; of several, the middle of the widest plateau.

    Of two equally wide plateaus the one nearer to 0.5 counts; of an even number of thresholds, the lower middle one.

    Args:
        labels: uint8 (n,).
        probabilities: float64 (n,), of class 1.
        config: Ends and step of the grid.
    """
    grid = threshold_grid(config.threshold_low, config.threshold_high, config.threshold_step)
    correct = ((probabilities >= grid[:, None]) == (labels == 1)).sum(axis=1)
    best = np.flatnonzero(correct == correct.max())
    # another sample is least likely to upset the middle of a wide plateau
    plateaus = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    middles = [plateau[(len(plateau) - 1) // 2] for plateau in plateaus]
    ranked = [
        (len(plateau), -abs(grid[middle] - 0.5), middle) for plateau, middle in zip(plateaus, middles, strict=True)
    ]
    return float(grid[max(ranked)[2]])
