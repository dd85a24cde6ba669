"""A tracker that writes to a folder, and comparisons of trainings without their clocks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.tracking.artifact_writer import LAST_FILES
from mobilenet_chest.tracking.artifacts import ResumePoint
from mobilenet_chest.tracking.notes import Outcome
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.two_stage import RunResult

CLOCK = {
    "train_seconds", "epoch_seconds", "images_per_second", "stage1_epochs_trained", "stage1_epochs_reused",
    "saved_seconds",
}  # fmt: skip
"""Metrics that say how long something took, or what was reused."""


class FolderTracker:
    """Keeps what a run writes, in a folder and in lists."""

    def __init__(self, folder: Path) -> None:
        self.run_id: str | None = "run"
        self.folder = folder
        self.metrics: list[tuple[int, dict[str, float]]] = []

    @contextmanager
    def run(self, config: Config, data: TrainVal) -> Iterator[None]:
        yield

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.metrics.append((step, dict(metrics)))

    def log_history(self, records: Sequence[Mapping[str, float]], first: int = 1) -> None:
        self.metrics += [(step, dict(record)) for step, record in enumerate(records, first)]

    def log_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_outcome(self, outcome: Outcome) -> None: ...

    def remove_file(self, path: str) -> None:
        (self.folder / path).unlink(missing_ok=True)

    def resume_point(self) -> ResumePoint:
        """Where the run stands, by the newer of its two checkpoints."""
        files = [self.folder / "checkpoints" / name for name in LAST_FILES]
        points = [
            (Progress.from_state(checkpoint.load(file)["progress"]), file.name) for file in files if file.exists()
        ]
        return ResumePoint(*max(points, key=lambda point: point[0].epoch))

    def log_file(self, path: Path, folder: str = "") -> None:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, self.folder / folder)


def numbers(record: Mapping[str, float]) -> dict[str, float]:
    """Without what the clock says, and the cache."""
    return {name: value for name, value in record.items() if name not in CLOCK}


def assert_same(first: RunResult, second: RunResult) -> None:
    """Bit for bit."""
    assert numbers(first.metrics) == numbers(second.metrics)
    assert [numbers(record) for record in first.history] == [numbers(record) for record in second.history]
    for column in ("row", "label", "probability", "probability_tta"):
        np.testing.assert_array_equal(getattr(first.predictions, column), getattr(second.predictions, column))
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
