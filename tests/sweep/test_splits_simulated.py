"""What the choice of rows does to a search: simulated studies, without training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

ROWS, VALIDATION, TRIALS, SHARED = 2611, 305, 20, 0.5
"""Train and val of ChestMNIST's two classes; ``SHARED`` of what makes an image hard is the same for all networks."""


def studies(count: int, spread: float, seed: int = 0) -> dict[str, tuple[float, float]]:
    """For each ``study.resampling``: by how much the chosen trial's true accuracy is below the best one's, and by how
    much its value is above its true accuracy, both in points and in the mean of the studies.

    Args:
        count: Studies.
        spread: Standard deviation of the trials' true accuracies, whose mean is 0.89.
        seed: Of all chance.
    """
    random = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float]]] = {"holdout": [], "reshuffle": [], "kfold": []}
    for _ in range(count):
        true = np.clip(random.normal(0.89, spread, TRIALS), 0, 0.999)
        hard = np.sqrt(SHARED) * random.normal(size=ROWS)
        right = hard + np.sqrt(1 - SHARED) * random.normal(size=(TRIALS, ROWS)) < norm.ppf(true)[:, None]
        values = {
            "holdout": right[:, random.permutation(ROWS)[:VALIDATION]].mean(axis=1),
            "reshuffle": np.array([random.permutation(of_trial)[:VALIDATION].mean() for of_trial in right]),
            "kfold": right.mean(axis=1),
        }
        for how, value in values.items():
            chosen = int(value.argmax())
            found[how].append((true.max() - true[chosen], value[chosen] - true[chosen]))
    behind_and_claimed = {how: 100 * np.mean(pairs, axis=0) for how, pairs in found.items()}
    return {how: (float(behind), float(claimed)) for how, (behind, claimed) in behind_and_claimed.items()}


@pytest.mark.slow
def test_one_split_for_all_is_a_fairer_race_than_a_split_for_each_and_folds_fairer_still() -> None:
    found = studies(300, spread=0.01)
    behind, claimed = ({how: pair[place] for how, pair in found.items()} for place in (0, 1))
    assert behind["kfold"] < 0.5 * behind["holdout"]
    assert behind["holdout"] < behind["reshuffle"]
    assert claimed["kfold"] < 0.5 * claimed["holdout"]
    assert claimed["holdout"] < claimed["reshuffle"]


@pytest.mark.slow
def test_of_equal_trials_the_value_of_the_best_is_too_good_by_what_the_rows_differ() -> None:
    found = studies(300, spread=0.0)
    assert {how: behind for how, (behind, _) in found.items()} == {"holdout": 0, "reshuffle": 0, "kfold": 0}
    # the largest of 20 normal deviates is at 1.87 standard deviations
    alone = 187 * np.sqrt(0.89 * 0.11 / VALIDATION)
    assert found["reshuffle"][1] == pytest.approx(alone, abs=0.25)
    assert found["kfold"][1] < found["holdout"][1] < found["reshuffle"][1]
