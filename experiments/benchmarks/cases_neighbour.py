"""Fine-tuning beside a process that keeps a core busy: numbers of threads, and ways in which threads wait."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common import Case, Options, data_file, experiment, report
from measure import Json, SavedResults, in_child, interleaved, ratios, spread

from mobilenet_chest.config import to_yaml
from mobilenet_chest.processor import THREADS_VARIABLE, cores

ALONE = "one thread"
DEFAULT = "torch's default"
OURS = "ours"

ALL = {THREADS_VARIABLE: str(cores())}
VARIANTS = {
    ALONE: {THREADS_VARIABLE: "1"},
    DEFAULT: ALL,
    "passive waiting": ALL | {"OMP_WAIT_POLICY": "passive"},
    "1,000 spins": ALL | {"GOMP_SPINCOUNT": "1000"},
    "10,000 spins": ALL | {"GOMP_SPINCOUNT": "10000"},
    OURS: {},
}
"""Environments of a training."""

WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

SETTLE_SECONDS = 0.5


def neighbour(options: Options, saved: SavedResults) -> Json:
    """Measure images a second of fine-tuning, on a machine that is otherwise idle and beside a busy process."""
    config = experiment(
        options,
        data_file(options, options.rows, options.val_rows),
        {"stage1.epochs": 0, "stage2.epochs": options.measured_epochs + 1},
    )
    text = to_yaml(config)
    for name in (*WAITING_VARIABLES, THREADS_VARIABLE):
        os.environ.pop(name, None)  # the variants say it

    def rate(environment: dict[str, str], busy: bool) -> Callable[[], float]:
        def run() -> float:
            with _busy_process() if busy else _nothing():
                done = in_child("children:fine_tune", {"experiment": text}, environment)
            return float(done["result"]["images_per_second"])

        return run

    actions = {
        f"{name}{', busy' if busy else ''}": rate(environment, busy)
        for busy in (False, True)
        for name, environment in VARIANTS.items()
    }
    rounds = interleaved(actions, options.rounds, saved)
    rows: list[dict[str, Any]] = []
    for name, rates in rounds.items():
        busy = name.endswith(", busy")
        rows.append(
            {
                "variant": name,
                "images_per_second": spread(rates),
                "of_one_thread_alone": ratios(rates, rounds[ALONE]),
                "of_the_default": ratios(rates, rounds[f"{DEFAULT}, busy" if busy else DEFAULT]),
            }
        )
    return report(
        rows,
        f"{cores()} cores; busy: beside one process that computes without end",
        "of one thread alone: of the same training with one thread on the idle machine",
        f"the median training epoch of {options.measured_epochs} after one that is not counted, in a new process each",
        raw=rounds,
    )


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


CASES = {"neighbour": Case(neighbour, "fine-tuning beside a busy process, by threads and their waiting")}
