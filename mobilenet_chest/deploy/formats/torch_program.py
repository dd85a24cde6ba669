"""A program of torch: ``model.pt2``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.formats.format import METADATA_FILE, Format, Logits, engine_warnings_off, failed

if TYPE_CHECKING:
    import torch

    from mobilenet_chest.models.deployed import DeployedClassifier


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as a program for any number of images; ``extra_files`` has its metadata.

    Raises:
        ExportFailed: The network cannot be exported.
    """
    import torch

    program = exported(classifier, metadata, "torch")
    with engine_warnings_off():  # it warns of weights that lie in another order, as those of a gray stem do
        torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(dict(metadata))})


def exported(classifier: DeployedClassifier, metadata: Mapping[str, Any], name: str) -> torch.export.ExportedProgram:
    """Return a classifier as a program for any number of images; ``name`` is the format that needs it.

    Raises:
        ExportFailed: The network cannot be exported.
    """
    import torch

    from mobilenet_chest.models import onnx_file

    size = metadata["image_size"]
    images = torch.zeros(onnx_file.EXAMPLES, metadata["channels"], size, size, dtype=torch.uint8)
    try:
        return onnx_file.exported_program(classifier, images)
    except Exception as error:  # torch.export raises errors of many kinds
        raise failed(name, error) from error


def load(path: Path, threads: int) -> Logits:
    """Return what predicts with a program by torch; the number of threads counts for the process."""
    import torch

    torch.set_num_threads(threads)
    program = torch.export.load(path).module()

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(program(torch.from_numpy(images))[3].numpy())

    return logits


FORMAT = Format("torch", "model.pt2", write, load, runs_code=True)  # torch.export.load unpickles some tensors
