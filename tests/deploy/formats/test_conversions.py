"""Networks in the formats of other engines: the same probabilities where this machine runs them."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import start

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.deploy.formats import FORMATS
from mobilenet_chest.deploy.formats.format import BATCH
from mobilenet_chest.deploy.formats.tensorrt import trtexec
from mobilenet_chest.errors import ExportFailed
from mobilenet_chest.models.classifier import Ensemble
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.zoo import build_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # ExecuTorch takes minutes on a busy machine

SIZE = 32
METADATA: dict[str, Any] = {"classes": ["healthy", "sick"], "threshold": 0.5, "temperature": 1.3, "image_size": SIZE}


SMALL = "timm:test_efficientnet"
"""Five blocks: a conversion takes as many seconds as a network has blocks."""


def classifier(channels: int, members: int, model: str) -> DeployedClassifier:
    torch.manual_seed(4)
    models = [build_model(ModelConfig(name=model, weights="none"), channels) for _ in range(members)]
    return DeployedClassifier(models[0].eval() if members == 1 else Ensemble(models).eval(), 1.3, 0.5)


def written(
    name: str, folder: Path, channels: int = 1, members: int = 1, model: str = SMALL
) -> tuple[Path, DeployedClassifier]:
    kind = FORMATS[name]
    if kind.package and find_spec(kind.package) is None:
        pytest.skip(f"{kind.package} is not installed: pip install -e '.[{kind.extra}]'")
    network, path = classifier(channels, members, model), folder / kind.file
    kind.write(network, METADATA | {"channels": channels}, path)
    return path, network


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if not kind.cannot_run])
@pytest.mark.parametrize(("channels", "members", "model"), [(1, 1, "mobilenet_v3_small"), (3, 1, SMALL), (1, 2, SMALL)])
def test_the_same_probabilities(name: str, channels: int, members: int, model: str, tmp_path: Path) -> None:
    if name == "executorch" and channels == 3:
        pytest.skip("a conversion takes a minute, and colour differs in nothing")
    path, network = written(name, tmp_path, channels, members, model)
    # loaded once, and given two numbers of images: neither is that of the example which the file was made with
    images = torch.randint(0, 256, (BATCH + 1, channels, SIZE, SIZE), dtype=torch.uint8)
    expected = 1 / (1 + np.exp(-network.answer(images).logit.numpy().astype(np.float64)))
    given = FORMATS[name].predict(path, images.numpy(), 1)
    assert given.dtype == np.float64
    assert np.abs(given - expected).max() <= FORMATS[name].tolerance


def test_openvino_carries_the_metadata(tmp_path: Path) -> None:
    path, _ = written("openvino", tmp_path)
    import openvino

    assert sys.modules["openvino_telemetry"] is None  # nobody is told about it
    stored = openvino.Core().read_model(path).get_rt_info(["mobilenet_chest", "classes"])
    assert json.loads(stored.astype(str)) == ["healthy", "sick"]


@pytest.mark.parametrize("channels", [1, 3])
def test_core_ml_is_read_back(channels: int, tmp_path: Path) -> None:
    path, network = written("coreml", tmp_path, channels)
    import coremltools

    from mobilenet_chest.deploy.formats import coreml

    description = coremltools.utils.load_spec(str(path)).description
    assert json.loads(description.metadata.userDefined["classes"]) == ["healthy", "sick"]
    assert [output.name for output in description.output] == list(network.outputs)
    with pytest.raises(ExportFailed, match="takes"):
        coreml.check_specification(path, network.outputs, channels, SIZE + 1)
    check = json.loads((tmp_path / "check_on_mac.json").read_text())
    assert check["shape"] == [16, channels, SIZE, SIZE]
    assert len(check["probability"]) == 16


@pytest.mark.skipif(sys.platform != "darwin", reason="Core ML predicts on a Mac alone")
def test_core_ml_on_a_mac(tmp_path: Path) -> None:
    written("coreml", tmp_path)
    done = start(tmp_path / "check_on_mac.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_of_tensorrt(tmp_path: Path) -> None:
    path, _ = written("tensorrt", tmp_path)
    command = trtexec(path, METADATA | {"channels": 1})
    assert command.startswith(f"trtexec --onnx={path} --saveEngine={tmp_path / 'model.plan'} ")
    assert command.endswith("--minShapes=images:1x1x32x32 --optShapes=images:8x1x32x32 --maxShapes=images:64x1x32x32")
