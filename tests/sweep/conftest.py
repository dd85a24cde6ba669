"""Sweeps of trials that take a second or two, without processes that have to start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import objective, study
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
def fields(chest_file: Path) -> Callable[..., dict[str, Any]]:
    """Makes a tiny search for a process of its own: what stands in its YAML file."""

    def make(epochs: int, model: str = SMALL, keep: int = 2, **study: Any) -> dict[str, Any]:
        return {
            "name": "tiny",
            "device": "cpu",
            "data": {
                "dataset": "chestmnist",
                "classes": ["cardiomegaly", "pneumothorax"],
                "path": str(chest_file),
                "image_size": 32,
            },
            "model": {"name": model, "weights": "none", "hidden": [8]},
            "optimizer": {"batch_size": 16},
            "stage1": {"epochs": 2},
            "stage2": {"epochs": epochs - 2, "patience": None},
            "search": {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}},
            "study": {"pruner": "none", **study},
            "tracking": {"keep_checkpoints": keep},
        }

    return make


@pytest.fixture
def here(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tracking store, where the one worker of a sweep is this process: no process has to start."""

    def run_here(job: Job, workers: int, on_tick: Callable[[], Outlook], bury: Callable[[], object]) -> None:
        # one thread, as all of this process's tests: more would wait for each other on a busy machine
        work(dataclasses.replace(job, threads=1))

    monkeypatch.setattr(study, "run_workers", run_here)
    return tracking


@pytest.fixture
def driver_dies(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets a worker see, after so many epochs, that its driver has been killed; by 0, not any more."""

    def after(epochs: int) -> None:
        seen: list[int] = []

        def is_alive() -> bool:
            seen.append(1)
            return len(seen) != epochs

        monkeypatch.setattr(
            objective, "multiprocessing", SimpleNamespace(parent_process=lambda: SimpleNamespace(is_alive=is_alive))
        )

    return after
