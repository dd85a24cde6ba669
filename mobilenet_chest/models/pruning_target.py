"""The share of channels to prune that reaches a target: operations, or milliseconds of an answer."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mobilenet_chest.config.compress import TargetConfig
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.models.pruning import CHANNELS_MULTIPLE, prune_channels

STEPS = 200
"""Ratios that are looked at are multiples of one part of so many."""

ROUNDS = 30
"""Answers that are timed of each file."""


def find_ratio(model: Classifier, size: int, target: TargetConfig) -> tuple[float, float]:
    """Return the smallest share of channels whose removal reaches a target, and what it reaches, in the target's unit.

    Args:
        model: Trained, on the CPU; it is not changed.
        size: Side in pixels of an image.
        target: Operations as a share of the model's, or milliseconds.

    Raises:
        ConfigError: The target is reached already, or out of reach; or the network cannot be pruned.
        MissingExtraError: torch-pruning is not installed.
        ExportFailed: The network has no ONNX file to be timed.
    """
    if target.flops is not None:
        whole = flops(model, size)
        return _found(lambda pruned: flops(pruned, size) / whole, model, size, "flops", target.flops)
    assert target.latency_ms is not None
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        return find_fast_ratio(model, size, target.latency_ms, Stopwatch(model, size, Path(folder)))


def flops(model: Classifier, size: int) -> int:
    """Return the floating point operations of convolutions and linear layers for one image, two a multiplication."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, len(model.mean.flatten()), size, size, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).eval()(image)
    return int(counter.get_total_flops())


class Stopwatch:
    """Times answers of ONNX files on one thread, each in turn with the whole network's.

    Args:
        model: The whole network.
        size: Side in pixels of an image.
        folder: For the files.
    """

    def __init__(self, model: Classifier, size: int, folder: Path) -> None:
        self._size, self._path = size, folder / "network.onnx"
        self._image = np.zeros((1, len(model.mean.flatten()), size, size), np.uint8)
        self._whole = self._session(model)
        self.whole_ms = 1000 * statistics.median(self._seconds(self._whole) for _ in range(ROUNDS))

    def milliseconds(self, model: Classifier) -> float:
        """Return the milliseconds of an answer for one image with its mirror image.

        It is the median share of the whole network's time, so that whatever else the machine does meets both, times the
        whole network's milliseconds.
        """
        session = self._session(model)
        pairs = [(self._seconds(self._whole), self._seconds(session)) for _ in range(ROUNDS)]
        return self.whole_ms * statistics.median(own / whole for whole, own in pairs)

    def _session(self, model: Classifier) -> Any:
        onnx_file.write(DeployedClassifier(copy.deepcopy(model), 1.0, 0.5), self._size, self._image.shape[1], {},
                        self._path)  # fmt: skip
        session = open_session(self._path.read_bytes(), threads=1)
        for _ in range(3):
            self._seconds(session)
        return session

    def _seconds(self, session: Any) -> float:
        started = time.perf_counter()
        session.run(["calibrated", "label"], {onnx_file.INPUT: self._image})
        return time.perf_counter() - started


def find_fast_ratio(model: Classifier, size: int, latency_ms: float, clock: Stopwatch) -> tuple[float, float]:
    """Return the smallest share of channels whose removal makes an answer quick enough, and its milliseconds.

    Args:
        model: As in :func:`find_ratio`.
        size: Likewise.
        latency_ms: Milliseconds that are allowed.
        clock: The model's.

    Raises:
        ConfigError: As in :func:`find_ratio`.
        ExportFailed: Likewise.
    """
    if clock.whole_ms <= latency_ms:
        raise ConfigError(
            [
                f"compress.target.latency_ms: {latency_ms:g}, but the parent takes {clock.whole_ms:.3g} on "
                "this machine already; give less"
            ]
        )
    return _found(clock.milliseconds, model, size, "latency_ms", latency_ms)


def _found(
    cost: Callable[[Classifier], float], model: Classifier, size: int, name: str, target: float
) -> tuple[float, float]:  # fmt: skip
    def cost_of(step: int) -> float:
        pruned = copy.deepcopy(model)
        prune_channels(pruned, step / STEPS, size)
        return cost(pruned)

    step, reached = first_step(cost_of, target, STEPS - 1)
    if reached > target:
        raise ConfigError(
            [
                f"compress.target.{name}: {target:g} is out of reach: {reached:.3g} is left where each layer keeps "
                f"{CHANNELS_MULTIPLE} channels; give more"
            ]
        )
    return step / STEPS, reached


def first_step(cost_of: Callable[[int], float], target: float, last: int) -> tuple[int, float]:
    """Return the first of the steps 1 … ``last`` that costs ``target`` or less, and its cost; the last where none does.

    Args:
        cost_of: Falls with the step; it is asked for few of them.
        target: The cost that is allowed.
        last: The cheapest step.
    """
    low, high, reached = 0, last, cost_of(last)
    if reached > target:
        return last, reached
    while high - low > 1:
        middle = (low + high) // 2
        if (cost := cost_of(middle)) <= target:
            high, reached = middle, cost
        else:
            low = middle
    return high, reached
