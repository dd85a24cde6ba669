"""Models that judge by brightness alone, and their tables of predictions."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from torch import Tensor, nn

from helpers.stores import made_once
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.package import build
from mobilenet_chest.registry.predict import predict_files

DARK, BRIGHT = 96, 160
COLUMNS = ["source", "row", "probability", "label_name", "label"]


class Brightness(nn.Module):
    """Logit 0 at a grey level of 128, and one more or less for 32 levels, by the last channel."""

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, -1].float().mean((1, 2)) - 128) / 32


def build_brightness(folder: Path, channels: int = 1, **metadata: Any) -> None:
    """Write the model folder of a network that judges 16×16 images by their brightness."""
    given = {"image_size": 16, "channels": channels, "classes": ["dark", "bright"], "threshold": 0.5}
    with tempfile.TemporaryDirectory() as work:
        network = Path(work) / "network.onnx"
        onnx_file.write(DeployedClassifier(Brightness(), 1.0, 0.5), 16, channels, given | metadata, network)
        build(network, given | metadata, folder)


def probability(level: float) -> float:
    return 1 / (1 + math.exp(-(level - 128) / 32))


def flat(*levels: int, shape: tuple[int, ...] = (20, 24)) -> NDArray[np.uint8]:
    return np.stack([np.full(shape, level, np.uint8) for level in levels])


def predicted(model: str, source: Path, out: str = "out.csv") -> pd.DataFrame:
    path = source.parent / out
    count = predict_files(model, source, path).rows
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert list(table) == COLUMNS
    assert len(table) == count
    return table


def assert_dark_then_bright(table: pd.DataFrame, tolerance: float = 1e-6) -> None:
    assert table["probability"].tolist() == pytest.approx([probability(DARK), probability(BRIGHT)], abs=tolerance)
    assert table["label_name"].tolist() == ["dark", "bright"]
    assert table["label"].tolist() == [0, 1]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders for grey and for colour images, and one whose training file says how its pictures were prepared."""
    return made_once(tmp_path_factory, "brightness", _built)


def _built(folder: Path) -> dict[str, Path]:
    for name, channels in (("gray", 1), ("colour", 3)):
        build_brightness(folder / name, channels)
    build_brightness(folder / "prepared", preparation=Preparation(16, "letterbox", 1, 12, "bits").as_dict())
    return {name: folder / name for name in ("gray", "colour", "prepared")}


@pytest.fixture
def models(built: dict[str, Path], tracking: Path) -> dict[str, str]:
    """Addresses of these models, registered as a promotion does it."""
    client = MlflowClient()
    run_id = client.create_run(client.create_experiment("models")).info.run_id
    for name, folder in built.items():
        client.log_artifacts(run_id, str(folder), name)
        client.create_registered_model(name)
        version_tags = {"sha256": digests.digests_tag(digests.folder_digests(folder))}
        client.create_model_version(name, f"runs:/{run_id}/{name}", run_id, tags=version_tags)
    return {name: f"models:/{name}/1" for name in built}


@pytest.fixture
def versions(models: dict[str, str]) -> MlflowClient:
    """The gray model has two versions, and its alias points to the first."""
    client = MlflowClient()
    (first,) = client.search_model_versions("name = 'gray'")
    client.create_model_version("gray", first.source, first.run_id, tags=first.tags)
    client.set_registered_model_alias("gray", "champion", "1")
    return client
