"""Metrics by their flat names, of runs with groups, of early versions, and of runs that have both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

import mobilenet_chest
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.store import connect

Point = tuple[str, float, int]

EARLY: list[Point] = [("val_auc", 0.5, 1), ("val_auc", 0.6, 2), ("lr", 0.1, 1), ("lr", 0.2, 2)]
GROUPED: list[Point] = [("val/auc", 0.51, 1), ("val/auc", 0.61, 2), ("val/auc", 0.7, 3), ("train/lr", 0.3, 3)]
ENDED: list[Point] = [("final/val_auc", 0.69, 0), ("cost/parameters", 7.0, 0), ("test/auc", 0.6, 0)]


@pytest.fixture
def client(tracking: Path) -> MlflowClient:
    return connect()


def made(client: MlflowClient, points: list[Point]) -> str:
    """A run that such metrics were logged to, one after the other."""
    run_id = str(client.create_run("0").info.run_id)
    for when, (name, value, step) in enumerate(points):
        client.log_metric(run_id, name, value, timestamp=1764000000000 + when, step=step)
    return run_id


@pytest.mark.parametrize(
    ("points", "metrics"),
    [
        (EARLY, {"val_auc": 0.6, "lr": 0.2}),
        (GROUPED, {"val_auc": 0.7, "lr": 0.3}),
        ([*EARLY, *GROUPED], {"val_auc": 0.7, "lr": 0.3}),
        ([*GROUPED, *ENDED], {"val_auc": 0.69, "lr": 0.3, "parameters": 7, "test_auc": 0.6}),
        ([*EARLY, ("val_auc", 0.6, 3), ("test_auc", 0.5, 0)], {"val_auc": 0.6, "lr": 0.2, "test_auc": 0.5}),
        ([*EARLY, *ENDED], {"val_auc": 0.69, "lr": 0.2, "parameters": 7, "test_auc": 0.6}),
    ],
)
def test_metrics_of_a_run(client: MlflowClient, points: list[Point], metrics: dict[str, float]) -> None:
    found = metrics_of(client.get_run(made(client, points)))
    assert found == metrics
    assert list(found) == sorted(metrics)


@pytest.mark.parametrize(
    ("points", "history"),
    [
        (EARLY, [(1, 0.5), (2, 0.6)]),
        ([*EARLY, ("val_auc", 0.6, 3)], [(1, 0.5), (2, 0.6), (3, 0.6)]),
        ([*GROUPED, *ENDED], [(1, 0.51), (2, 0.61), (3, 0.7), (0, 0.69)]),
        ([*EARLY, *GROUPED, *ENDED], [(1, 0.51), (2, 0.61), (3, 0.7), (0, 0.69)]),
        ([*EARLY, *GROUPED[2:]], [(1, 0.5), (2, 0.6), (3, 0.7)]),
        ([*ENDED, ("final/val_auc", 0.5, 0)], [(0, 0.5)]),
        ([("val/auc", 0.5, 1), ("val/auc", 0.6, 1)], [(1, 0.5), (1, 0.6)]),
        ([("final/val_auc", 0.4, 2), ("final/val_auc", 0.5, 1)], [(1, 0.5), (2, 0.4)]),
        (ENDED[1:], []),
    ],
)
def test_a_history_joins_what_one_metric_was_called(
    client: MlflowClient, points: list[Point], history: list[tuple[int, float]]
) -> None:
    found = metric_history(client, made(client, points), "val_auc")
    assert [(point.step, point.value) for point in found] == history


def test_a_metric_of_the_system_has_one_name(client: MlflowClient) -> None:
    run_id = made(client, [("system/cpu", 1.0, 0), ("system/cpu", 2.0, 1)])
    assert [point.value for point in metric_history(client, run_id, "system/cpu")] == [1, 2]
    assert metrics_of(client.get_run(run_id)) == {"system/cpu": 2}


def test_nothing_else_reads_the_metrics_that_mlflow_has() -> None:
    """Their names depend on the version that made the run."""
    package = Path(mobilenet_chest.__file__).parent
    readers = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"\.data\.metrics\b|get_metric_history|\bsearch_runs\(.*metrics", file.read_text(encoding="utf-8"))
    }
    assert readers == {"tracking/run_metrics.py", "tracking/tracker.py", "tracking/view.py"}
