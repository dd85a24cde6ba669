"""The code inside models that were registered before they held an ONNX file: a program of torch answers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from torch.nn import functional

PREDICT_BATCH = 64
"""Images predicted at once."""


class ChestClassifier(PythonModel):
    """Resizes images, runs the exported program (normalisation, network, TTA), and applies the threshold."""

    def load_context(self, context) -> None:  # type: ignore[no-untyped-def]
        self.settings = json.loads(Path(context.artifacts["settings"]).read_text(encoding="utf-8"))
        self.program = torch.export.load(context.artifacts["program"]).module()

    def predict(self, context, model_input: np.ndarray, params=None):  # type: ignore[no-untyped-def]
        images = np.asarray(model_input)
        channels = self.settings["channels"]
        shape_is_right = images.ndim == 3 if channels == 1 else images.ndim == 4 and images.shape[3] == 3
        if images.dtype != np.uint8 or not shape_is_right:
            expected = "(n, height, width)" if channels == 1 else "(n, height, width, 3)"
            raise ValueError(f"expected uint8 images {expected}, got {images.dtype} {images.shape}")
        parts = [np.zeros(0)]
        for start in range(0, len(images), PREDICT_BATCH):
            pixels = torch.tensor(images[start : start + PREDICT_BATCH])
            pixels = pixels[:, None] if channels == 1 else pixels.permute(0, 3, 1, 2).contiguous()
            with torch.inference_mode():
                parts.append(self.program(self._resize(pixels)).double().numpy())
        probability = np.concatenate(parts)
        label = (probability >= self.settings["threshold"]).astype(np.int64)
        names = np.asarray(self.settings["classes"], dtype=object)[label]
        return pd.DataFrame({"probability": probability, "label_name": names, "label": label})

    def _resize(self, images: torch.Tensor) -> torch.Tensor:
        size = self.settings["image_size"]
        if images.shape[-2:] == (size, size):
            return images
        scaled = functional.interpolate(images.float(), (size, size), mode="bicubic", antialias=True)
        return scaled.round().clamp(0, 255).byte()


set_model(ChestClassifier())
