"""The state of a training: what a checkpoint holds of it, in the format of all versions, and the best epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import BestEpoch, Progress, StageCost

WEIGHTS = {"head.0.weight": torch.arange(3.0)}


def in_stage_2() -> Progress:
    return Progress(
        stage=2,
        epoch=3,
        stage_epoch=1,
        history=[{"val_auc": 0.5}] * 3,
        val_logits=[torch.zeros(2)] * 3,
        best_epoch=3,
        best_value=0.75,
        best_model=WEIGHTS,
        previous_best=BestEpoch(2, 0.5, WEIGHTS),
        resume={"random": {"order": torch.zeros(4, dtype=torch.uint8)}},
        elapsed=1.5,
        stage1=StageCost(0, 2, 4.0),
    )


def test_a_checkpoint_gives_the_state_back(tmp_path: Path) -> None:
    progress = in_stage_2()
    checkpoint.save(tmp_path / "last-0.pt", {"progress": progress.state()})
    read = Progress.from_state(checkpoint.load(tmp_path / "last-0.pt")["progress"])
    assert type(read.previous_best) is BestEpoch
    assert (read.previous_best.epoch, read.previous_best.value) == (2, 0.5)
    assert torch.equal(read.previous_best.model["head.0.weight"], WEIGHTS["head.0.weight"])
    assert read.stage1 == StageCost(0, 2, 4.0)
    assert read.state().keys() == progress.state().keys() == vars(progress).keys()
    for name in ("stage", "epoch", "stage_epoch", "history", "best_epoch", "best_value", "elapsed"):
        assert getattr(read, name) == getattr(progress, name)


def test_the_stored_state_is_the_one_of_early_versions() -> None:
    state = in_stage_2().state()
    assert state["stage1"] == {"epochs_trained": 0, "epochs_reused": 2, "saved_seconds": 4.0}
    assert state["previous_best"] == {"best_epoch": 2, "best_value": 0.5, "best_model": WEIGHTS}
    assert Progress().state()["previous_best"] is None


@pytest.mark.parametrize("left_out", [[], ["val_logits"], ["stage1"], ["val_logits", "stage1", "elapsed"]])
def test_fields_that_an_early_checkpoint_lacks_keep_their_defaults(left_out: list[str]) -> None:
    # stage 1 had no cost yet while it was running
    state = {
        name: value for name, value in (Progress(epoch=1).state() | {"stage1": {}}).items() if name not in left_out
    }
    assert Progress.from_state(state) == Progress(epoch=1)


def test_stage_2_starts_with_nothing_but_random_states() -> None:
    progress = Progress(epoch=2, stage_epoch=2, best_epoch=1, best_value=0.5, best_model=WEIGHTS)
    progress.resume = {"random": {"order": 1}, "optimizer": {}}
    progress.start_stage2()
    assert (progress.stage, progress.epoch, progress.stage_epoch, progress.best_epoch) == (2, 2, 0, 0)
    assert progress.previous_best == BestEpoch(1, 0.5, WEIGHTS)
    assert progress.resume == {"random": {"order": 1}}


def test_a_stage_1_of_no_epochs_leaves_no_best() -> None:
    progress = Progress()
    progress.start_stage2()
    assert progress.previous_best is None
    assert progress.overall_best("val_auc").epoch == 0


@pytest.mark.parametrize(
    ("metric", "first", "second", "best"),
    [
        ("val_auc", 0.5, 0.75, 2),
        ("val_auc", 0.75, 0.5, 1),
        ("val_auc", 0.5, 0.5, 2),
        ("val_loss", 0.5, 0.75, 1),
        ("val_loss", 0.75, 0.5, 2),
        ("val_loss", 0.5, 0.5, 2),
        ("val_loss", 0.5, None, 1),
    ],
)
def test_the_better_stage_has_the_best_epoch(metric: str, first: float, second: float | None, best: int) -> None:
    progress = Progress(stage=2, previous_best=BestEpoch(1, first, {}))
    if second is not None:
        progress.update(best_epoch=2, best_value=second)
    assert progress.overall_best(metric).epoch == best


@pytest.mark.parametrize(
    ("metric", "value", "improves"),
    [("val_auc", 0.6, True), ("val_auc", 0.5, False), ("val_loss", 0.4, True), ("val_loss", 0.5, False)],
)
def test_an_equal_value_is_no_improvement(metric: str, value: float, improves: bool) -> None:
    assert Progress(best_epoch=1, best_value=0.5).improves(value, metric) is improves
    assert Progress().improves(value, metric) is True


def test_the_cost_of_stage_1_by_its_metric_names() -> None:
    metrics: dict[str, Any] = StageCost(1, 2, 3.5).metrics()
    assert metrics == {"stage1_epochs_trained": 1.0, "stage1_epochs_reused": 2.0, "saved_seconds": 3.5}
    assert all(type(value) is float for value in metrics.values())
