"""Choosing a threshold, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.thresholds import accuracy_at, choose_threshold, threshold_grid

COARSE = EvaluationConfig(threshold_low=0.3, threshold_high=0.7, threshold_step=0.1)


def arrays(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in pairs], np.uint8), np.array([p for _, p in pairs], np.float64)


def test_the_grid_of_the_report() -> None:
    config = EvaluationConfig()
    grid = threshold_grid(config.threshold_low, config.threshold_high, config.threshold_step)
    assert grid.tolist() == [round(0.30 + 0.01 * i, 2) for i in range(41)]
    assert (len(grid), grid[0], grid[-1]) == (41, 0.30, 0.70)


@pytest.mark.parametrize(
    ("low", "high", "step", "expected"),
    [
        (0.3, 0.7, 0.1, [0.3, 0.4, 0.5, 0.6, 0.7]),
        (0.3, 0.7, 0.3, [0.3, 0.6]),
        (0.5, 0.5, 0.01, [0.5]),
        (0.1, 0.2, 0.5, [0.1]),
    ],
)
def test_other_grids(low: float, high: float, step: float, expected: list[float]) -> None:
    assert threshold_grid(low, high, step).tolist() == expected


def test_accuracy_at_a_threshold_counts_equality_as_class_1() -> None:
    labels, probabilities = arrays([(0, 0.4), (1, 0.5), (0, 0.5), (1, 0.6)])
    assert accuracy_at(labels, probabilities, 0.5) == 0.75
    assert accuracy_at(labels, probabilities, 0.51) == 0.75
    assert accuracy_at(labels, probabilities, 0.61) == 0.5


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # .30 to .70 are all perfect: the middle
        ([(0, 0.2), (1, 0.8)], 0.5),
        # .40, .50, .60, .70 are: the lower of the two middles
        ([(0, 0.35), (1, 0.8)], 0.5),
        # only .60
        ([(0, 0.55), (1, 0.65)], 0.6),
        # .30 and .40 are a run of two, .70 of one: the wider
        ([(0, 0.2), (0, 0.6), (1, 0.4), (1, 0.9)], 0.3),
        # .40 and .70, one each: the nearer to .50
        ([(0, 0.35), (1, 0.45), (0, 0.65), (1, 0.9)], 0.4),
        # .30 and .60, one each: the nearer to .50
        ([(1, 0.35), (0, 0.55), (1, 0.65), (0, 0.1)], 0.6),
    ],
)
def test_ties(pairs: list[tuple[int, float]], expected: float) -> None:
    assert choose_threshold(*arrays(pairs), COARSE) == expected


def test_the_best_of_the_grid_by_search() -> None:
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 2, 300).astype(np.uint8)
    probabilities = np.clip(0.2 + 0.4 * labels + generator.normal(0, 0.2, 300), 0, 1)
    chosen = choose_threshold(labels, probabilities, EvaluationConfig())
    best = max(accuracy_at(labels, probabilities, round(0.30 + 0.01 * i, 2)) for i in range(41))
    assert accuracy_at(labels, probabilities, chosen) == best
