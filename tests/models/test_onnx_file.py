"""ONNX files: written for any number of images, read with their metadata, refused where they answer otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from helpers.brightness import BRIGHT, DARK, Brightness, flat, probability
from torch import Tensor, nn

from mobilenet_chest.errors import DataError, ExportFailed
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_file import OnnxClassifier, with_static_padding, write

METADATA: dict[str, Any] = {"classes": ["dark", "bright"], "threshold": 0.5, "temperature": 2.0, "card": "Ü\n|"}


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "colour"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxClassifier:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write(DeployedClassifier(Brightness(), 2.0, 0.5), 16, request.param, METADATA, path)
    return OnnxClassifier(path, threads=1)


def test_its_metadata_is_read(written: OnnxClassifier) -> None:
    assert written.classes == ("dark", "bright")
    assert (written.threshold, written.temperature, written.image_size) == (0.5, 2.0, 16)
    assert written.metadata["card"] == "Ü\n|"


@pytest.mark.parametrize("n", [0, 1, 2, 7, 130])
def test_any_number_of_images(written: OnnxClassifier, n: int) -> None:
    shape = (16, 16) if written.channels == 1 else (16, 16, 3)
    levels = [DARK, BRIGHT] * 65
    answers = written.predict(flat(*levels, shape=shape)[:n])
    assert [part.dtype for part in answers[:3]] == [np.float64, np.float32, np.int64]
    assert answers.features is None
    np.testing.assert_allclose(answers.probability, [probability(level) for level in levels][:n], atol=1e-6)
    np.testing.assert_array_equal(answers.label, ([0, 1] * 65)[:n])
    calibrated = [1 / (1 + np.exp(-(level - 128) / 64)) for level in levels]
    np.testing.assert_allclose(answers.calibrated, calibrated[:n], atol=1e-6)


class Steep(nn.Module):
    """Logits from -384 to 381: their sigmoids are 0 and 1 in float32."""

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, 0].float().mean((1, 2)) - 128) * 3


def test_logits_of_any_size_are_those_of_the_network(tmp_path: Path) -> None:
    write(DeployedClassifier(Steep(), 2.0, 0.5), 16, 1, METADATA, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (len(levels), 1, 16, 16))
    logit, plain = session.run(["logit", "logit_plain"], {"images": np.ascontiguousarray(images)})
    np.testing.assert_allclose(logit, (levels - 128.0) * 3, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(logit, plain)


def test_images_of_another_size_or_type_are_refused(written: OnnxClassifier) -> None:
    for images in (np.zeros((1, 20, 24), np.uint8), np.zeros((1, 16, 16), np.float32)):
        with pytest.raises(DataError, match="uint8 images"):
            written.predict(images)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no such thing")
    for missing in (path, tmp_path / "none.onnx"):
        with pytest.raises(DataError, match="no ONNX file of a classifier"):
            OnnxClassifier(missing)


class FirstImageOnly(nn.Module):
    """Depends on the number of images that an exporter shows it."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3)) / 200 - int(images.shape[0]) / 4


def test_a_network_with_its_number_of_images_as_a_constant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_exported", onnx_file._traced)  # the other one takes long, and gets it right
    with pytest.raises(ExportFailed, match="differ from the network's"):
        write(DeployedClassifier(FirstImageOnly(), 1.0, 0.5), 16, 1, METADATA, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), [(9, 3, 2, 1), (8, 5, 2, 1), (7, 3, 1, 2)])
def test_static_padding_is_that_of_timm(size: int, kernel: int, stride: int, dilation: int) -> None:
    from timm.layers import Conv2dSame

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = Conv2dSame(1, 2, kernel, stride, dilation=dilation)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv(images.float() / 255).sum((1, 2, 3))

    classifier = DeployedClassifier(Same(), 1.0, 0.5)
    images = torch.randint(0, 256, (2, 1, size, size + 2), dtype=torch.uint8)
    static = with_static_padding(classifier, images)
    assert not [module for module in static.modules() if isinstance(module, Conv2dSame)]
    assert [module for module in classifier.modules() if isinstance(module, Conv2dSame)]
    torch.testing.assert_close(static.answer(images).logit, classifier.answer(images).logit)


@pytest.mark.slow
def test_the_other_exporter_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def removed(*_: object) -> None:
        raise TypeError("torch has it no more")

    monkeypatch.setattr(onnx_file, "_traced", removed)
    write(DeployedClassifier(Brightness(), 2.0, 0.5), 16, 1, METADATA, tmp_path / "model.onnx")
    file = OnnxClassifier(tmp_path / "model.onnx")
    assert file.metadata["card"] == METADATA["card"]
    assert file.predict(flat(BRIGHT, shape=(16, 16))).probability[0] == pytest.approx(probability(BRIGHT), abs=1e-6)
