"""Answers of a deployed classifier: ONNX Runtime beside the exported program of torch, in one process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from common import Case, Options, report
from measure import Json, SavedResults, interleaved, ratios, spread
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.zoo import build_model

MODELS = ("mobilenet_v3_large", "efficientnet_lite0")
BATCHES = (1, 32)
SECONDS = 0.7
"""CPU time for which answers are repeated in a round, at least three times; the median counts."""

METADATA: dict[str, Any] = {"classes": ["0", "1"], "threshold": 0.5, "temperature": 1.0}


class _Program(nn.Module):
    """What registered models held before: two passes of the network, exported by torch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        plain, mirrored = self.model(images), self.model(images.flip(-1))
        return cast(Tensor, (plain.double().sigmoid() + mirrored.double().sigmoid()) / 2)


def answers(options: Options, saved: SavedResults) -> Json:
    """Measure milliseconds of CPU time an image of a whole answer with TTA, one thread."""
    torch.set_num_threads(1)
    actions: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-serving-") as folder:
        for name in MODELS:
            program, file = _both(name, options.image_size, Path(folder))
            for batch in BATCHES:
                images = np.random.default_rng(1).integers(0, 256, (batch, *[options.image_size] * 2), np.uint8)
                seconds = 0.1 if options.quick else SECONDS
                actions[f"{name}, {batch}, torch"] = timed(lambda p=program, i=images: p(i), batch, seconds)
                actions[f"{name}, {batch}, ONNX"] = timed(lambda f=file, i=images: f.predict(i), batch, seconds)
        load_before = os.getloadavg()[0]
        rounds = interleaved(actions, options.rounds, saved)
    rows = []
    for name in MODELS:
        for batch in BATCHES:
            before, now = (rounds[f"{name}, {batch}, {engine}"] for engine in ("torch", "ONNX"))
            rows.append(
                {
                    "model": name,
                    "batch": batch,
                    "torch_program_ms": spread(before),
                    "onnx_ms": spread(now),
                    "times_faster": ratios(before, now),
                }
            )
    return report(
        rows,
        f"{options.image_size}×{options.image_size} gray images, whole answers with TTA, one thread, ms of CPU time an "
        f"image; each round the median of answers in {SECONDS:g} s; load {load_before:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after",
        raw=rounds,
    )


def _both(
    name: str, size: int, folder: Path
) -> tuple[Callable[[np.ndarray[Any, Any]], Any], onnx_file.OnnxClassifier]:  # fmt: skip
    torch.manual_seed(0)
    model = build_model(ModelConfig(name=name, weights="none"), 1).eval()
    onnx_file.write(DeployedClassifier(model, 1.0, 0.5), size, 1, METADATA, folder / f"{name}.onnx")
    shapes = {"images": {0: torch.export.Dim("n", min=1, max=65536)}}
    images = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    program = torch.export.export(_Program(model).eval(), (images,), dynamic_shapes=shapes).module()

    def answer(given: np.ndarray[Any, Any]) -> Any:
        with torch.inference_mode():
            return program(torch.tensor(given)[:, None]).numpy()

    return answer, onnx_file.OnnxClassifier(folder / f"{name}.onnx", threads=1)


def timed(action: Callable[[], Any], images: int, seconds: float) -> Callable[[], float]:
    """Return a function that gives the median milliseconds of CPU time an image: other processes hardly change it."""

    def run() -> float:
        action()  # warm
        times: list[float] = []
        while sum(times) < seconds or len(times) < 3:
            started = time.process_time()
            action()
            times.append(time.process_time() - started)
        return 1000 * float(np.median(times)) / images

    return run


CASES = {"answers": Case(answers, "whole answers of a deployed classifier: ONNX Runtime and a program of torch")}
