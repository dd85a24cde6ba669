"""Formats of exported files side by side: what ``mobilenet-chest benchmark`` times, on networks of random weights."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Case, Options, report
from measure import Json, SavedResults

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.deploy.benchmark.rounds import BATCHES, Engine, Spread, measure
from mobilenet_chest.deploy.formats import FORMATS
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.zoo import build_model

NETWORKS = ("mobilenet_v3_large", "efficientnet_lite0")

ORDER = ("onnx", "openvino", "executorch", "torch")
"""The first is what the others are compared with; those that are not installed are left out."""


def engines(options: Options, saved: SavedResults) -> Json:
    """Measure whole answers in each format, every file in a process of its own, one thread."""
    rows = []
    load_before = os.getloadavg()[0]
    for name in NETWORKS[:1] if options.quick else NETWORKS:
        rows += saved.get(name, lambda name=name: _network(name, options))
    return report(
        rows,
        f"{options.image_size}×{options.image_size} gray images, whole answers with TTA, one thread; in brackets the "
        f"least and greatest of {options.rounds} rounds; load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
    )


def _network(name: str, options: Options) -> list[Json]:
    formats = ORDER[:1] if options.quick else [each for each in ORDER if _installed(each)]
    with tempfile.TemporaryDirectory(prefix="benchmark-engines-") as folder:
        images = Path(folder) / "images.npy"
        shape = (max(BATCHES), 1, options.image_size, options.image_size)
        np.save(images, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        files = [_written(name, each, options.image_size, Path(folder)) for each in formats]
        speeds = measure(
            [Engine(each, file, images) for each, file in zip(formats, files, strict=True)], 1, options.rounds, BATCHES
        )
    return [
        {
            "model": name,
            "format": each,
            "p50_p95_p99_ms": f"{speed.p50_ms:.1f}, {speed.p95_ms:.1f}, {speed.p99_ms:.1f}",
            "times_as_fast": _spread(speed.times_faster),
            "images_per_second": f"{speed.images_per_second.median:.0f}, {speed.batch} at once",
            "memory_mb": round(speed.peak_bytes / 1e6),
            "start_seconds": _spread(speed.start_seconds),
        }
        for each, speed in zip(formats, speeds, strict=True)
    ]


def _installed(name: str) -> bool:
    return not FORMATS[name].package or find_spec(FORMATS[name].package) is not None


def _written(name: str, format_name: str, size: int, folder: Path) -> Path:
    torch.manual_seed(0)
    network = DeployedClassifier(build_model(ModelConfig(name=name, weights="none"), 1).eval(), 1.0, 0.5)
    metadata: dict[str, Any] = {"classes": ["0", "1"], "threshold": 0.5, "temperature": 1.0, "channels": 1}
    path = folder / format_name / FORMATS[format_name].file
    path.parent.mkdir()
    FORMATS[format_name].write(network, metadata | {"image_size": size}, path)
    return path


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f}–{spread.high:.2f})"


CASES = {"engines": Case(engines, "whole answers in each format of export, each in a process of its own")}
