"""Names of metrics in MLflow, and the way back."""

from __future__ import annotations

import pytest

from mobilenet_chest.config.metric_groups import epoch_name, flat_name, precedence, result_name
from mobilenet_chest.config.metrics import FINAL_METRICS, METRICS, SCORES

EPOCHS = {
    "train_loss": "train/loss", "train_accuracy": "train/accuracy", "val_loss": "val/loss", "val_auc": "val/auc",
    "val_accuracy": "val/accuracy", "val_my_own": "val/my_own", "lr": "train/lr", "stage": "train/stage",
    "epoch_seconds": "train/epoch_seconds", "images_per_second": "train/images_per_second",
}  # fmt: skip
RESULTS = {
    "val_auc": "final/val_auc", "val_accuracy_tta_threshold": "final/val_accuracy_tta_threshold",
    "threshold": "final/threshold", "best_val_auc": "final/best_val_auc", "trials_fail": "final/trials_fail",
    "importance.stage2.lr": "final/importance.stage2.lr", "train_seconds": "cost/train_seconds",
    "parameters": "cost/parameters", "latency_1_ms": "cost/latency_1_ms", "test_auc": "test/auc",
    "test_accuracy_tta": "test/accuracy_tta", "soup_size": "final/soup_size",
}  # fmt: skip


@pytest.mark.parametrize(("flat", "stored"), EPOCHS.items())
def test_the_curves_are_named_by_their_split(flat: str, stored: str) -> None:
    assert (epoch_name(flat), flat_name(stored), precedence(stored)) == (stored, flat, 1)


@pytest.mark.parametrize(("flat", "stored"), RESULTS.items())
def test_single_numbers_are_apart_from_curves(flat: str, stored: str) -> None:
    assert (result_name(flat), flat_name(stored), precedence(stored)) == (stored, flat, 2)


@pytest.mark.parametrize("name", [*METRICS, *FINAL_METRICS, *(f"{split}_{score}" for split in ("train", "val", "test")
                                                              for score in SCORES)])  # fmt: skip
def test_every_name_has_its_way_back(name: str) -> None:
    assert flat_name(result_name(name)) == flat_name(epoch_name(name)) == flat_name(name) == name
    assert precedence(name) == 0
    assert result_name(name).count("/") == 1


@pytest.mark.parametrize("name", ["system/cpu_utilization_percentage", "other/group", "val/", "valid", "val_"])
def test_other_names_stay(name: str) -> None:
    assert flat_name(name) == epoch_name(name) == name


def test_a_name_with_a_group_has_it_already() -> None:
    assert result_name("system/gpu_0") == "system/gpu_0"
