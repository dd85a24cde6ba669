"""Metrics of each site, by the model that was trained without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mobilenet_chest.config import EvaluationConfig
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.evaluation.thresholds import choose_threshold


def site_metrics(predictions: Predictions, prefixes: Sequence[str], config: EvaluationConfig) -> dict[str, float]:
    """Return the metrics of each site, and the threshold that they are at: the one that the other sites choose.

    Args:
        predictions: Of all sites; ``fold`` is the number of the site.
        prefixes: What the names of each site's metrics begin with: ``site-B`` for ``site-B_auc``.
        config: Grid of thresholds.
    """
    metrics = dict[str, float]()
    for number, prefix in enumerate(prefixes):
        here = np.asarray(predictions.fold == number)
        threshold = choose_threshold(predictions.label[~here], predictions.probability_tta[~here], config)
        metrics |= split_metrics(prefix, of_site(predictions, number), threshold) | {f"{prefix}_threshold": threshold}
    return metrics


def site_intervals(
    scored: RunPredictions, prefixes: Sequence[str], metrics: Mapping[str, float]
) -> dict[str, Interval]:
    """Return 95% intervals of metrics of the sites, by their names.

    Args:
        scored: The run's predictions of all sites.
        prefixes: As for :func:`site_metrics`.
        metrics: Those to give intervals of, such as ``site-B_auc``.
    """
    intervals = dict[str, Interval]()
    for number, prefix in enumerate(prefixes):
        predictions, threshold = of_site(scored.predictions, number), scored.metrics[f"{prefix}_threshold"]
        site = RunPredictions(predictions, {"threshold": threshold}, scored.config, scored.seed)
        intervals |= metric_intervals(prefix, metrics, site)
    return intervals


def of_site(predictions: Predictions, number: int) -> Predictions:
    """Return the predictions of one site, without the column ``fold``."""
    here = np.asarray(predictions.fold == number)
    return Predictions(**{name: column[here] for name, column in predictions.columns().items() if name != "fold"})
