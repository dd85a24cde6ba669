"""INT8 after training, on a network of three layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.models import onnx_file
from mobilenet_chest.models import quantization as int8
from mobilenet_chest.models.decision import with_decision
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_session import open_session


class Small(nn.Module):
    """Two convolutions and a linear layer, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 1),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return 20 * self.layers(images.float() / 255)[:, 0]


@pytest.fixture(scope="module")
def images() -> Tensor:
    scale = torch.rand(48, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    noise = torch.rand(48, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    return (scale * noise * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    onnx_file.write(DeployedClassifier(Small().eval(), 1.5, 0.5), 16, 1, {}, path)
    return path


def answers(model: onnx.ModelProto, images: Tensor) -> dict[str, np.ndarray]:
    names = ["probability", "calibrated", "label", "logit"]
    return dict(zip(names, open_session(model.SerializeToString()).run(names, {"images": images.numpy()}), strict=True))


def test_the_quantised_file_predicts_nearly_as_the_original(file: Path, images: Tensor, capsys) -> None:  # type: ignore[no-untyped-def]
    converted = int8.quantized(file, images, images, 0)
    assert capsys.readouterr().out == ""
    assert converted.choices["calibration"] in int8.CALIBRATIONS
    assert converted.choices["float32_layers"].startswith("0 of 3")
    assert 0 < mean_change(converted.model, file, images) <= int8.GOAL
    weights = [tensor for tensor in converted.model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert {tuple(tensor.dims) for tensor in weights if len(tensor.dims) > 1} >= {(8, 1, 3, 3), (16, 8, 3, 3)}


def mean_change(model: onnx.ModelProto, file: Path, images: Tensor) -> float:
    change = answers(model, images)["probability"] - answers(onnx.load(file), images)["probability"]
    return float(np.abs(change).mean())


def test_layers_that_hurt_stay_in_float32(file: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mean_change(int8.quantized(file, images, images, 0).model, file, images)
    monkeypatch.setattr(int8, "KEPT", (1, 3))
    monkeypatch.setattr(int8, "LAYERS", ("Conv", "Gemm", "Relu"))  # five; a quarter of them is one
    converted = int8.quantized(file, images, images, 0, goal=0.0)
    assert converted.choices["float32_layers"].partition(": ")[0] in ("0 of 5", "1 of 5")
    assert mean_change(converted.model, file, images) <= whole


def test_the_decision_is_written_anew(file: Path, images: Tensor) -> None:
    before = answers(onnx.load(file), images)
    after = answers(with_decision(onnx.load(file), 3.0, 0.7), images)
    np.testing.assert_array_equal(after["probability"], before["probability"])
    np.testing.assert_allclose(after["calibrated"], 1 / (1 + np.exp(-before["logit"] / 3)), atol=1e-6)
    np.testing.assert_array_equal(after["label"], before["probability"] >= np.float32(0.7))
