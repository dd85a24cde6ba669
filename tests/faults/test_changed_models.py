"""Registered models whose files are not those that were promoted."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
from helpers.brightness import build_brightness
from helpers.commands import run
from helpers.hostile import Bomb, is_live
from mlflow import MlflowClient

from mobilenet_chest.errors import UserError
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.predict import predict_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model."""
    folder = tmp_path_factory.mktemp("built") / "model"
    build_brightness(folder)
    return folder


@pytest.fixture
def registered(built: Path, tracking: Path) -> Path:
    """The artifact folder of version 1 of ``tiny``, and an image to predict."""
    client = MlflowClient()
    run_id = client.create_run(client.create_experiment("e")).info.run_id
    client.log_artifacts(run_id, str(built), "model")
    client.create_registered_model("tiny")
    tags = {"sha256": digests.digests_tag(digests.folder_digests(built))}
    client.create_model_version("tiny", f"runs:/{run_id}/model", run_id, tags=tags)
    client.set_registered_model_alias("tiny", "champion", "1")
    np.save(tracking / "images.npy", np.full((1, 8, 8), 200, np.uint8))
    (folder,) = tracking.glob("mlruns/*/*/artifacts/model")
    return folder


def change_code(folder: Path, canary: Path) -> str:
    path = folder / "served.py"
    path.write_text(path.read_text() + f"\nimport os; os.mkdir({str(canary)!r})\n")
    return "served.py was changed"


def change_description(folder: Path, canary: Path) -> str:
    """Another loader, from a module that comes along."""
    (folder / "evil.py").write_text(f"import os; os.mkdir({str(canary)!r})\n")
    path = folder / "MLmodel"
    text = path.read_text().replace("mlflow.pyfunc.loaders.code_model", "evil").replace("code: null", "code: .")
    path.write_text(text)
    return "MLmodel was changed; evil.py was added"


def change_network(folder: Path, canary: Path) -> str:
    """Another file in place of the network, which the code then unpickles."""
    (folder / "artifacts" / "network.onnx").write_bytes(pickle.dumps(Bomb(canary)))
    path = folder / "served.py"
    text = path.read_text().replace(
        'network = context.artifacts["network"]',
        """network = context.artifacts["network"]
        pd.read_pickle(network)""",
    )
    path.write_text(text)
    return "artifacts/network.onnx was changed; served.py was changed"


@pytest.mark.parametrize("change", [change_code, change_description, change_network])
def test_a_changed_model(change: Callable[[Path, Path], str], registered: Path, canary: Path, tracking: Path) -> None:
    expected = change(registered, canary)
    is_live(canary, lambda: mlflow.pyfunc.load_model("models:/tiny@champion"))
    with pytest.MonkeyPatch.context() as patch:  # MLflow wrote this one beside the files
        (registered / "registered_model_meta").unlink(missing_ok=True)
        shutil.rmtree(registered / "__pycache__", ignore_errors=True)
        patch.chdir(tracking)
        result = run("predict", "models:/tiny@champion", "images.npy", "--out", "out.csv")
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tracking / "out.csv").exists()


def test_a_model_as_it_was_promoted(registered: Path, tracking: Path) -> None:
    assert predict_files("models:/tiny@champion", tracking / "images.npy", tracking / "out.csv").rows == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "extra.txt").write_text("x"), "extra.txt was added"),
        (lambda folder: (folder / "artifacts" / "settings.json").unlink(), "artifacts/settings.json is missing"),
        (lambda folder: shutil.rmtree(folder), "models:/tiny/1: .*downloaded"),
        (lambda folder: MlflowClient().delete_model_version_tag("tiny", "1", "sha256"), "has no digests"),
        (lambda folder: MlflowClient().set_model_version_tag("tiny", "1", "sha256", "{}"), "was added"),
        (lambda folder: MlflowClient().set_model_version_tag("tiny", "1", "sha256", "nonsense"), "has no"),
    ],
    ids=["added", "missing", "gone", "no digests", "other digests", "damaged digests"],
)
def test_a_model_that_is_not_what_was_promoted(
    change: Callable[[Path], Any], expected: str, registered: Path, tracking: Path
) -> None:
    change(registered)
    with pytest.raises(UserError, match=expected) as caught:
        predict_files("models:/tiny@champion", tracking / "images.npy", tracking / "out.csv")
    assert "promote the run" in str(caught.value)
    assert not (tracking / "out.csv").exists()
