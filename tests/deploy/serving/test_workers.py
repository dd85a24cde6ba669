"""Workers behind one port: nothing is lost at a promotion and a stop, and what dies is replaced and was counted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import requests
from helpers.brightness import BRIGHT, flat
from helpers.browsers import until
from helpers.load import SECONDS, Clients
from helpers.pictures import encoded
from helpers.served import served
from mlflow import MlflowClient

from mobilenet_chest.deploy.answer_log import read
from mobilenet_chest.deploy.identities import Identities

FILM = encoded(flat(BRIGHT)[0])


def workers_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def counted(port: int) -> float:
    """Return how many predictions all workers have counted."""
    page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS).text
    name = 'mobilenet_chest_requests_total{path="/predict",status="200"} '
    return sum(float(line.removeprefix(name)) for line in page.splitlines() if line.startswith(name))


def is_ready(port: int) -> bool:
    return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=SECONDS).ok


@pytest.mark.slow
def test_a_promotion_a_dead_worker_and_a_stop_under_load(versions: MlflowClient) -> None:
    with served("gray@champion", "--workers", "2", "--log-dir", "logs") as (process, port):
        before = workers_of(process.pid)
        assert len(before) == 2
        clients = Clients(port, FILM)
        with clients.busy(6):
            until(lambda: clients.statuses[200] > 100, 3 * SECONDS, "answers")
            versions.set_registered_model_alias("gray", "champion", "2")
            until(lambda: _only(port, "2"), SECONDS, "version 2 of all workers")
            assert clients.lost == []
            os.kill(before[0], signal.SIGKILL)
            until(lambda: len({*workers_of(process.pid)} - {*before}) == 1 and is_ready(port), SECONDS, "another")
            lost = len(clients.lost)
            assert lost <= 6  # what it had in hand
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=SECONDS) == 0, Path("log").read_text()
    assert "worker" in Path("log").read_text()
    assert len(clients.lost) == lost
    assert set(clients.statuses) == {200}
    assert {path.suffix for path in Path("logs/gray").iterdir()} == {".parquet"}
    hashes = read("gray", None, Path("logs"))["request"]
    assert len(clients.requests) == clients.statuses[200]
    identities = Identities(Path("logs"))
    assert {identities.request(name) for name in clients.requests} <= {*hashes}


@pytest.mark.slow
def test_counts_outlive_their_worker_and_workers_end_without_the_one_that_watches(versions: MlflowClient) -> None:
    with served("gray@champion", "--workers", "2") as (process, port):
        for _ in range(20):
            requests.post(f"http://127.0.0.1:{port}/predict", data=FILM, timeout=SECONDS)
        assert counted(port) == 20
        workers = workers_of(process.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len({*workers_of(process.pid)} - {*workers}) == 2, SECONDS, "others")
        until(lambda: is_ready(port), SECONDS, "readyz")
        assert counted(port) == 20
        left = workers_of(process.pid)
        process.kill()
        until(lambda: not any(psutil.pid_exists(pid) for pid in left), SECONDS, "the end of the workers")


def _only(port: int, version: str) -> bool:
    """Return whether ten requests over new connections were all answered by a version."""
    answers = [requests.post(f"http://127.0.0.1:{port}/predict", data=FILM, timeout=SECONDS) for _ in range(10)]
    return {answer.headers["Model-Version"] for answer in answers} == {version}
