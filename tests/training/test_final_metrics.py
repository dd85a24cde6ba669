"""The metrics at the end of a training: the best epoch's, and what is counted over all epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.experiments import SMALL_MODEL

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.evaluation.crossfit import crossfit_all_accuracy
from mobilenet_chest.evaluation.metrics import epoch_metrics, selection_metrics
from mobilenet_chest.training.final_metrics import evaluate_best
from mobilenet_chest.training.predict import predict
from mobilenet_chest.training.progress import BestEpoch, Progress
from mobilenet_chest.training.stages import Prepared, prepare, to_device, train_stage1, train_stage2

Make = Callable[..., Config]
TINY = SMALL_MODEL | {"stage1.epochs": 2, "stage2.epochs": 2, "evaluation": {"metric": "val_auc"}}


def trained(config: Config) -> tuple[Prepared, Progress]:
    prepared, progress = prepare(config), Progress()
    to_device(prepared)
    train_stage1(config, prepared, progress, lambda record: False)
    train_stage2(config, prepared, progress, lambda record: False)
    return prepared, progress


def test_all_metrics_of_a_training(phantom_config: Make) -> None:
    config = phantom_config(TINY)
    prepared, progress = trained(config)
    best, predictions, metrics = evaluate_best(config, prepared, progress)

    history = progress.history
    values = [record["val_auc"] for record in history]
    assert (len(history), best.value) == (4, max(values))
    assert values[best.epoch - 1] == max(values)
    state = prepared.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in best.model.items())
    np.testing.assert_array_equal(
        predictions.probability, predict(prepared.model, prepared.data.val, prepared.device).probability
    )

    of_epoch = epoch_metrics(predictions.label, progress.val_logits[best.epoch - 1].double().numpy())
    assert {name: metrics[name] for name in of_epoch} == pytest.approx(of_epoch, rel=1e-6)
    logits = torch.stack(progress.val_logits).double().numpy()
    parameters = [value.numel() for value in prepared.model.parameters()]
    expected = (
        selection_metrics(predictions, config.evaluation, config.seed)
        | {
            "val_accuracy_crossfit_all": crossfit_all_accuracy(
                predictions, logits, [1, 1, 2, 2], best.epoch, config.evaluation, config.seed
            ),
            "best_epoch": best.epoch,
            "val_loss": history[best.epoch - 1]["val_loss"],
            "parameters": sum(parameters),
            "parameters_stage1": 1280 * 8 + 8 + 8 + 1,  # the head: 1280 features, 8 hidden units, one logit
            "stage1_best_val_accuracy": max(record["val_accuracy"] for record in history[:2]),
            "stage2_best_val_accuracy": max(record["val_accuracy"] for record in history[2:]),
            "stage1_epochs_trained": 2,
            "stage1_epochs_reused": 0,
            "saved_seconds": 0,
        }
    )
    assert metrics == expected
    assert {type(value) for value in metrics.values()} == {float}


def test_the_better_stage_is_evaluated(phantom_config: Make) -> None:
    config = phantom_config(TINY)
    prepared, progress = trained(config)
    assert progress.previous_best is not None
    first = BestEpoch(1, 2.0, progress.previous_best.model)  # better than any AUC of stage 2
    best, predictions, metrics = evaluate_best(config, prepared, replace(progress, previous_best=first))
    assert (best, metrics["best_epoch"], metrics["val_loss"]) == (first, 1, progress.history[0]["val_loss"])
    last = BestEpoch(1, -1.0, first.model)
    best, others, metrics = evaluate_best(config, prepared, replace(progress, previous_best=last))
    assert (best.epoch, metrics["best_epoch"]) == (progress.best_epoch, progress.best_epoch)
    assert (predictions.probability != others.probability).any()


def test_a_run_resumed_without_the_logits_of_its_early_epochs(phantom_config: Make) -> None:
    """As from a checkpoint of an early version: all other metrics are those of the same run with the logits."""
    config = phantom_config(TINY)
    prepared, progress = trained(config)
    metrics = evaluate_best(config, prepared, progress).metrics
    for logits in ([], progress.val_logits[2:]):
        resumed = evaluate_best(config, prepared, replace(progress, val_logits=logits)).metrics
        assert metrics.keys() - resumed.keys() == {"val_accuracy_crossfit_all"}
        assert resumed == {name: metrics[name] for name in resumed}


@pytest.mark.parametrize(("stage", "left_out"), [(1, 2), (2, 1)])
def test_a_stage_that_was_left_out_has_no_best_accuracy(phantom_config: Make, stage: int, left_out: int) -> None:
    config = phantom_config(TINY | {f"stage{left_out}.epochs": 0})
    prepared, progress = trained(config)
    metrics = evaluate_best(config, prepared, progress).metrics
    accuracies = [record["val_accuracy"] for record in progress.history]
    assert len(accuracies) == 2
    assert metrics[f"stage{stage}_best_val_accuracy"] == max(accuracies)
    assert f"stage{left_out}_best_val_accuracy" not in metrics


def test_duplicates_are_counted_where_they_are_dropped(phantom_config: Make, chest_file: Path, tmp_path: Path) -> None:
    plain = phantom_config(TINY)
    data = prepare(plain).data
    with np.load(chest_file) as file:
        arrays = dict(file)
    for train_row, val_row in zip(data.train.rows[:2], data.val.rows[:2], strict=True):
        arrays["train_images"][train_row] = arrays["val_images"][val_row]
    np.savez(tmp_path / "copies.npz", **arrays)
    counts = []
    for drop in (False, True):
        config = phantom_config(
            TINY | {"data.path": str(tmp_path / "copies.npz"), "data.drop_duplicates": drop, "stage2.epochs": 0}
        )
        counts.append(evaluate_best(config, *trained(config)).metrics.get("dropped_duplicates"))
    assert counts == [None, 2.0]


def test_predictions_that_are_no_numbers(phantom_config: Make) -> None:
    config = phantom_config(TINY)
    prepared, progress = trained(config)
    for name, value in progress.best_model.items():
        if name.startswith("head."):
            progress.best_model[name] = value * float("nan")
    with pytest.raises(TrainingDiverged, match="NaN"):
        evaluate_best(config, prepared, replace(progress, previous_best=None))
