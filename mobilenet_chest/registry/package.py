"""The model folder that MLflow registers: written, loaded, and shown to run without this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema, TensorSpec
from numpy.typing import NDArray

from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.errors import DataError, PromotionRefused, TrackingError
from mobilenet_chest.registry import digests
from mobilenet_chest.tracking.store import as_tracking_lost, connect

SERVED_CODE = Path(__file__).with_name("served.py")
RUNTIME = ("mlflow", "numpy", "pandas", "onnxruntime", "torch")
"""What a registered model needs; torch only for images of another size than the network's."""

SETTINGS = ("image_size", "channels", "classes", "threshold", "temperature", "abstains", "preparation")
"""What the model's folder says outside the ONNX file."""


def build(network: Path, metadata: Mapping[str, Any], folder: Path) -> None:
    """Write a complete MLflow model folder of an ONNX file and plain text, without pickles.

    Args:
        network: The file, named as it is to be in the folder.
        metadata: What the ONNX file says about itself, as
            :func:`~mobilenet_chest.registry.classifier.file_metadata` returns it. The served code uses ``image_size``,
            to which it resizes, ``channels``, ``classes`` and ``threshold``, and ``predict`` uses ``preparation``.
        folder: Folder to create.
    """
    channels = metadata["channels"]
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as work:
        settings = Path(work) / "settings.json"
        settings.write_text(json.dumps({key: metadata[key] for key in SETTINGS if key in metadata}, indent=1))
        shape = (-1, -1, -1) if channels == 1 else (-1, -1, -1, 3)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.uint8), shape)]),
            outputs=Schema(
                [ColSpec("double", "probability"), ColSpec("string", "label_name"), ColSpec("long", "label")]
            ),
        )
        with warnings.catch_warnings():
            # MLflow asks for an input example to infer the signature from, but the signature is given
            warnings.simplefilter("ignore")
            mlflow.pyfunc.save_model(
                path=str(folder),
                python_model=str(SERVED_CODE),
                artifacts={"network": str(network), "settings": str(settings)},
                signature=signature,
                pip_requirements=[f"{name}=={version(name)}" for name in RUNTIME],
            )
    _remove_local_paths(folder)


@as_tracking_lost()
def load_registered(model_uri: str) -> tuple[PyFuncModel, int, Preparation | None]:
    """Load a registered model of this package; return it, the number of channels it takes, and its preparation.

    Its files are copied, the copy is compared with the digests in the registry, and the copy is loaded.

    Raises:
        TrackingError: There is no such model, it was changed, or mobilenet-chest did not promote it.
    """
    client = connect(to_read=True)
    version = digests.find_version(client, model_uri)
    with digests.verified_copy(client, version) as folder:
        model, channels = _load(folder, model_uri)
        return model, channels, _stored_preparation(folder, model_uri)


def _stored_preparation(folder: Path, model_uri: str) -> Preparation | None:
    """Return what the settings of a model folder say about pictures; ``None`` where the training file said nothing."""
    try:
        settings = json.loads((folder / "artifacts" / "settings.json").read_text(encoding="utf-8"))
        stored = settings.get("preparation")
        return None if stored is None else Preparation.from_json(json.dumps(stored))
    except (OSError, ValueError, AttributeError, DataError) as error:
        raise TrackingError(
            f"model {model_uri}: its settings cannot be read ({error}); promote its run again"
        ) from error


def check_loads(client: MlflowClient, version: ModelVersion) -> None:
    """Check that a version's files are those promoted, and that the model predicts.

    Raises:
        TrackingError: A file differs, or the model cannot be loaded, or gives no probability.
    """
    uri = f"models:/{version.name}/{version.version}"
    with digests.verified_copy(client, version) as folder:
        model, channels = _load(folder, uri)
    blank = np.zeros((1, 32, 32) if channels == 1 else (1, 32, 32, 3), np.uint8)
    probability = float(cast(pd.DataFrame, model.predict(blank))["probability"].iloc[0])
    if not 0 <= probability <= 1:
        raise TrackingError(f"model {uri}: gives {probability} for a blank image, which is not a probability")


def _load(folder: Path, model_uri: str) -> tuple[PyFuncModel, int]:
    try:
        model = mlflow.pyfunc.load_model(str(folder))
    except NotImplementedError as error:  # of the model's own code: it is for another kind of processor
        raise TrackingError(f"model {model_uri}: {error}") from error
    except (MlflowException, OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrackingError(f"model {model_uri}: cannot be loaded ({reason}); promote its run again") from error
    inputs = model.metadata.get_input_schema()
    shape = inputs.inputs[0].shape if inputs is not None and inputs.is_tensor_spec() else ()
    if len(shape) not in (3, 4):
        raise TrackingError(
            f"model {model_uri}: does not take uint8 images (n, height, width); mobilenet-chest did not promote it"
        )
    return model, 1 if len(shape) == 3 else 3


def _remove_local_paths(folder: Path) -> None:
    """Remove this machine's paths from the MLmodel file; MLflow reads the copies inside the folder."""
    path = folder / "MLmodel"
    description = yaml.safe_load(path.read_text(encoding="utf-8"))
    function = description["flavors"]["python_function"]
    function["model_code_path"] = SERVED_CODE.name
    for artifact in function["artifacts"].values():
        artifact["uri"] = artifact["path"]
    path.write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


def predict_in_fresh_process(model: Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a model folder's probabilities (n,), float64, from a process that can import neither project nor pickle.

    Args:
        model: Folder of the model.
        images: uint8 (n, height, width) or (n, height, width, 3).

    Raises:
        PromotionRefused: The process could not load the model or predict with it.
    """
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        input_file, output_file = Path(folder) / "images.npy", Path(folder) / "probabilities.npy"
        np.save(input_file, images)
        # the process needs no tracking store, and must not see a password in the address of the real one
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/none.db",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        }
        command = [sys.executable, "-I", "-c", _FRESH, str(model), str(input_file), str(output_file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PromotionRefused([f"the registered model cannot be used in a fresh process: {last}"])
        probabilities: NDArray[np.float64] = np.load(output_file, allow_pickle=False)
        return probabilities


_FRESH = """
import sys
sys.modules["mobilenet_chest"] = None  # the model must run on a machine without this project
import mlflow, numpy
# what MLflow warns of, nobody would see; to find it out it reads the files of every package for seconds
model = mlflow.pyfunc.load_model(sys.argv[1], suppress_warnings=True)
table = model.predict(numpy.load(sys.argv[2], allow_pickle=False))
numpy.save(sys.argv[3], table["probability"].to_numpy())
"""
