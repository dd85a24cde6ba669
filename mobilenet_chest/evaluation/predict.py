"""Probabilities of a split, plain and with test-time augmentation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.features import as_fed, learning_part

BATCH = 256

REPEATS = 10


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row for each image of a split.

    Attributes:
        row: int64 (n,), row number in the file.
        label: uint8 (n,), 0 or 1.
        probability: float64 (n,), of class 1.
        probability_tta: float64 (n,), mean of the probabilities of the image and its mirror.
        patient: Whose image it is, text (n,), empty where that is not known; ``None`` where it is of no image.
        fold: int64 (n,), the fold of data that the image was held out in, where each was scored by the model of its
            fold and figures are means over the folds; else ``None``.
    """

    row: NDArray[np.int64]
    label: NDArray[np.uint8]
    probability: NDArray[np.float64]
    probability_tta: NDArray[np.float64]
    patient: NDArray[np.str_] | None = None
    fold: NDArray[np.int64] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """Those there are, by name: what ``predictions/*.parquet`` holds."""
        return {name: column for name, column in vars(self).items() if column is not None}

    @classmethod
    def of_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Predictions:
        """From what :meth:`columns` has, as a file gives it back.

        Raises:
            KeyError: One is missing.
        """
        found = {name: columns[name] for name in ("row", "label", "probability", "probability_tta")}
        found |= {name: columns[name].astype(kind) for name, kind in OPTIONAL.items() if name in columns}
        return cls(**found)


OPTIONAL: dict[str, type[np.generic]] = {"patient": np.str_, "fold": np.int64}


def one_after_the_other(predictions: Sequence[Predictions]) -> Predictions:
    """Predictions of different rows, in the order of the rows."""
    parts = [one.columns() for one in predictions]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["row"], kind="stable")
    return Predictions(**{name: column[order] for name, column in columns.items()})


def predict(model: nn.Module, split: Split, device: torch.device) -> Predictions:
    """Predictions of a split in float32, whatever the training's precision.

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
    """Logits (n,) float32, on the inputs' device; the model is left in evaluation mode.

    Args:
        model: A classifier.
        inputs: uint8 images (n, c, h, w), or stored outputs of the frozen blocks.
        mirror: Of mirrored images.
        block: Where the inputs go in, as in :class:`~mobilenet_chest.training.features.Inputs`.
    """
    model.eval()
    forward = learning_part(model, block)
    chunks = (chunk.flip(-1) if mirror else as_fed(chunk) for chunk in inputs.split(BATCH))
    return torch.cat([forward(chunk).float() for chunk in chunks])


def latency(model: nn.Module, images: Tensor) -> float:
    """Milliseconds of a forward pass where the model is, the median of several after one that is not counted."""
    seconds = []
    model.eval()
    images = images.to(next(model.parameters(), images).device)
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            model(images).sum().item()  # waits for the device
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[1:])


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    return logits.double().sigmoid().cpu().numpy()
