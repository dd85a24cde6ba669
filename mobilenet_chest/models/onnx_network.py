"""A whole ONNX file as a network, so that what predicts, scores and times networks takes it too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mobilenet_chest.errors import DataError
from mobilenet_chest.models import onnx_file


class OnnxNetwork(nn.Module):
    """The network inside an ONNX file of a classifier, without its mirror image; on the CPU, and not to be trained.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, or has no output of the plain logit.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._session = onnx_file.OnnxClassifier(path).session
        if "logit_plain" not in {output.name for output in self._session.get_outputs()}:
            raise DataError(f"{path}: is of an early version, without the output logit_plain; compress its run again")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 (n,), of uint8 images (n, c, s, s)."""
        parts = images.contiguous().cpu().split(onnx_file.BATCH)
        logits = [self._session.run(["logit_plain"], {onnx_file.INPUT: part.numpy()})[0] for part in parts]
        return torch.from_numpy(np.concatenate(logits))
