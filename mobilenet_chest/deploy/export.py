"""Export: a run's whole classifier as one file, proven to predict as the run did."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from mobilenet_chest import plugins
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val, resize, stored_validation_images
from mobilenet_chest.deploy.formats import FORMATS, METADATA_FILE, Format
from mobilenet_chest.deploy.proof import TOLERANCE, Proof, prove
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import DataError, ExportRefused, UserError, allowed_names
from mobilenet_chest.files import copy_whole
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.card import run_card
from mobilenet_chest.registry.classifier import (
    PREPROCESSING,
    file_metadata,
    run_abstention,
    run_classifier,
    whole_model_predictions,
)
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import find_run, get_run
from mobilenet_chest.tracking.store import as_tracking_lost, connect

ARTIFACTS = "export"
"""Folder of exported files among a run's artifacts."""


@dataclass(frozen=True)
class Exported:
    """An exported file. The attributes, and those of the proof, are the keys of ``export --json``.

    Attributes:
        file: Where it is.
        format: A name of :data:`~mobilenet_chest.deploy.formats.FORMATS`.
        run_id: The run whose classifier it holds.
        model: The registered version as ``models:/NAME/VERSION``, where one was named.
        sha256: Digest of the file, hex.
        bytes: Its size.
        seconds: How long writing it took.
        proof: That it predicts as the run did.
    """

    file: str
    format: str
    run_id: str
    model: str | None
    sha256: str
    bytes: int
    seconds: float
    proof: Proof

    def version_tags(self) -> dict[str, str]:
        """Return the digest and the figures of the proof as tags, by name."""
        auc = self.proof.auc
        values = {
            "sha256": self.sha256,
            "bytes": str(self.bytes),
            "largest_difference": f"{self.proof.largest:.3g}",
            "mean_difference": f"{self.proof.mean:.3g}",
            "changed_labels": str(self.proof.changed_labels),
            "auc_difference": f"{auc.value:.6g} ({auc.low:.6g} to {auc.high:.6g})",
        }
        return {f"{tags.EXPORT_PREFIX}{self.format}_{name}": value for name, value in values.items()}


@as_tracking_lost()
def export(reference: str, format_name: str, out: Path, tolerance: float = TOLERANCE) -> Exported:
    """Write the whole classifier of a run or registered version to a file, prove it, and log it to the run.

    The file takes uint8 images of the network's size, and answers with probability, calibrated probability, label and
    logit. Its metadata as JSON, and the code that makes such images of pictures, are written beside it. A file that
    fails the proof is not kept.

    Args:
        reference: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, a run, or a study, which means its best run.
        format_name: A name of :data:`~mobilenet_chest.deploy.formats.FORMATS`.
        out: Folder; it is made where it is missing.
        tolerance: Largest difference in probability from the run's stored predictions.

    Raises:
        UserError: There is no such format, run or model; the run has no checkpoint or predictions; its data changed; or
            the folder cannot be written.
        ExportFailed: The network cannot be written in this format.
        ExportRefused: The file predicts otherwise than the run.
    """
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: there is no such format{allowed_names(format_name, FORMATS)}")
    if not tolerance > 0:
        raise UserError(f"--tolerance {tolerance:g}: give a number above 0, such as {TOLERANCE:g}")
    client, kind = connect(), FORMATS[format_name]
    run, version = _find(client, reference)
    check_finished(run)
    config = run_config(client, run)
    check_same_rows(run, config)
    with _writable(out):
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / kind.file
        seconds = _write(client, run, config, kind, path)
        proof = _prove(client, run, config, kind, path, tolerance)
        if not proof.passed:
            raise ExportRefused(f"run {run.info.run_id} was not exported, the {format_name} file differs: {proof}")
        with _writable(out):
            for source in (path, path.with_name(METADATA_FILE), *PREPROCESSING):
                copy_whole(source, out / source.name)
        exported = Exported(
            file=str(out / kind.file),
            format=format_name,
            run_id=str(run.info.run_id),
            model=None if version is None else f"models:/{version.name}/{version.version}",
            sha256=file_digest(path, "sha256"),
            bytes=path.stat().st_size,
            seconds=seconds,
            proof=proof,
        )
        _log(client, exported, path, version)
    return exported


def _find(client: MlflowClient, reference: str) -> tuple[Run, ModelVersion | None]:
    """Return the run that is meant, and the registered version where one is."""
    if not reference.startswith("models:"):
        return find_run(client, reference).run, None
    version = digests.find_version(client, reference)
    return get_run(client, str(version.run_id)), version


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    """Turn what the file system refuses in the block into an error that names the folder.

    Raises:
        DataError: The folder cannot be written.
    """
    try:
        yield
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--out {out}: cannot be written ({reason}); choose another folder, or make room") from error


def _write(client: MlflowClient, run: Run, config: Config, kind: Format, path: Path) -> float:
    """Write a run's classifier, and beside it its metadata as JSON; return the seconds that the first took."""
    with plugins.using(config.plugins):
        classifier = run_classifier(client, run, config)
        metadata = file_metadata(classifier, run, config, run_card(run, config), run_abstention(client, run))
        started = time.perf_counter()
        kind.write(classifier, config.data.image_size, metadata["channels"], metadata, path)
        seconds = time.perf_counter() - started
    path.with_name(METADATA_FILE).write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return seconds


def _prove(client: MlflowClient, run: Run, config: Config, kind: Format, path: Path, tolerance: float) -> Proof:
    """Compare a file's probabilities for the validation images with the run's stored ones."""
    predictions = predictions_from_table(whole_model_predictions(client, run))
    stored = torch.from_numpy(stored_validation_images(config.data, predictions.row))
    pixels = stored[:, None] if load_train_val(config.data).channels == 1 else stored.permute(0, 3, 1, 2)
    exported = kind.predict(path, resize(pixels.contiguous(), config.data.image_size))
    return prove(run_predictions(run, predictions), exported, tolerance)


def _log(client: MlflowClient, exported: Exported, path: Path, version: ModelVersion | None) -> None:
    """Log the file to its run, and its digest and figures to the run and the registered version."""
    client.log_artifact(exported.run_id, str(path), ARTIFACTS)
    for name, value in exported.version_tags().items():
        client.set_tag(exported.run_id, name, value)
        if version is not None:
            client.set_model_version_tag(version.name, version.version, name, value)
