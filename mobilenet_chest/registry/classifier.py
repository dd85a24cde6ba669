"""The whole classifier of a run: network, temperature and threshold, and what a file of it says about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.config import Config, DataConfig
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.download import file_digest
from mobilenet_chest.evaluation.calibration import fit_temperature
from mobilenet_chest.evaluation.operating_points import abstention_range
from mobilenet_chest.files import copy_whole, write_whole
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.decision import with_decision
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_graph import set_metadata
from mobilenet_chest.registry.card import run_card
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import (
    has_onnx_checkpoint,
    is_quantized,
    onnx_checkpoint,
    quantized_classifier,
    stored_predictions,
    trained_network,
)
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "mobilenet-chest/1"
"""Version of inputs, outputs and metadata of a file."""

LICENSE = "Apache-2.0"
"""Licence of what this project adds to the network; weights that a training started from have their own."""

PREPROCESSING = tuple(Path(__file__).with_name(f"preprocessing.{ending}") for ending in ("py", "js"))
"""The code that makes the images which a file takes from pictures of any size; it is delivered with the file."""

_DIGESTS = (tags.CONFIG_DIGEST, tags.DATA_DIGEST, tags.VAL_DIGEST, tags.GIT_COMMIT, tags.MODEL, tags.WEIGHTS)
"""Tags of the run that a file of its model carries."""


def run_classifier(client: MlflowClient, run: Run, config: Config) -> DeployedClassifier:
    """Return a run's network with its temperature and threshold, on the CPU.

    Raises:
        TrackingError: The run has no weights or no predictions.
        DataError: The checkpoint is damaged.
    """
    model, threshold = trained_network(client, run, config), metrics_of(run)["threshold"]
    return DeployedClassifier(model, run_temperature(client, run), threshold)


def write_onnx(client: MlflowClient, run: Run, config: Config, metadata: Mapping[str, Any], path: Path) -> None:
    """Write a run's classifier as an ONNX file, or copy the file that is the run's checkpoint.

    Args:
        client: Client of the tracking store.
        run: The run.
        config: Its experiment.
        metadata: From :func:`file_metadata`; a file that is a checkpoint has its own already.
        path: The file.

    Raises:
        TrackingError: The run has no checkpoint or no predictions.
        ExportFailed: The network cannot be written as ONNX.
    """
    if has_onnx_checkpoint(run):
        with onnx_checkpoint(client, run) as checkpoint:
            copy_whole(checkpoint, path)
        return
    if is_quantized(run):
        file = quantized_classifier(client, run, config).network.file()
        model = with_decision(file, run_temperature(client, run), metrics_of(run)["threshold"])
        set_metadata(model, metadata)
        write_whole(path, model.SerializeToString())
        return
    with plugins.using(config.plugins):
        classifier = run_classifier(client, run, config)
        onnx_file.write(classifier, config.data.image_size, metadata["channels"], metadata, path)


def run_temperature(client: MlflowClient, run: Run) -> float:
    """Return the temperature of a run's validation predictions; for a run of early versions it is fitted here."""
    temperature = metrics_of(run).get("temperature", math.nan)
    if math.isfinite(temperature):
        return float(temperature)
    table = stored_predictions(client, run, "val")
    return fit_temperature(table["label"].to_numpy(), table["probability_tta"].to_numpy())


def whole_model_predictions(client: MlflowClient, run: Run) -> pd.DataFrame:
    """Return a run's stored predictions of validation rows by the model that its checkpoint holds.

    Each validation row of an ensemble of folds was scored by one member, not by the whole ensemble.
    """
    split = "served" if run.data.tags.get(tags.MEMBERS_ARE) == "folds" else "val"
    return stored_predictions(client, run, split)


def run_abstention(client: MlflowClient, run: Run) -> tuple[float, float] | None:
    """Return the range of probabilities in which a run's model abstains, by its predictions of validation rows."""
    table = whole_model_predictions(client, run)
    return abstention_range(table["label"].to_numpy(), table["probability_tta"].to_numpy())


def file_metadata(client: MlflowClient, run: Run, config: Config) -> dict[str, Any]:
    """Return what a file of a run's classifier says about itself; every value can be written as JSON.

    Args:
        client: Client of the tracking store.
        run: The run.
        config: Its experiment.

    Raises:
        TrackingError: The run has no predictions.
    """
    data = load_train_val(config.data)
    preparation = file_preparation(config.data)
    return {
        "format": FORMAT,
        "classes": list(data.classes),
        "threshold": metrics_of(run)["threshold"],
        "temperature": run_temperature(client, run),
        "abstains": run_abstention(client, run),
        "image_size": config.data.image_size,
        "channels": data.channels,
        "tta": "mean of the probabilities of the image and its mirror image",
        "run_id": str(run.info.run_id),
        **{name: run.data.tags[name] for name in _DIGESTS if name in run.data.tags},
        "preprocessing": "resize elsewhere: preprocessing.py or preprocessing.js makes the images that this file takes",
        **{f"{path.name}_sha256": file_digest(path, "sha256") for path in PREPROCESSING},
        "license": LICENSE,
        "card": run_card(run, config),
        **({} if preparation is None else {"preparation": preparation.as_dict()}),
    }


def file_preparation(config: DataConfig) -> Preparation | None:
    """Return what was done to the pictures of a data file; ``None`` where the file does not say it.

    Raises:
        DataError: The file cannot be read, or says it in another form.
    """
    stored = open_file(config).text("preparation")
    return None if stored is None else Preparation.from_json(stored)
