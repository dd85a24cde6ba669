"""Fixtures that spare the tests of the registry the export of a model and a fresh process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.brightness import Brightness
from helpers.registry import Promoted, artifact, predict_here
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.registry import digests, package
from mobilenet_chest.registry.package import build


@pytest.fixture
def packed(promoted_original: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing copies what the first promotion packed: the best trial's model, whatever run is promoted."""
    original, promotion = promoted_original
    (model,) = (path.parent for path in artifact(original, promotion.run_id).glob("*/MLmodel"))
    monkeypatch.setattr(package, "build", lambda *given, **_: shutil.copytree(model, given[-1]))


@pytest.fixture
def loaded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registered model predicts in this process instead of a fresh one."""
    monkeypatch.setattr(package, "predict_in_fresh_process", predict_here)


@pytest.fixture
def model_folder(promoted: Promoted, tmp_path: Path) -> Path:
    """A downloaded copy of the champion's model folder."""
    return Path(download_artifacts("models:/tiny@champion", dst_path=str(tmp_path / "copy")))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders for grey and for colour images, and one whose training file says how its pictures were prepared."""
    folder = tmp_path_factory.mktemp("models")
    for name, channels in (("gray", 1), ("colour", 3)):
        build(Brightness(), 16, channels, ("dark", "bright"), 0.5, folder / name)
    prepared = Preparation(16, "letterbox", 1, 12, "bits")
    build(Brightness(), 16, 1, ("dark", "bright"), 0.5, folder / "prepared", prepared)
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
