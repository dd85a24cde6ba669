"""The metrics of a finished training, of its best epoch."""

from __future__ import annotations

import torch

from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.crossfit import crossfit_all_accuracy
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.training.progress import BestEpoch, Progress
from mobilenet_chest.training.stages import Prepared


def final_metrics(
    config: Config, prepared: Prepared, progress: Progress, best: BestEpoch, predictions: Predictions
) -> dict[str, float]:  # fmt: skip
    """Return all metrics of a run except its duration, by their names.

    Args:
        config: The experiment.
        prepared: Its data and model.
        progress: After the last epoch.
        best: The best epoch of both stages.
        predictions: Of the validation split, by the model of that epoch.
    """
    metrics = selection_metrics(predictions, config.evaluation, config.seed)
    metrics |= _crossfit_metrics(config, progress, best.epoch, predictions)
    parameters, parameters_stage1 = parameter_counts(prepared.model)
    metrics |= {
        "best_epoch": float(best.epoch),
        "val_loss": progress.history[best.epoch - 1]["val_loss"],
        "parameters": float(parameters),
        "parameters_stage1": float(parameters_stage1),
    }
    for stage in (1, 2):
        accuracies = [record["val_accuracy"] for record in progress.history if record["stage"] == stage]
        if accuracies:
            metrics[f"stage{stage}_best_val_accuracy"] = max(accuracies)
    metrics |= progress.stage1.metrics()
    if config.data.drop_duplicates:
        metrics["dropped_duplicates"] = float(prepared.data.dropped)
    return metrics


def _crossfit_metrics(
    config: Config, progress: Progress, best_epoch: int, predictions: Predictions
) -> dict[str, float]:  # fmt: skip
    """Return nothing for a run resumed from an early version's checkpoint, which lacks the logits of its epochs."""
    if len(progress.val_logits) < len(progress.history):
        return {}
    logits = torch.stack(progress.val_logits).double().numpy()
    stages = [record["stage"] for record in progress.history]
    accuracy = crossfit_all_accuracy(predictions, logits, stages, best_epoch, config.evaluation, config.seed)
    return {"val_accuracy_crossfit_all": accuracy}
