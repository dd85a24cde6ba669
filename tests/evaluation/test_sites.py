"""Metrics of sites that were left out."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.sites import of_site, site_intervals, site_metrics
from mobilenet_chest.evaluation.thresholds import choose_threshold


def test_a_site_has_its_auc_and_the_threshold_of_the_others() -> None:
    generator = np.random.default_rng(3)
    labels = (np.arange(90) % 2).astype(np.uint8)
    plain, tta = (1 / (1 + np.exp(-generator.normal(1.5 * labels, 1.0))) for _ in range(2))
    fold = np.repeat([0, 1, 0], 30)
    predictions, config = Predictions(np.arange(90), labels, plain, tta, fold=fold), EvaluationConfig()
    prefixes = ("site-A", "site-B")
    metrics = site_metrics(predictions, prefixes, config)
    here = fold == 1
    assert of_site(predictions, 1).row.tolist() == list(range(30, 60))
    assert metrics["site-B_auc"] == auc(labels[here], plain[here])
    threshold = choose_threshold(labels[~here], tta[~here], config)
    assert metrics["site-B_threshold"] == threshold
    assert metrics["site-B_sensitivity"] == np.mean(tta[here & (labels == 1)] >= threshold)
    scored = RunPredictions(predictions, metrics, config, 0)
    intervals = site_intervals(scored, prefixes, {name: metrics[name] for name in ("site-A_auc", "site-B_specificity")})
    assert {name: each.value for name, each in intervals.items()} == pytest.approx(
        {name: metrics[name] for name in ("site-A_auc", "site-B_specificity")}
    )
    assert all(each.low < each.value < each.high for each in intervals.values())
