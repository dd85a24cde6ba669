"""The code inside a registered model. MLflow copies this file beside the weights, so it must not import this project.

Input: uint8 images (n, height, width), or (n, height, width, 3) for colour, of any size. Output: a table with the
columns ``probability`` (of class 1, mean of the image and its mirror), ``label_name`` and ``label`` (0 or 1). With
``params={"features": True}`` a column ``features`` has what the network's head is given, float32 (f,) for each image.
"""

import json
import os
import platform
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

PREDICT_BATCH = 64
"""Images predicted at once."""


class ChestClassifier(PythonModel):
    """Resizes images, runs the ONNX file (normalisation, network, TTA), and applies the threshold."""

    def load_context(self, context) -> None:  # type: ignore[no-untyped-def]
        self.settings = json.loads(Path(context.artifacts["settings"]).read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        options.log_severity_level = 3  # errors only
        # idle threads would wait for work in a loop, which takes the processor from everything else
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        network = context.artifacts["network"]
        self.session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        if self.session.get_modelmeta().custom_metadata_map.get("weight_bits") == "8" and not _multiplies_bytes():
            raise NotImplementedError(
                "has 8-bit weights, made on a processor with VNNI; this one has none, and the answers would be wrong; "
                "use it on such a processor, or compress its run again on this one and promote that"
            )

    def predict(self, context, model_input: np.ndarray, params=None):  # type: ignore[no-untyped-def]
        probability, label, features = self.arrays(model_input, bool(params and params.get("features")))
        names = np.asarray(self.settings["classes"], dtype=object)[label]
        table = pd.DataFrame({"probability": probability, "label_name": names, "label": label})
        if features is not None:
            table["features"] = pd.Series(features, dtype=object)
        return table

    def arrays(self, model_input: np.ndarray, features: bool = False):  # type: ignore[no-untyped-def]
        """Return probability, label and features, if any, without a table, which takes half a millisecond."""
        images = np.asarray(model_input)
        channels = self.settings["channels"]
        shape_is_right = images.ndim == 3 if channels == 1 else images.ndim == 4 and images.shape[3] == 3
        if images.dtype != np.uint8 or not shape_is_right:
            expected = "(n, height, width)" if channels == 1 else "(n, height, width, 3)"
            raise ValueError(f"expected uint8 images {expected}, got {images.dtype} {images.shape}")
        outputs = ["logit", "features"] if features and "features" in self.outputs else ["logit"]
        parts, of_head = [np.zeros(0)], []
        for start in range(0, len(images), PREDICT_BATCH):
            batch = images[start : start + PREDICT_BATCH]
            pixels = batch[:, None] if channels == 1 else batch.transpose(0, 3, 1, 2)
            resized = np.ascontiguousarray(self._resize(pixels))
            logit, *others = self.session.run(outputs, {"images": resized})
            # from the logit, so that probabilities which float32 rounds to 1 stay apart
            parts.append(1 / (1 + np.exp(-logit.astype(np.float64))))
            of_head += [row for rows in others for row in rows]
        probability = np.concatenate(parts)
        label = (probability >= self.settings["threshold"]).astype(np.int64)
        return probability, label, of_head if len(outputs) > 1 else None

    def _resize(self, images: np.ndarray) -> np.ndarray:
        size = self.settings["image_size"]
        if images.shape[-2:] == (size, size):
            return images
        import torch  # takes a second, and images of the network's size need none of it

        pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
        scaled = torch.nn.functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
        return scaled.round().clamp(0, 255).byte().numpy()


def _threads() -> int:
    """Return OMP_NUM_THREADS, where it is set, as torch does; else the number of processors for this process."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text.isdecimal() and int(text):
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _multiplies_bytes() -> bool:
    """Return whether products of bytes are added up without saturation: by VNNI on x86, and on ARM."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return bool(flags & {"avx512_vnni", "avx_vnni"})


set_model(ChestClassifier())
