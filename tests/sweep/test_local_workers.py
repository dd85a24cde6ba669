"""Worker processes of one machine: which GPU each is given, and that they log as their driver does."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from helpers import forked

from mobilenet_chest import interrupts, logs
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import local_workers
from mobilenet_chest.sweep.local_workers import VISIBLE, Job, assign_gpus, run_workers
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.supervisor import Forecast

Make = Callable[..., Config]
SEARCH = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.mark.parametrize(
    ("listed", "workers", "dealt"),
    [
        ("3,5", 3, ["3", "5", "3"]),
        (" 3 , 5 ", 1, ["3"]),
        ("GPU-8932f937-d72c,MIG-41b3359c-e721", 2, ["GPU-8932f937-d72c", "MIG-41b3359c-e721"]),
        ("2,-1,0", 2, ["2", "2"]),
        ("-1", 2, [None, None]),
        ("", 2, [None, None]),
    ],
)
def test_gpus_are_dealt_out_in_turn(
    listed: str, workers: int, dealt: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, listed)
    assert assign_gpus("auto", workers) == dealt
    assert assign_gpus("cuda", workers) == dealt
    assert assign_gpus("cpu", workers) == [None] * workers
    assert assign_gpus("cuda:1", workers) == [None] * workers


def test_all_gpus_of_the_machine_are_dealt_out_where_no_variable_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv(VISIBLE, raising=False)
    count = torch.cuda.device_count()
    assert assign_gpus("auto", 3) == [str(worker % count) if count else None for worker in range(3)]


def visible_to(pid: int | None) -> str | None:
    try:
        return psutil.Process(pid).environ().get(VISIBLE)
    except psutil.NoSuchProcess:  # or a zombie, which has no environment any more
        return None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(psutil.Process, "environ"), reason="no environment of other processes here")
def test_a_worker_has_its_gpu_from_its_first_moment_and_its_replacement_the_same(
    tracking: Path, tiny_search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "3,5")
    config = tiny_search(SEARCH, {"device": "auto"})
    url = f"sqlite:///{tracking / 'optuna.db'}"
    open_or_create(config, url)
    seen: dict[int, str] = {}
    killed: list[int] = []

    def look() -> Forecast:
        for child in multiprocessing.active_children():
            # a process that has only been forked shows the environment of its parent's start
            gpu = visible_to(child.pid) if child.name.startswith("worker-") else None
            if child.pid is None or gpu is None:
                continue
            seen[child.pid] = gpu
            if gpu == "5" and not killed:
                child.kill()
                killed.append(child.pid)
        return Forecast(claimable=len(seen) < 3 and bool(killed), running=len(seen) < 3, begins=True, trials=0)

    # its time is up before it begins: a worker opens the study, and ends
    job = Job(config, url, parent_run="none", deadline=0.0, threads=1)
    run_workers(job, 2, look, on_death=lambda: killed.append(0))
    assert sorted(seen.values()) == ["3", "5", "5"]
    assert killed[1:] == [0]
    assert os.environ[VISIBLE] == "3,5"


# --- the log -------------------------------------------------------------------------------------------------------


@pytest.fixture
def package_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The package's logger as a Python caller finds it: without handler and level."""
    logger = logging.getLogger(logs.LOGGER)
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    level = logger.level
    logger.setLevel(logging.NOTSET)
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    yield logger
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("ask", "level"),
    [
        (lambda: None, logging.WARNING),
        (logs.show, logging.INFO),
        (lambda: logging.getLogger(logs.LOGGER).setLevel(logging.CRITICAL), logging.CRITICAL),
        (lambda: logging.getLogger().setLevel(logging.DEBUG), logging.DEBUG),
    ],
)
def test_a_job_carries_the_log_level_of_its_driver(
    phantom_config: Make, package_logger: logging.Logger, ask: Callable[[], None], level: int
) -> None:
    ask()
    job = Job(phantom_config(), "sqlite:///optuna.db", parent_run="none", deadline=None, threads=1)
    assert job.log_level == level


def test_a_worker_shows_the_log_before_it_works(
    phantom_config: Make, package_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Processes and Ray actors both begin here."""

    def work(job: Job) -> None:
        logging.getLogger("mobilenet_chest.sweep.any").info("of interest")
        logging.getLogger("mobilenet_chest.sweep.any").warning("of concern")

    monkeypatch.setattr(local_workers, "work", work)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(interrupts, "install", lambda: None)
    job = Job(phantom_config(), "sqlite:///optuna.db", parent_run="none", deadline=None, threads=1)
    local_workers.work_until_terminated(job)
    assert capsys.readouterr().err == "of concern\n"
    local_workers.work_until_terminated(dataclasses.replace(job, log_level=logging.INFO))
    assert capsys.readouterr().err == "of interest\nof concern\n"


LOGGING = """
import logging, sys
from mobilenet_chest import logs
from mobilenet_chest import interrupts, logs
from mobilenet_chest.config import Config
from mobilenet_chest.sweep import local_workers
from mobilenet_chest.sweep import local_workers
from mobilenet_chest.sweep.supervisor import Forecast

def work(job):
    logging.getLogger("mobilenet_chest.sweep.any").info("of interest")
    logging.getLogger("mobilenet_chest.sweep.any").warning("of concern")

local_workers.work = work  # its workers read this file as well
if __name__ == "__main__":
    for level in (None, logging.INFO):
        if level is not None:
            logs.show(level)
        print("level", level, file=sys.stderr, flush=True)
        job = local_workers.Job(Config(name="x", device="cpu"), "sqlite:///x.db", "none", None, 1)
        local_workers.run_workers(job, 1, lambda: Forecast(False, False, True, 0), print)
"""


@pytest.mark.slow
def test_worker_processes_show_the_log_as_their_driver_does(tmp_path: Path) -> None:
    script = tmp_path / "logging_sweep.py"
    script.write_text(LOGGING, encoding="utf-8")
    ended = forked.run([sys.executable, str(script)], text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines() == [
        "level None", "of concern", f"level {logging.INFO}", "of interest", "of concern"
    ]  # fmt: skip
