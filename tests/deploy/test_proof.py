"""The proof of an exported file: how far it is from its run."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.deploy.proof import prove
from mobilenet_chest.evaluation.delong import auc_difference
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions


@pytest.fixture
def run() -> RunPredictions:
    generator = np.random.default_rng(5)
    labels = np.repeat([0, 1], 40).astype(np.uint8)
    probability = np.clip(labels * 0.3 + generator.uniform(0.05, 0.6, 80), 0, 1)
    return RunPredictions(
        Predictions(np.arange(80), labels, probability, probability), {"threshold": 0.4}, EvaluationConfig(), 1
    )


def test_the_same_probabilities_pass(run: RunPredictions) -> None:
    proof = prove(run, run.predictions.probability_tta.copy())
    assert proof.passed
    assert (proof.images, proof.largest, proof.mean, proof.changed_labels) == (80, 0.0, 0.0, 0)
    assert vars(proof.auc) == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_other_probabilities_are_counted(run: RunPredictions) -> None:
    stored = run.predictions.probability_tta
    changed = stored.copy()
    above = int(np.argmin(np.where(stored >= 0.4, stored, 2)))
    changed[above] = 0.39
    proof = prove(run, changed)
    assert not proof.passed
    assert proof.largest == pytest.approx(stored[above] - 0.39)
    assert proof.mean == pytest.approx((stored[above] - 0.39) / 80)
    assert proof.changed_labels == 1
    assert proof.auc == auc_difference(run.predictions.label, changed, stored)
    assert prove(run, changed, tolerance=0.5).passed


def test_what_is_no_number_does_not_pass(run: RunPredictions) -> None:
    changed = run.predictions.probability_tta.copy()
    changed[3] = np.nan
    with pytest.raises(Exception, match="finite|NaN|nan"):
        assert not prove(run, changed).passed
