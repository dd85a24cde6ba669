"""Sweeps of trials that take a second or two, without processes that have to start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import study
from mobilenet_chest.sweep.staffing import Outlook
from mobilenet_chest.sweep.workers import Job, work

Make = Callable[..., Config]
SMALL = "timm:mobilenetv2_050"


@pytest.fixture
def tiny(phantom_config: Make) -> Make:
    """A search on the tiny file with a small network: a trial takes a second."""

    def make(search: dict[str, Any], values: dict[str, Any] | None = None, **settings: Any) -> Config:
        fields = {
            "search": search,
            "model.name": SMALL,
            "model.hidden": [8],
            "study": {"trials": 2, "pruner": "none", **settings},
        }
        return phantom_config(fields | (values or {}))

    return make


@pytest.fixture
def here(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tracking store, where the one worker of a sweep is this process: no process has to start."""

    def run_here(job: Job, workers: int, on_tick: Callable[[], Outlook], bury: Callable[[], object]) -> None:
        # one thread, as all of this process's tests: more would wait for each other on a busy machine
        work(dataclasses.replace(job, threads=1))

    monkeypatch.setattr(study, "run_workers", run_here)
    return tracking
