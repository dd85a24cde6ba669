"""What a compressed file saves: its size, and the time of its answers beside the original's."""

from __future__ import annotations

import statistics
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.onnx_session import open_session

ROUNDS = {1: 30, 32: 7}
"""Answers that are timed, by the number of images in each."""


def measure(original: Path, compressed: Path, images: Tensor) -> dict[str, float]:
    """Return size and latency of a compressed file, and both beside the original's.

    The two answer in turn, so that whatever else the machine does meets both.

    Args:
        original: ONNX file.
        compressed: ONNX file.
        images: uint8 (n, c, s, s); they are repeated where there are fewer than are timed at once.

    Returns:
        ``file_bytes``, ``size_ratio``, ``zipped_ratio``; ``answer_1_ms``, ``answer_32_ms``: medians in milliseconds,
        with TTA;
        ``speed_ratio_1``, ``speed_ratio_32``: median of the original's time over the compressed file's.
    """
    size, before = (path.stat().st_size for path in (compressed, original))
    zipped, zipped_before = (len(zlib.compress(path.read_bytes())) for path in (compressed, original))
    results = {"file_bytes": float(size), "size_ratio": size / before, "zipped_ratio": zipped / zipped_before}
    sessions = [open_session(path) for path in (original, compressed)]
    for batch, rounds in ROUNDS.items():
        pixels = np.resize(images[:batch].numpy(), (batch, *images.shape[1:]))
        times = [[_seconds(session, pixels) for session in sessions] for _ in range(rounds + 2)][2:]
        results[f"answer_{batch}_ms"] = 1000 * statistics.median(own for _, own in times)
        results[f"speed_ratio_{batch}"] = statistics.median(other / own for other, own in times)
    return results


def _seconds(session: Any, pixels: Any) -> float:
    started = time.perf_counter()
    session.run(["calibrated", "label"], {onnx_file.INPUT: pixels})
    return time.perf_counter() - started
