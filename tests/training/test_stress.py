"""Stressed validation in a training: when, of what, what it chooses, and resumed as never interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.experiments import SMALL_MODEL
from helpers.learners import Tiny, go_on, setup, stage
from helpers.trackers import FolderTracker, assert_same
from torch import Tensor, nn

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.config.evaluation import StressConfig
from mobilenet_chest.config.metrics import STRESS_METRICS
from mobilenet_chest.data.corruptions import CHOOSING, CORRUPTIONS, HELD_OUT
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.stress import stress_intervals, stress_metrics
from mobilenet_chest.evaluation.thresholds import choose_threshold
from mobilenet_chest.training.epoch import StageSetup, Validation
from mobilenet_chest.training.loop import fit, is_stressed
from mobilenet_chest.training.predict import predict, predict_logits
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.training.stages import prepare, to_device
from mobilenet_chest.training.stress import StressInputs, final_stress_metrics, stress_inputs
from mobilenet_chest.two_stage import RunResult, train

Make = Callable[..., Config]
CPU = torch.device("cpu")
STRESS = SMALL_MODEL | {
    "stage1.epochs": 3,
    "stage2.epochs": 4,
    "stage2.patience": None,
    "evaluation": {"metric": "stress_auc_mean", "stress": {"every": 3}, "threshold_on": "stress"},
}


@pytest.fixture(scope="module")
def made() -> dict[str, RunResult]:
    """The result of a whole training, made once."""
    return {}


@pytest.fixture
def result(phantom_config: Make, made: dict[str, RunResult]) -> RunResult:
    if not made:
        made["whole"] = train(phantom_config(STRESS))
    return made["whole"]


@pytest.mark.parametrize(
    ("last", "every", "stressed_epochs"),
    [
        (30, 15, [1, 15, 30]), (31, 15, [1, 15, 31]), (46, 15, [1, 15, 30, 46]), (8, 2, [1, 2, 4, 6, 8]),
        (4, 3, [1, 4]), (2, 15, [1, 2]), (1, 15, [1]), (3, 1, [1, 2, 3]),
    ],
)  # fmt: skip
def test_epochs_that_are_stressed(last: int, every: int, stressed_epochs: list[int]) -> None:
    assert [number for number in range(1, last + 1) if is_stressed(number, last, every)] == stressed_epochs


@pytest.mark.parametrize("epochs", [30, 31, 44, 46, 61, 120])
def test_every_15th_epoch_costs_half_a_validation_at_most(epochs: int) -> None:
    """Counted in rows that pass the network in validation, of stages of 30 epochs or more."""
    model, plain, rows = Tiny(), setup(), 0
    labels, images = plain.labels.numpy().astype("uint8"), plain.inputs.val
    copies = StressInputs(0, images.repeat(len(CHOOSING), 1, 1, 1), labels)

    def count(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        nonlocal rows
        rows += 0 if module.training else len(given[0])

    def validate(network: nn.Module) -> Validation:
        return Validation({"val_auc": 0.5}, predict_logits(network, images))

    model.register_forward_pre_hook(count)
    stressing = {"validate": validate, "stress": copies.record, "stress_every": StressConfig().every}
    progress = Progress()
    fit(model, stage(epochs=epochs), StageSetup(**vars(plain) | stressing), progress, go_on)
    times = sum("stress_auc_mean" in record for record in progress.history)
    assert rows == len(images) * (epochs + len(CHOOSING) * times)
    assert 1.2 < rows / (len(images) * epochs) <= 1.5


def test_the_first_the_last_and_every_third_epoch_of_a_stage_are_stressed(result: RunResult) -> None:
    stressed_epochs = [epoch for epoch, record in enumerate(result.history, 1) if "stress_auc_mean" in record]
    assert stressed_epochs == [1, 3, 4, 7]  # the third of stage 2 is next to its last
    assert not [name for record in result.history for name in record if name.startswith("heldout")]
    values = {epoch: result.history[epoch - 1]["stress_auc_mean"] for epoch in stressed_epochs}
    best = int(result.metrics["best_epoch"])
    assert values[best] == max(values.values())
    of_epoch = {name: result.history[best - 1][name] for name in STRESS_METRICS}
    assert {name: result.metrics[name] for name in STRESS_METRICS} == pytest.approx(of_epoch, abs=1e-6)
    assert "val_accuracy_crossfit_all" not in result.metrics


def test_copies_choose_the_threshold(result: RunResult) -> None:
    val = load_train_val(result.config.data).val
    copies = predict(result.model, stressed(val, CHOOSING), CPU)
    expected = choose_threshold(copies.label, copies.probability_tta, result.config.evaluation)
    assert result.metrics["threshold"] == expected


def test_final_metrics_are_of_both_halves(result: RunResult) -> None:
    val = load_train_val(result.config.data).val
    clean = predict_logits(result.model, val.images).double().numpy()
    for prefix, families in (("stress", CHOOSING), ("heldout_stress", HELD_OUT)):
        logits = predict_logits(result.model, stressed(val, families).images).double().numpy().reshape(5, -1)
        expected = stress_metrics(prefix, val.labels.numpy(), logits, clean)
        expected |= stress_intervals(prefix, val.labels.numpy(), logits, clean, val.patients)
        assert {name: result.metrics[name] for name in expected} == expected
        name = f"{prefix}_auc_mean"
        assert result.metrics[f"{name}_low"] < result.metrics[name] < result.metrics[f"{name}_high"]


def test_stored_outputs_give_the_same_metrics(phantom_config: Make) -> None:
    config = phantom_config(STRESS)
    prepared = prepare(config)
    to_device(prepared)
    model, val = prepared.model, prepared.data.val
    model.freeze(model.block_count)
    clean = predict_logits(model, val.images)
    stored, images = (stress_inputs(model, val, block, CPU) for block in (model.block_count, 0))
    assert (stored.block, images.block) == (model.block_count, 0)
    assert stored.copies.ndim == 2
    assert stored.record(model, clean) == pytest.approx(images.record(model, clean), abs=1e-6)
    final = final_stress_metrics(model, val, CPU)
    assert {name: final[name] for name in STRESS_METRICS} == pytest.approx(
        {name: value for name, value in images.record(model, clean).items() if name in STRESS_METRICS}, abs=1e-6
    )


@pytest.mark.slow
def test_resumed_is_as_never_interrupted(phantom_config: Make, result: RunResult, tmp_path: Path) -> None:
    cache.clear()  # or there would be nothing to train in stage 1

    def interrupt(number: int, record: dict[str, float]) -> None:
        if number == 5:  # between two stressed epochs of stage 2
            raise KeyboardInterrupt

    config = phantom_config(STRESS)
    with pytest.raises(KeyboardInterrupt):
        train(config, FolderTracker(tmp_path / "first"), on_epoch=interrupt)
    tracker = FolderTracker(tmp_path / "first")
    resumed = train(config, tracker, resume=tracker.resume_point())
    assert_same(resumed, result)
    table = pd.read_csv(tmp_path / "first" / "stress" / "val.csv")
    assert len(table) == 1 + 5 * len(CORRUPTIONS)
    assert set(table.family[table.held_out]) == set(HELD_OUT)
    assert table.auc[0] == pytest.approx(result.metrics["val_auc"], abs=1e-12)
    rows = json.loads((tmp_path / "first" / "stress" / "val.json").read_text())
    assert [row["corruption"] for row in rows] == list(table.corruption)


def test_a_stopped_training_has_metrics_and_no_table(phantom_config: Make, tmp_path: Path) -> None:
    """As a pruned trial: the table is of finished trainings."""
    config = phantom_config(STRESS | {"stage1.epochs": 0})
    result = train(config, FolderTracker(tmp_path), on_epoch=lambda number, record: True)
    assert result.metrics["best_epoch"] == 1
    assert "heldout_stress_auc_mean" in result.metrics
    assert not (tmp_path / "stress").exists()


def test_the_table_can_be_left_out(phantom_config: Make, tmp_path: Path) -> None:
    stress = {"evaluation": {"stress": {"table": False}}, "stage1.epochs": 0, "stage2.epochs": 1}
    result = train(phantom_config(SMALL_MODEL | stress), FolderTracker(tmp_path))
    assert "heldout_stress_auc_mean" in result.metrics
    assert not (tmp_path / "stress").exists()


def test_predictions_stay_those_of_clean_images(result: RunResult) -> None:
    predictions: Predictions = result.predictions
    assert len(predictions.row) == len(load_train_val(result.config.data).val)
