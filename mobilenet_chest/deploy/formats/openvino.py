"""OpenVINO: ``model.xml`` and the weights beside it, for Intel's processors and graphics."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.deploy.formats import onnx
from mobilenet_chest.deploy.formats.format import Format, Logits, failed

if TYPE_CHECKING:
    from mobilenet_chest.models.deployed import DeployedClassifier

RUNTIME_INFO = "mobilenet_chest"
"""Section of the file that has the metadata."""


def write(classifier: DeployedClassifier, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a classifier as OpenVINO's intermediate representation, in float32, by way of ONNX.

    Raises:
        ExportFailed: The network cannot be written as ONNX, or not be converted.
    """
    openvino = _package()

    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        onnx.write(classifier, metadata, file := Path(folder) / "model.onnx")
        try:
            model = openvino.convert_model(file)
        except Exception as error:  # OpenVINO's own errors have no common root
            raise failed("openvino", error) from error
        for key, value in metadata.items():
            model.set_rt_info(value if isinstance(value, str) else json.dumps(value), [RUNTIME_INFO, key])
        openvino.save_model(model, path, compress_to_fp16=False)


def load(path: Path, threads: int) -> Logits:
    """Return what predicts with a file on the processor, in float32."""
    openvino = _package()

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        request.infer([np.ascontiguousarray(images)])
        return np.array(request.get_tensor("logit").data)  # a copy: the next call writes over it

    return logits


def _package() -> Any:
    """Return OpenVINO, which tells nobody about it: it would fork a process for each import and each conversion that
    writes to its maker over the network."""
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))  # as if it were not installed
    return import_module("openvino")


FORMAT = Format("openvino", "model.xml", write, load, package="openvino", extra="openvino", beside=(".bin",))
