"""A server's hours in MLflow: what was counted since the last one, and a store that is away."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mobilenet_chest.deploy.serving.batcher import BatchTimes
from mobilenet_chest.deploy.serving.hourly import EXPERIMENT, HourlyLog, hour_metrics
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.deploy.serving.meters import SECONDS, Meters, Totals


def counted(meters: Meters) -> None:
    """Count a batch of two images, and three requests."""
    answers = [Answer(0.9, 1, "ill", "3"), Answer(0.1, 0, "well", "3")]
    meters.count_batch(BatchTimes(2, (0.0015, 0.0015), 0.015), answers)
    for path, status in (("/predict", "200"), ("/predict", "429"), ("/invocations", "500"), ("/metrics", "200")):
        meters.requests.labels(path, status).inc()
        meters.seconds.labels(path).observe(0.03)


def test_an_hours_metrics_are_what_came_since_the_last() -> None:
    meters = Meters()
    counted(meters)
    before = meters.totals()
    assert (before.requests, before.refused, before.failed, before.images) == (3.0, 1.0, 1.0, 2.0)
    counted(meters)
    metrics = hour_metrics(before, meters.totals(), 4.0)
    assert metrics["serving/images_per_second"] == 0.5
    assert metrics["serving/requests_per_second"] == 0.75
    assert (metrics["serving/refused_requests"], metrics["serving/failed_requests"]) == (1.0, 1.0)
    assert metrics["serving/wait_p50_ms"] == pytest.approx(1.5)  # in the middle of 1 to 2
    assert 10 < metrics["serving/compute_p95_ms"] <= 20
    assert 20 < metrics["serving/request_p99_ms"] <= 50
    assert "serving/decode_p50_ms" not in metrics  # nothing was decoded


def test_a_time_beyond_the_last_bucket_is_its_end() -> None:
    counts = dict.fromkeys([*SECONDS, math.inf], 0.0) | {math.inf: 1.0}
    none = Totals(0, 0, 0, 0, {})
    metrics = hour_metrics(none, Totals(1, 0, 0, 1, {"decode": counts}), 1.0)
    assert metrics["serving/decode_p50_ms"] == 1000 * SECONDS[-1]


def test_a_run_for_a_server(tracking: Path) -> None:
    meters, client = Meters(), MlflowClient()
    log = HourlyLog(meters, "films", lambda: "3", lambda: client)
    log.close()
    assert client.get_experiment_by_name(EXPERIMENT) is None  # a server that stops within the hour leaves no run
    counted(meters)
    assert log.log()
    assert log.log()
    log.close()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert {run.data.tags[name] for name in ("kind", "served_model", "served_version")} == {"serving", "films", "3"}
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "serving/refused_requests")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.0), (1, 0.0)]


def test_the_process_in_the_place_of_a_dead_one_goes_on_with_its_hour_and_run(tracking: Path) -> None:
    meters, client = Meters(), MlflowClient()
    for _ in range(2):
        log = HourlyLog(meters, "films", lambda: "3", lambda: client, tracking / "hourly.json")
        counted(meters)
        assert log.log()
    counted(meters)
    last = HourlyLog(meters, "films", lambda: "3", lambda: client, tracking / "hourly.json")
    assert last.log()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "serving/refused_requests")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert client.get_metric_history(run.info.run_id, "serving/wait_p50_ms")[2].value == pytest.approx(1.5)


def test_a_store_that_is_away_loses_nothing(tracking: Path) -> None:
    meters, client = Meters(), MlflowClient()
    away = [True]

    def connect() -> MlflowClient:
        if away[0]:
            raise MlflowException("away")
        return client

    log = HourlyLog(meters, "films", lambda: "3", connect)
    counted(meters)
    assert not log.log()
    counted(meters)
    away[0] = False
    assert log.log()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["serving/refused_requests"] == 2.0
