"""Registered versions from before the ONNX file: they hold a program of torch, and stay usable."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from helpers.brightness import BRIGHT, DARK, Brightness, assert_dark_then_bright, flat
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from torch import Tensor, nn

from mobilenet_chest.registry import digests
from mobilenet_chest.registry.predict import predict_array


class WithMirror(nn.Module):
    """What such a program computes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Brightness()

    def forward(self, images: Tensor) -> Tensor:
        plain, mirrored = self.model(images), self.model(images.flip(-1))
        return (plain.double().sigmoid() + mirrored.double().sigmoid()) / 2


@pytest.fixture
def model_uri(tracking: Path, tmp_path: Path) -> str:
    shapes = {"images": {0: torch.export.Dim("n", min=1, max=65536)}}
    settings = {"image_size": 16, "channels": 1, "classes": ["dark", "bright"], "threshold": 0.5}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    columns = [ColSpec("double", "probability"), ColSpec("string", "label_name"), ColSpec("long", "label")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
        program = torch.export.export(WithMirror().eval(), (images,), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "program.pt2")
        mlflow.pyfunc.save_model(
            path=str(tmp_path / "model"),
            python_model=str(Path(__file__).with_name("served_torch.py")),
            artifacts={name: str(tmp_path / file) for name, file in
                       (("program", "program.pt2"), ("settings", "settings.json"))},
            signature=ModelSignature(Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1))]), Schema(columns)),
            pip_requirements=[],
        )  # fmt: skip
    client = MlflowClient()
    run_id = client.create_run(client.create_experiment("models")).info.run_id
    client.log_artifacts(run_id, str(tmp_path / "model"), "model")
    client.create_registered_model("old")
    version_tags = {"sha256": digests.digests_tag(digests.folder_digests(tmp_path / "model"))}
    client.create_model_version("old", f"runs:/{run_id}/model", run_id, tags=version_tags)
    return "models:/old/1"


@pytest.mark.slow
def test_it_predicts(model_uri: str) -> None:
    assert_dark_then_bright(predict_array(model_uri, flat(DARK, BRIGHT)))
