"""The processor: free cores, and who says how many threads compute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest
import torch

from mobilenet_chest import processor
from mobilenet_chest.training.progress import Progress


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Four cores, of which this process may use the first, second and fourth; what they are busy with, by sample."""
    samples: list[list[float]] = []
    monkeypatch.setattr(processor.os, "sched_getaffinity", lambda _: {0, 1, 3}, raising=False)
    monkeypatch.setattr(processor, "psutil", SimpleNamespace(cpu_percent=lambda *_, **__: samples.pop(0)))
    monkeypatch.setattr(processor, "_own_seconds", dict)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return samples


def test_only_allowed_cores_count(four_cores: list[list[float]]) -> None:
    four_cores += [[100.0, 50.0, 100.0, 10.0]] * processor.SAMPLES
    assert processor.cores() == 3
    assert processor.busy_cores() == pytest.approx(1.6)


def test_a_burst_is_no_neighbour(four_cores: list[list[float]]) -> None:
    four_cores += [[100.0, 100.0, 0.0, 100.0], [0.0, 20.0, 100.0, 0.0], [100.0] * 4]
    assert processor.busy_cores() == pytest.approx(0.2)
    assert len(four_cores) == 1  # an idle machine is measured no longer than needed


@pytest.mark.parametrize(
    ("busy", "processes", "threads"),
    [(0.0, 1, 3), (0.4, 1, 3), (1.0, 1, 2), (1.6, 1, 1), (3.0, 1, 1), (0.0, 2, 1), (0.0, 5, 1)],
)
def test_threads_share_what_is_free(four_cores: list[list[float]], busy: float, processes: int, threads: int) -> None:
    assert processor.free_threads(processes, busy) == threads


@pytest.mark.parametrize(("given", "threads"), [("7", 7), ("0", 3), ("many", 3), ("", 3)])
def test_the_users_number_of_threads(
    four_cores: list[list[float]], monkeypatch: pytest.MonkeyPatch, given: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert processor.free_threads(busy=0.0) == threads


def test_a_resumed_training_keeps_its_threads() -> None:
    progress, before = Progress(), torch.get_num_threads()
    with progress.same_threads():
        assert progress.threads == torch.get_num_threads() == before
    again = Progress.from_state(progress.state() | {"threads": before + 1})
    with again.same_threads():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


BUSY = [sys.executable, "-c", "while True: pass"]


@pytest.fixture
def neighbour() -> Iterator[None]:
    """A process that keeps a core busy, started by one that has ended."""
    starts = f"import subprocess; print(subprocess.Popen({BUSY!r}, stdout=subprocess.DEVNULL).pid)"
    process = int(subprocess.check_output([sys.executable, "-c", starts]))
    try:
        time.sleep(0.5)
        yield
    finally:
        os.kill(process, signal.SIGKILL)


def test_a_busy_process_is_seen(neighbour: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "SAMPLE_SECONDS", 0.25)  # the tests have less
    assert processor.busy_cores() > 0.5


def test_the_time_of_what_this_process_has_started_is_its_own() -> None:
    child = subprocess.Popen(BUSY)
    try:
        deadline = time.monotonic() + 60
        while processor._own_seconds()[psutil.Process(child.pid)] < 0.5:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        child.kill()
        child.wait()
    assert {process.pid for process in processor._own_seconds()} >= {os.getpid()}
    assert child.pid not in {process.pid for process in processor._own_seconds()}


@pytest.mark.parametrize(
    ("before", "after", "busy"),
    [
        ({"this": 10.0}, {"this": 11.5}, 0.1),
        ({"this": 10.0}, {"this": 10.5, "begun meanwhile": 1.0}, 0.1),
        ({"this": 10.0, "ended meanwhile": 50.0}, {"this": 11.5}, 0.1),
        ({"this": 10.0}, {"this": 19.0}, 0.0),
    ],
)
def test_the_share_of_this_process_is_left_out(
    four_cores: list[list[float]],
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, float],
    after: dict[str, float],
    busy: float,
) -> None:
    four_cores += [[100.0, 50.0, 100.0, 10.0]]
    monkeypatch.setattr(processor, "_own_seconds", iter([before, after]).__next__)
    monkeypatch.setattr(processor, "time", SimpleNamespace(monotonic=iter([3.0, 4.0]).__next__))
    assert processor.busy_cores() == pytest.approx(busy)
