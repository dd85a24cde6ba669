"""What several workers have counted is read as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import values

from mobilenet_chest.deploy.serving.batcher import BatchTimes
from mobilenet_chest.deploy.serving.live_model import Answer
from mobilenet_chest.deploy.serving.meters import Meters


@pytest.fixture(autouse=True)
def _one_process_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")


def worker(folder: Path, number: int) -> Meters:
    meters = Meters(folder, number)
    meters.count_batch(
        BatchTimes(2, (0.0015, 0.0015), 0.015), [Answer(0.9, 1, "ill", "3"), Answer(0.1, 0, "well", "3")]
    )
    meters.requests.labels("/predict", "200").inc()
    meters.waiting.set(number + 1)
    return meters


def test_each_worker_reads_the_sums_and_one_in_the_place_of_another_goes_on(tmp_path: Path) -> None:
    first, second = worker(tmp_path, 0), worker(tmp_path, 1)
    for meters in (first, second):
        totals = meters.totals()
        assert (totals.requests, totals.images) == (2.0, 4.0)
        assert totals.stages["wait"][0.002] == 4.0
        page = meters.page()[0]
        assert b"mobilenet_chest_waiting_images 3.0" in page
        assert b'mobilenet_chest_probability_count{version="3"} 4.0' in page
    third = worker(tmp_path, 0)
    assert third.totals().requests == second.totals().requests == 3.0
    assert b"mobilenet_chest_waiting_images 3.0" in third.page()[0]
