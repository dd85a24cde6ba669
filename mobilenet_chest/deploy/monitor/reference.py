"""What a version of a registered model is held against: its validation rows as the model sees them, kept in the cache.

They are computed when the version is first monitored, as the server computes them of a film.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from mobilenet_chest import cache
from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import load_train_val, stored_validation_images
from mobilenet_chest.deploy.answer_rows import picture_statistics
from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.evaluation.control_charts import Reference
from mobilenet_chest.evaluation.drift import Films, Lookalike
from mobilenet_chest.evaluation.exchangeable import Floats
from mobilenet_chest.registry.classifier import run_temperature, whole_model_predictions
from mobilenet_chest.registry.package import load_registered
from mobilenet_chest.selection.evaluate import check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run

MOST_ROWS = 5000
"""Validation rows that are used, at most, and training rows for their grey levels: a random choice of more."""

BATCH = 256

_FILE = "reference.npz"


def reference_of(client: MlflowClient, version: ModelVersion) -> Reference:
    """Return what the answers of a version are compared with.

    Raises:
        TrackingError: The version was changed, or its run has no predictions.
        DataError: The data file of the run is gone or was changed.
    """
    if cache.folder() is None:
        return _from_arrays(_arrays(client, version))
    parts = {
        "run": version.run_id,
        "files": version.tags.get(tags.FILE_DIGESTS),
        "code": cache.source_digest("deploy/monitor/reference.py", "deploy/answer_rows.py", "evaluation/drift.py"),
    }

    def make(folder: Path) -> dict[str, Any]:
        buffer = io.BytesIO()
        np.savez(buffer, **_arrays(client, version))  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
        cache.write(folder / _FILE, [buffer.getbuffer()])
        return {}

    def load(folder: Path, known: dict[str, Any]) -> Reference:
        with np.load(folder / _FILE, allow_pickle=False) as file:
            return _from_arrays({name: file[name] for name in file.files})

    about = f"validation rows of {version.name}, version {version.version}"
    return cache.cached("reference", about, parts, make, load)[0]


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> Reference:
    probability, temperature = arrays["probability"], float(arrays["temperature"])
    calibrated = apply_temperature(probability, temperature)
    films = Films(probability, calibrated, arrays["pictures"], arrays.get("features"))
    lookalike = Lookalike.of(arrays["training"])
    return Reference(films, arrays["label"], float(arrays["threshold"]), temperature, lookalike)


def _arrays(client: MlflowClient, version: ModelVersion) -> dict[str, NDArray[Any]]:
    run = get_run(client, str(version.run_id))
    config = run_config(client, run)
    check_same_rows(run, config)
    table = whole_model_predictions(client, run)
    # in random order, because the rows of a file are often sorted
    chosen = np.random.default_rng(0).permutation(len(table))[:MOST_ROWS]
    table = table.iloc[chosen]
    order = np.argsort(table["row"].to_numpy(), kind="stable")  # rows of a file are read in ascending order
    images = stored_validation_images(config.data, table["row"].to_numpy()[order])[np.argsort(order)]
    model, _, _ = load_registered(f"models:/{version.name}/{version.version}")
    inner = model.unwrap_python_model()
    parts = [inner.predict(None, images[start : start + BATCH], {"features": True})
             for start in range(0, len(images), BATCH)]  # fmt: skip
    probability = np.concatenate([part["probability"].to_numpy() for part in parts])
    arrays: dict[str, NDArray[Any]] = {
        "probability": probability,
        "temperature": np.asarray(run_temperature(client, run)),
        "label": table["label"].to_numpy().astype(np.uint8),
        "pictures": statistics_of(images),
        "threshold": np.asarray(metrics_of(run)["threshold"]),
        "training": statistics_of(_training_images(config.data)),
    }
    if all("features" in part for part in parts):
        # in the precision of the log, or a classifier would tell the two apart by their last digits
        features = np.concatenate([np.stack(part["features"].to_list()) for part in parts])
        arrays["features"] = features.astype(np.float16).astype(np.float32)
    return arrays


def _training_images(config: DataConfig) -> NDArray[np.uint8]:
    """Return training images as stored, at most :data:`MOST_ROWS`."""
    rows = load_train_val(config).train.rows
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:MOST_ROWS])
    if config.divided:  # its rows count val's after train's, as those of validation do
        return stored_validation_images(config, rows[chosen])
    return open_file(config).rows("train", rows[chosen])


def statistics_of(images: NDArray[np.uint8]) -> Floats:
    """Return the statistics (n, 7) that the log of answers would have of uint8 images (n, h, w) or (n, h, w, 3)."""
    return np.array([picture_statistics(image) for image in images], np.float64)
