"""The formats of exported files: how a classifier is written, and how a file of it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest.errors import ExportFailed
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.deployed import Answer, DeployedClassifier

BATCH = 64
"""Images that a program is given at once."""

METADATA_FILE = "metadata.json"
"""Name of the metadata inside a ``.pt2`` file, where ``torch.export.load`` finds it by ``extra_files``."""


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        file: The file's name.
        write: Writes a classifier for images of a size and number of channels, with metadata, to a path.
        predict: Returns the probabilities (n,), float64, that a file gives for uint8 images (n, c, s, s).
    """

    file: str
    write: Callable[[DeployedClassifier, int, int, Mapping[str, Any], Path], None]
    predict: Callable[[Path, Tensor], NDArray[np.float64]]


def _predict_onnx(path: Path, images: Tensor) -> NDArray[np.float64]:
    pixels = images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1)
    return onnx_file.OnnxClassifier(path).predict(pixels.numpy()).probability


def _write_torch(
    classifier: DeployedClassifier, image_size: int, channels: int, metadata: Mapping[str, Any], path: Path
) -> None:
    images = torch.zeros(onnx_file.EXAMPLES, channels, image_size, image_size, dtype=torch.uint8)
    try:
        program = onnx_file.exported_program(classifier, images)
    except Exception as error:  # torch.export raises errors of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportFailed(f"the network cannot be exported by torch: {reason}; try --format onnx") from error
    torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(dict(metadata))})


def _predict_torch(path: Path, images: Tensor) -> NDArray[np.float64]:
    program = torch.export.load(path).module()
    with torch.inference_mode():
        logits = [Answer(*program(part)).logit for part in images.split(BATCH)]
    return np.asarray(torch.cat(logits).double().sigmoid().numpy())


FORMATS = {
    "onnx": Format("model.onnx", onnx_file.write, _predict_onnx),
    "torch": Format("model.pt2", _write_torch, _predict_torch),
}
"""All formats by name."""
