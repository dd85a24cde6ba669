"""ONNX: one file for ONNX Runtime, and what other formats are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.formats.format import Format, Logits
from mobilenet_chest.models.onnx_session import open_session

if TYPE_CHECKING:
    from mobilenet_chest.models.deployed import DeployedClassifier


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as ONNX, as :func:`mobilenet_chest.models.onnx_file.write` does.

    Raises:
        ExportFailed: The network cannot be written as ONNX.
    """
    from mobilenet_chest.models import onnx_file

    onnx_file.write(classifier, metadata["image_size"], metadata["channels"], metadata, path)


def load(path: Path, threads: int) -> Logits:
    """Return what predicts with a file by ONNX Runtime."""
    session = open_session(path, threads)

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (logit,) = session.run(["logit"], {"images": images})
        return np.asarray(logit)

    return logits


FORMAT = Format("onnx", "model.onnx", write, load)
