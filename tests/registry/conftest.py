"""Fixtures that spare the tests of the registry the export of a model and a fresh process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.registry import Promoted, artifact, predict_here
from mlflow.artifacts import download_artifacts

from mobilenet_chest.registry import package


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
