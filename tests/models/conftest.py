"""A quantised classifier, whose files are made once for each process of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.quantized import classifier, images

from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.quantization import quantized
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier
from mobilenet_chest.models.quantized_network import QuantizedNetwork


@pytest.fixture(scope="session")
def quantized_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("quantized")
    onnx_file.write(DeployedClassifier(classifier(), 1.0, 0.5), 16, 1, {}, folder / "whole.onnx")
    made = quantized(folder / "whole.onnx", images(), images(), 0)
    for name, model in (("int8.onnx", made.model), ("float32.onnx", made.float32)):
        (folder / name).write_bytes(model.SerializeToString())
    return folder / "int8.onnx", folder / "float32.onnx"


@pytest.fixture
def model(quantized_files: tuple[Path, Path]) -> QuantizedClassifier:
    return QuantizedClassifier(classifier(), QuantizedNetwork.of_files(*quantized_files))
