"""The metrics of a run by their flat names, whether its names in MLflow have groups or are those of early versions."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from mobilenet_chest.config.metric_groups import epoch_name, flat_name, precedence, result_name
from mobilenet_chest.config.metrics import site_prefixes
from mobilenet_chest.tracking import tags


def metrics_of(run: Run) -> dict[str, float]:
    """Return the metrics of a run: its results, and the last epoch of what has no result yet."""
    stored = run.data.metrics
    metrics = {flat_name(name): stored[name] for name in sorted(stored, key=precedence)}
    return {name: metrics[name] for name in sorted(metrics)}


def sites_of(run: Run) -> dict[str, str]:
    """Return the sites that a run left out in turn, in the order of its folds: name -> prefix of its metrics.

    Only runs with the metrics of their sites have any: a trial that was pruned has not.
    """
    names = json.loads(run.data.tags.get(tags.SITES, "[]"))
    by_name = dict(zip(names, site_prefixes(names), strict=True))
    metrics = metrics_of(run)
    return by_name if all(f"{prefix}_threshold" in metrics for prefix in by_name.values()) else {}


def metric_history(client: MlflowClient, run_id: str, name: str) -> list[Metric]:
    """Return the points of a metric: its epochs in their order, then its result, which is at step 0.

    Early versions logged the result one step after the last epoch. A run of theirs that was resumed has some steps
    under two names; the newer name counts.

    Args:
        client: Of the tracking store.
        run_id: The run.
        name: Flat name.
    """

    def points(stored: str) -> list[Metric]:
        return sorted(client.get_metric_history(run_id, stored), key=lambda point: (point.step, point.timestamp))

    curve = points(epoch_name(name)) if epoch_name(name) != name else []
    results = {point.step: point for point in points(result_name(name))}  # of one step the last counts
    steps = {point.step for point in curve} | results.keys()
    early = [point for point in points(name) if point.step not in steps]
    return [*sorted([*early, *curve], key=lambda point: point.step), *results.values()]
