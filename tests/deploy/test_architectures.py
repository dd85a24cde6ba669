"""Every architecture as an ONNX file: the same probabilities for any number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.classifier import Ensemble
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_file import OnnxClassifier, write
from mobilenet_chest.models.zoo import BUILDERS, build_model

TIMM = ("timm:convnext_atto", "timm:tf_mobilenetv3_small_minimal_100")
SIZE = 64
METADATA: dict[str, Any] = {"classes": ["0", "1"], "threshold": 0.5, "temperature": 1.3}

CASES: list[tuple[int, dict[str, Any]]] = [
    *((1, {"name": name}) for name in (*BUILDERS, *TIMM)),
    (3, {"name": "mobilenet_v3_small"}),
    (1, {"name": "mobilenet_v3_small", "stem": "repeat", "pooling": "gem"}),
    (1, {"name": "mobilenet_v3_small", "attention": "se", "pooling": "max"}),
    (1, {"name": "mobilenet_v3_small", "attention": "cbam", "pooling": "gem"}),
]


def assert_same(model: torch.nn.Module, channels: int, path: Path) -> None:
    classifier = DeployedClassifier(model, 1.3, 0.5)
    write(classifier, SIZE, channels, METADATA, path)
    file = OnnxClassifier(path, threads=1)
    for n in (1, 7):  # the exporter has seen 2
        images = torch.randint(0, 256, (n, channels, SIZE, SIZE), dtype=torch.uint8)
        expected = classifier.answer(images)
        answers = file.predict((images[:, 0] if channels == 1 else images.permute(0, 2, 3, 1)).numpy())
        assert np.abs(answers.probability - expected.probability.numpy()).max() <= 1e-5
        assert np.abs(answers.calibrated - expected.calibrated.numpy()).max() <= 1e-5
        certain = np.abs(expected.probability.numpy() - 0.5) > 1e-6
        np.testing.assert_array_equal(answers.label[certain], expected.label.numpy()[certain])


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "fields"), CASES, ids=lambda value: "-".join(map(str, value.values()))
                         if isinstance(value, dict) else str(value))  # fmt: skip
def test_an_architecture(channels: int, fields: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(4)
    assert_same(build_model(ModelConfig(weights="none", **fields), channels).eval(), channels, tmp_path / "a.onnx")


@pytest.mark.slow
def test_an_ensemble_is_one_file(tmp_path: Path) -> None:
    torch.manual_seed(4)
    members = [build_model(ModelConfig(name=name, weights="none"), 1)
               for name in ("mobilenet_v3_small", "efficientnet_lite0")]  # fmt: skip
    assert_same(Ensemble(members).eval(), 1, tmp_path / "a.onnx")
