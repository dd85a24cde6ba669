"""The evaluation of a finished training: predictions and metrics of its best epoch."""

from __future__ import annotations

from typing import NamedTuple

import torch

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import STRESS_METRICS
from mobilenet_chest.evaluation.crossfit import crossfit_all_accuracy
from mobilenet_chest.evaluation.metrics import selection_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.thresholds import choose_threshold
from mobilenet_chest.models.zoo import parameter_counts
from mobilenet_chest.training.predict import predict
from mobilenet_chest.training.progress import BestEpoch, Progress
from mobilenet_chest.training.stages import Prepared
from mobilenet_chest.training.stress import choosing_predictions, final_stress_metrics


class Evaluation(NamedTuple):
    """The best epoch of both stages, its predictions of the validation split, and the run's metrics by name."""

    best: BestEpoch
    predictions: Predictions
    metrics: dict[str, float]


def evaluate_best(config: Config, prepared: Prepared, progress: Progress) -> Evaluation:
    """Load the best epoch of both stages into the model and evaluate it on the validation split.

    The metrics are all that a run has at its end, except ``train_seconds``.

    Raises:
        TrainingDiverged: A prediction is NaN or infinite.
    """
    best = progress.overall_best(config.evaluation.metric)
    prepared.model.load_state_dict(best.model)
    predictions = predict(prepared.model, prepared.data.val, prepared.device)
    required = (config.evaluation.metric, config.study.metric)
    threshold = None
    if config.evaluation.threshold_on == "stress":
        stressed = choosing_predictions(prepared.model, prepared.data.val, prepared.device)
        threshold = choose_threshold(stressed.label, stressed.probability_tta, config.evaluation)
    metrics = selection_metrics(predictions, config.evaluation, config.seed, required, threshold)
    if config.evaluation.stress is not None:
        metrics |= final_stress_metrics(prepared.model, prepared.data.val, prepared.device)
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
    return Evaluation(best, predictions, metrics)


def _crossfit_metrics(
    config: Config, progress: Progress, best_epoch: int, predictions: Predictions
) -> dict[str, float]:  # fmt: skip
    """Return nothing for a run resumed from an early version's checkpoint, which lacks the logits of its epochs, nor
    where stressed copies chose the epoch: the clean rows' logits cannot choose it again."""
    if len(progress.val_logits) < len(progress.history) or config.evaluation.metric in STRESS_METRICS:
        return {}
    logits = torch.stack(progress.val_logits).double().numpy()
    stages = [record["stage"] for record in progress.history]
    accuracy = crossfit_all_accuracy(predictions, logits, stages, best_epoch, config.evaluation, config.seed)
    return {"val_accuracy_crossfit_all": accuracy}
