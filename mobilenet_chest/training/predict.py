"""Predictions of a split, without and with test-time augmentation, and how long a prediction takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.training.features import as_fed, learning_part

PREDICT_BATCH = 256
"""Images in a forward pass of a prediction."""

REPEATS = 10
"""Forward passes that are timed."""


def predict(model: nn.Module, split: Split, device: torch.device) -> Predictions:
    """Predict a split in float32, whatever the training's precision.

    With test-time augmentation (TTA), a probability is the mean of those of the image and its mirror image.

    Args:
        model: A classifier on ``device``; it is left in evaluation mode.
        split: Images, labels and row numbers.
        device: Where to compute.

    Raises:
        TrainingDiverged: A prediction is NaN or infinite.
    """
    images = split.images.to(device)
    logits, mirror_logits = predict_logits(model, images), predict_logits(model, images, mirror=True)
    plain, mirrored = _probabilities(logits), _probabilities(mirror_logits)
    if not (logits.isfinite() & mirror_logits.isfinite()).all():
        raise TrainingDiverged("the model predicts NaN or infinity; lower the learning rate or set optimizer.clip_norm")
    return Predictions(split.rows, split.labels.numpy(), plain, (plain + mirrored) / 2, split.patients)


@torch.inference_mode()
def predict_logits(model: nn.Module, inputs: Tensor, mirror: bool = False, block: int = 0) -> Tensor:
    """Return logits, float32 (n,), on the inputs' device; the model is left in evaluation mode.

    Args:
        model: A classifier.
        inputs: uint8 images (n, c, h, w), or stored outputs of the frozen blocks.
        mirror: Predict the mirror images; for images only.
        block: First block that is given the inputs, as in :class:`~mobilenet_chest.training.features.Inputs`.
    """
    model.eval()
    forward = learning_part(model, block)
    chunks = (chunk.flip(-1) if mirror else as_fed(chunk) for chunk in inputs.split(PREDICT_BATCH))
    return torch.cat([forward(chunk).float() for chunk in chunks])


def latency(model: nn.Module, images: Tensor) -> float:
    """Return the milliseconds of a forward pass on the model's device: the median of several, after a warm-up pass."""
    return latencies(model, [images])[0]


def latencies(model: nn.Module, batches: Sequence[Tensor]) -> list[float]:
    """Return the :func:`latency` of each batch. They are measured in turns: a busy machine slows all of them alike."""
    model.eval()
    parameter = next(model.parameters(), batches[0])
    batches = [batch.to(parameter.device) for batch in batches]
    seconds: list[list[float]] = [[] for _ in batches]
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            for batch, measured in zip(batches, seconds, strict=True):
                started = time.perf_counter()
                model(batch).sum().item()  # waits for the device
                measured.append(time.perf_counter() - started)
    return [1000 * statistics.median(measured[1:]) for measured in seconds]


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    return logits.double().sigmoid().cpu().numpy()
