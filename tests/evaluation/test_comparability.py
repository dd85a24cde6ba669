"""Whether images are as before, of another prevalence, or others; simulations of both errors are marked slow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mobilenet_chest.evaluation import comparability
from mobilenet_chest.evaluation.comparability import (
    Rows,
    compare_kinds,
    distance_p,
    thin,
)
from mobilenet_chest.evaluation.predictions import Labels

FEATURES = 12


def drawn(ones: int, zeros: int, seed: int, shift: float = 0.0) -> tuple[Rows, Labels]:
    """Normal features, the first of which tells the classes apart; ``shift`` moves one that has no part in it."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat([1, 0], [ones, zeros])).astype(np.uint8)
    features = generator.standard_normal((len(labels), FEATURES)).astype(np.float32)
    features[:, 0] += 2.5 * labels
    features[:, 1] += shift
    logits = 2.0 * (2.5 * features[:, 0].astype(np.float64) - 3.1)
    return Rows(1 / (1 + np.exp(-logits)), features), labels


@pytest.fixture(scope="module")
def validation() -> tuple[Rows, Labels]:
    return drawn(150, 60, 0)


def test_the_three_verdicts(validation: tuple[Rows, Labels]) -> None:
    as_before = compare_kinds(*validation, 0.5, drawn(72, 28, 1)[0])
    assert as_before.verdict == "as before"
    fewer = compare_kinds(*validation, 0.5, drawn(25, 75, 2)[0])
    assert fewer.verdict == "prevalence alone may differ"
    for estimate in (fewer.bbse, fewer.em):
        assert estimate.share is not None
        assert estimate.share.low < 0.25 < estimate.share.high
        assert 0.05 < estimate.share.high - estimate.share.low < 0.3
    others = compare_kinds(*validation, 0.5, drawn(72, 28, 3, shift=2.0)[0])
    assert others.verdict == "other images"
    assert others.bbse.share is None
    assert others.em.share is None
    assert "features" in str(others.em.refusal)
    # the shift moves no probability: only the features show it
    assert others.prevalence_alone["probabilities"].value > 0.05


def test_without_features_the_probabilities_are_tested(validation: tuple[Rows, Labels]) -> None:
    rows, labels = validation
    found = compare_kinds(Rows(rows.probability, None), labels, 0.5, Rows(np.full(80, 0.5) + np.arange(80) / 1e4, None))
    assert list(found.as_before) == ["probabilities"]
    assert found.verdict == "other images"


def test_distances_are_those_of_kolmogorov_and_smirnov(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparability, "PERMUTATIONS", 4000)
    generator = np.random.default_rng(4)
    first, second = generator.random(60), generator.random(45) ** 1.3
    p = distance_p(first, second, generator)
    assert p.low < ks_2samp(first, second).pvalue < p.high


def test_thinned_rows_have_the_share(validation: tuple[Rows, Labels]) -> None:
    _, labels = validation
    for share, size in ((0.0, 60), (0.25, 80), (0.9, 167), (1.0, 150)):
        rows = thin(labels, share, np.random.default_rng(0))
        assert len(set(rows.tolist())) == len(rows)
        assert len(rows) == pytest.approx(size, abs=1)
        assert labels[rows].mean() == pytest.approx(share, abs=0.01)


@pytest.mark.slow
def test_errors_of_both_kinds_and_coverage() -> None:
    """Of 60 draws each: false alarms at most as often as said, and intervals that hold the share."""
    alarms, refused, held = 0, 0, 0
    for seed in range(60):
        rows, labels = drawn(150, 60, 1000 + seed)
        alarms += compare_kinds(rows, labels, 0.5, drawn(71, 29, 2000 + seed)[0], seed).verdict != "as before"
        fewer = compare_kinds(rows, labels, 0.5, drawn(30, 70, 3000 + seed)[0], seed)
        refused += fewer.verdict == "other images"
        held += fewer.em.share is not None and fewer.em.share.low <= 0.3 <= fewer.em.share.high
    # each bound is exceeded once in 1,000 by rates of 5%
    assert alarms <= 9
    assert refused <= 9
    assert held >= 60 - refused - 9
