"""Reading the artifacts that a run has left: checkpoints, models, predictions, the experiment."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from torch import Tensor, nn

from mobilenet_chest import plugins
from mobilenet_chest.config import Config, load_stored, parse
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import ConfigError, DataError, TrackingError, WriteFailed
from mobilenet_chest.models.classifier import Classifier, Ensemble
from mobilenet_chest.models.onnx_network import OnnxNetwork
from mobilenet_chest.models.pruning import fit_to
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import CHECKPOINTS, LAST_FILES, STRESS
from mobilenet_chest.tracking.locations import moved_hint
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


class ResumePoint(NamedTuple):
    """What an unfinished training resumes from.

    Attributes:
        progress: State after the last epoch that was saved.
        file: Name of the file that it was read from, one of the two of :data:`LAST_FILES`.
    """

    progress: Progress
    file: str


def resume_point(client: MlflowClient, run: Run) -> ResumePoint | None:
    """Return the newer of a run's two last checkpoints that can be read; ``None`` if there is none.

    A damaged checkpoint is ignored, with a warning: the next epoch is written over it.

    Raises:
        TrackingError: A pending write may have a newer checkpoint, and cannot be sent.
    """
    process_outbox().flush_run(run.info.run_id)
    present, points = {file.path for file in client.list_artifacts(run.info.run_id, CHECKPOINTS)}, []
    for name in LAST_FILES:
        if f"{CHECKPOINTS}/{name}" not in present:
            continue
        with artifact(client, run, f"{CHECKPOINTS}/{name}") as path:
            try:
                points.append(ResumePoint(Progress.from_state(checkpoint.load(path)["progress"]), name))
            except DataError:
                logger.warning(
                    f"run {short_id(run.info.run_id)}: {CHECKPOINTS}/{name} is damaged; it is ignored and "
                    "replaced later"
                )
    return max(points, key=lambda point: point.progress.epoch, default=None)


@contextmanager
def artifact(client: MlflowClient, run: Run, path: str) -> Iterator[Path]:
    """Give a local copy of a run's artifact for the length of the block.

    Raises:
        TrackingError: The run has no such artifact.
        WriteFailed: There is no room for a copy.
    """
    folder, _, _ = path.rpartition("/")
    if path not in {file.path for file in client.list_artifacts(run.info.run_id, folder or None)}:
        why = ""
        if path.startswith(CHECKPOINTS) and tags.FOLDS in run.data.tags:
            why = f": {why_no_model(run)}"
        elif path.startswith(CHECKPOINTS) and (removed := run.data.tags.get(tags.CHECKPOINTS_REMOVED)):
            why = f": {removed}; raise tracking.keep_checkpoints to keep more"
        raise TrackingError(f"run {short_id(run.info.run_id)} has no {path}{why or moved_hint(run)}")
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as copy:
        try:
            file = Path(download_artifacts(run_id=run.info.run_id, artifact_path=path, dst_path=copy))
        except OSError as error:
            raise WriteFailed(
                f"run {short_id(run.info.run_id)}: {path} cannot be copied to {copy} "
                f"({error.strerror or error}); make room "
                "there, or set TMPDIR to another folder"
            ) from error
        yield file


def why_no_model(run: Run) -> str:
    """Return why a run with the tag ``folds`` has no model, and which command makes one."""
    return (
        f"its trial was trained on {run.data.tags[tags.FOLDS]} folds, each fold with its own model; "
        f"`mobilenet-chest ensemble {short_id(run.info.run_id)}` makes one model of them, without training"
    )


def stored_predictions(client: MlflowClient, run: Run, split: str) -> pd.DataFrame:
    """Return ``predictions/<split>.parquet`` of a run, a row for each image, with the columns of
    :func:`~mobilenet_chest.tracking.artifact_writer.predictions_table`.

    Raises:
        TrackingError: The run has no predictions of this split.
    """
    import pandas as pd  # takes long, and a training need not wait for it

    with artifact(client, run, f"predictions/{split}.parquet") as path:
        return pd.read_parquet(path)


def stress_rows(client: MlflowClient, run: Run) -> tuple[dict[str, Any], ...]:
    """Return the table of a run's stressed copies, a row for each corruption and severity; empty where it has none."""
    path = f"{STRESS}/val.json"
    if path not in {file.path for file in client.list_artifacts(run.info.run_id, STRESS)}:
        return ()
    with artifact(client, run, path) as file:
        return tuple(json.loads(file.read_text(encoding="utf-8")))


def run_config(client: MlflowClient, run: Run) -> Config:
    """Return the resolved experiment of a run, from its ``config.yaml``.

    Raises:
        TrackingError: The run has no such file, or it does not fit the present schema.
    """
    with artifact(client, run, "config.yaml") as path:
        try:
            return load_stored(path)
        except ConfigError as error:
            raise TrackingError(
                f"run {short_id(run.info.run_id)}: its config.yaml no longer fits the schema: {error}"
            ) from error


ONNX_CHECKPOINT = f"{CHECKPOINTS}/model.onnx"
"""The checkpoint of a run whose model is a whole ONNX file (:data:`~.tags.ONNX_SHA256`)."""


def has_onnx_checkpoint(run: Run) -> bool:
    """Return whether a run's checkpoint is a whole ONNX file, and not a network's weights."""
    return tags.ONNX_SHA256 in run.data.tags


@contextmanager
def onnx_checkpoint(client: MlflowClient, run: Run) -> Iterator[Path]:
    """Give a local copy of the ONNX file that is a run's checkpoint, for the length of the block.

    Raises:
        TrackingError: The run has no such file, or it was changed.
    """
    with artifact(client, run, ONNX_CHECKPOINT) as path:
        digest, expected = file_digest(path, "sha256"), run.data.tags[tags.ONNX_SHA256]
        if digest != expected:
            raise TrackingError(
                f"run {short_id(run.info.run_id)}: {ONNX_CHECKPOINT} was changed (sha256 {digest[:12]}, not "
                f"{expected[:12]}); compress {short_id(run.data.tags.get(tags.PARENT_RUN))} again"
            )
        yield path


def trained_model(client: MlflowClient, run: Run, config: Config) -> nn.Module:
    """Return what a run's checkpoint holds, as a network that gives logits (n,) of uint8 images (n, c, h, w).

    It is a network or an ensemble, in evaluation mode on the CPU; or one that answers by an ONNX file:
    :class:`~mobilenet_chest.models.onnx_network.OnnxNetwork`, or what :func:`quantized_classifier` returns.

    Raises:
        TrackingError: The run has no checkpoint.
        DataError: The checkpoint is damaged.
    """
    if has_onnx_checkpoint(run):
        with onnx_checkpoint(client, run) as path:
            return OnnxNetwork(path)
    if is_quantized(run):
        return quantized_classifier(client, run, config)
    return trained_network(client, run, config)


def trained_network(client: MlflowClient, run: Run, config: Config) -> nn.Module:
    """Return the network or ensemble of a run's ``checkpoints/best.pt``, in evaluation mode on the CPU.

    Raises:
        TrackingError: The run has no such checkpoint.
        DataError: The checkpoint is damaged.
    """
    check_has_weights(run)
    with artifact(client, run, "checkpoints/best.pt") as path:
        contents = checkpoint.load(path)
    channels = load_train_val(config.data).channels
    if "members" in contents:
        return ensemble_of_members(contents["members"], channels)
    return _with_weights(config, contents["model"], channels)


def is_quantized(run: Run) -> bool:
    """Return whether a run has trained a network in 8-bit integers."""
    return bool(run.data.params.get("compress.method") == "int8-qat")


def quantized_classifier(client: MlflowClient, run: Run, config: Config) -> QuantizedClassifier:
    """Return the network of such a run, in evaluation mode on the CPU.

    Raises:
        TrackingError: The run has no checkpoint.
        DataError: The checkpoint is damaged.
    """
    with artifact(client, run, "checkpoints/best.pt") as path:
        state = checkpoint.load(path)["model"]
    with plugins.using(config.plugins):
        like = build_model(config.model.model_copy(update={"weights": "none"}), load_train_val(config.data).channels)
    return QuantizedClassifier.of_state(like, state)


def check_has_weights(run: Run) -> None:
    """Check that a run's checkpoint is a network's weights in float32.

    Raises:
        TrackingError: It is a whole ONNX file, or a network in 8-bit integers.
    """
    labels = run.data.tags
    if has_onnx_checkpoint(run):
        raise TrackingError(
            f"run {short_id(run.info.run_id)} is an ONNX file ({labels.get(tags.COMPRESSION)}), which has no weights "
            f"to use; name the run that it was made of: {short_id(labels.get(tags.PARENT_RUN))}"
        )
    if is_quantized(run):
        raise TrackingError(
            f"run {short_id(run.info.run_id)} is a network in 8-bit integers (int8-qat), which only its ONNX file "
            f"computes; name the run that it was made of: {short_id(run.data.params.get('compress.parent'))}"
        )


def ensemble_of_members(members: Sequence[Mapping[str, Any]], channels: int) -> nn.Module:
    """Return an ensemble in evaluation mode.

    Args:
        members: ``config`` (resolved fields) and ``model`` (state) of each network.
        channels: Colour channels of the images.
    """
    models = [_with_weights(parse(member["config"], source="member"), member["model"], channels) for member in members]
    return Ensemble(models).eval()


def _with_weights(config: Config, state: Mapping[str, Tensor], channels: int) -> Classifier:
    # no pretrained weights: every one would be replaced
    with plugins.using(config.plugins):
        model = build_model(config.model.model_copy(update={"weights": "none"}), channels)
    if config.compress.active:
        fit_to(model, state)
    model.load_state_dict(state)
    return model.eval()
