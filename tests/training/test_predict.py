"""Probabilities, plain and with the mirror image, and the time that a forward pass takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.data.dataset import Split
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.predict import PREDICT_BATCH, latencies, latency, predict, predict_logits

CPU = torch.device("cpu")


class Lopsided(nn.Module):
    """The logit is the pixel in the upper left corner, less 100, over 50: a mirror image has another."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        self.modes.append(self.training)
        return (images[:, 0, 0, 0].float() - 100) / 50


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images),), self.value)


def split(rows: int) -> Split:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (rows, 1, 4, 5), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (rows,), dtype=torch.uint8, generator=generator)
    return Split(images, labels, np.arange(rows, dtype=np.int64) * 3, "digest")


def sigmoid(pixels: Tensor) -> np.ndarray:
    return 1 / (1 + np.exp(-(pixels.double().numpy() - 100) / 50))


@pytest.mark.parametrize("rows", [1, 7, PREDICT_BATCH, PREDICT_BATCH + 1])
def test_tta_is_the_mean_of_image_and_mirror(rows: int) -> None:
    data = split(rows)
    predictions = predict(Lopsided(), data, CPU)
    plain, mirrored = sigmoid(data.images[:, 0, 0, 0]), sigmoid(data.images[:, 0, 0, -1])
    np.testing.assert_allclose(predictions.probability, plain, rtol=1e-6)
    np.testing.assert_allclose(predictions.probability_tta, (plain + mirrored) / 2, rtol=1e-6)
    assert predictions.row.tolist() == [3 * i for i in range(rows)]
    assert predictions.label.tolist() == data.labels.tolist()
    assert (predictions.probability.dtype, predictions.probability_tta.dtype) == (np.float64, np.float64)


def test_a_mirror_of_the_mirror_changes_nothing() -> None:
    data = split(9)
    mirrored = Split(data.images.flip(-1), data.labels, data.rows, "")
    first, second = predict(Lopsided(), data, CPU), predict(Lopsided(), mirrored, CPU)
    np.testing.assert_array_equal(first.probability_tta, second.probability_tta)
    assert (first.probability != second.probability).any()


def test_evaluation_mode_in_batches_without_gradients() -> None:
    model = Lopsided().train()
    logits = predict_logits(model, split(PREDICT_BATCH + 44).images)
    assert model.batches == [PREDICT_BATCH, 44]
    assert model.modes == [False, False]
    assert not model.training
    assert (logits.dtype, logits.shape, logits.requires_grad) == (torch.float32, (PREDICT_BATCH + 44,), False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_predictions_that_are_no_numbers(value: float) -> None:
    with pytest.raises(TrainingDiverged, match=r"NaN .*optimizer\.clip_norm"):
        predict(Constant(value), split(3), CPU)


def test_latency_is_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 9.0] + [t for i in range(10) for t in (10.0 * i, 10.0 * i + (0.5 if i == 3 else 0.002))])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    assert latency(nn.Identity(), torch.zeros(1)) == pytest.approx(2.0)


class Clock(nn.Module):
    """A model whose forward pass takes one second for each image, and ten times that while the machine is busy."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.passes = 0.0, 0

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        busy = self.passes <= 6
        self.now += len(images) * (10 if busy else 1)
        return images


def test_a_busy_while_slows_all_batches_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clock()
    monkeypatch.setattr("time.perf_counter", lambda: model.now)
    assert latencies(model, [torch.zeros(1), torch.zeros(4)]) == [pytest.approx(1000), pytest.approx(4000)]
