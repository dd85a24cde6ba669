"""Export: a run's whole classifier as one file, proven to predict as the run did."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from mobilenet_chest import plugins
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val, resize, stored_validation_images
from mobilenet_chest.deploy.formats import FORMATS, METADATA_FILE, Format
from mobilenet_chest.deploy.proof import Proof, prove
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import DataError, ExportRefused, UserError, allowed_names
from mobilenet_chest.files import copy_whole
from mobilenet_chest.models.onnx_session import thread_count
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.classifier import (
    PREPROCESSING,
    file_metadata,
    run_classifier,
    whole_model_predictions,
    write_onnx,
)
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import has_onnx_checkpoint, is_quantized, run_config
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import find_run, get_run, short_id
from mobilenet_chest.tracking.store import as_tracking_lost, connect

ARTIFACTS = "export"
"""Folder of exported files among a run's artifacts."""


@dataclass(frozen=True)
class Exported:
    """An exported file. The attributes, and those of the proof, are the keys of ``export --json``.

    Attributes:
        file: Where it is; for some formats a folder.
        format: A name of :data:`~mobilenet_chest.deploy.formats.FORMATS`.
        run_id: The run whose classifier it holds.
        model: The registered version as ``models:/NAME/VERSION``, where one was named.
        sha256: Digest of the file, hex; of several files that of :func:`digest_of`.
        bytes: Its size.
        seconds: How long writing it took.
        proof: That it predicts as the run did; ``None`` where this machine cannot predict with it.
        note: Why there is no proof, or the next step with the file; empty where there is nothing to say.
    """

    file: str
    format: str
    run_id: str
    model: str | None
    sha256: str
    bytes: int
    seconds: float
    proof: Proof | None
    note: str

    def version_tags(self) -> dict[str, str]:
        """Return the digest and the figures of the proof as tags, by name."""
        values = {"sha256": self.sha256, "bytes": str(self.bytes)}
        if self.proof is not None:
            auc = self.proof.auc
            values |= {
                "largest_difference": f"{self.proof.largest:.3g}",
                "mean_difference": f"{self.proof.mean:.3g}",
                "changed_labels": str(self.proof.changed_labels),
                "auc_difference": f"{auc.value:.6g} ({auc.low:.6g} to {auc.high:.6g})",
            }
        return {f"{tags.EXPORT_PREFIX}{self.format}_{name}": value for name, value in values.items()}


@as_tracking_lost()
def export(reference: str, format_name: str, out: Path, tolerance: float | None = None) -> Exported:
    """Write the whole classifier of a run or registered version to a file, prove it, and log it to the run.

    The file takes uint8 images of the network's size, and answers with probability, calibrated probability, label and
    logit. Its metadata as JSON, and the code that makes such images of pictures, are written beside it. A file that
    fails the proof is not kept.

    Args:
        reference: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, a run, or a study, which means its best run.
        format_name: A name of :data:`~mobilenet_chest.deploy.formats.FORMATS`.
        out: Folder; it is made where it is missing.
        tolerance: Largest difference in probability from the run's stored predictions; by default that which the
            format's arithmetic explains.

    Raises:
        UserError: There is no such format, run or model; the run has no checkpoint or predictions; its data changed; or
            the folder cannot be written.
        MissingExtraError: The format needs a package that is not installed.
        ExportFailed: The network cannot be written in this format.
        ExportRefused: The file predicts otherwise than the run.
    """
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: there is no such format{allowed_names(format_name, FORMATS)}")
    kind = FORMATS[format_name]
    if tolerance is None:
        tolerance = kind.tolerance
    if not tolerance > 0:
        raise UserError(f"--tolerance {tolerance:g}: give a number above 0, such as {kind.tolerance:g}")
    kind.check_installed()
    client = connect()
    run, version = find_model(client, reference)
    check_finished(run)
    config = run_config(client, run)
    check_same_rows(run, config)
    with _writable(out):
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
        path = Path(folder) / "files" / kind.file
        seconds = write_file(client, run, config, kind, path)
        proof = None if kind.cannot_run else _prove(client, run, config, kind, path, tolerance)
        if proof is not None and not proof.passed:
            raise ExportRefused(f"run {run.info.run_id} was not exported, the {format_name} file differs: {proof}")
        with _writable(out):
            for source in files_in(path.parent):
                copy_whole(source, out / source.relative_to(path.parent))
            for source in PREPROCESSING:
                copy_whole(source, out / source.name)
        (path.parent / METADATA_FILE).unlink()
        exported = Exported(
            file=str(out / kind.file),
            format=format_name,
            run_id=str(run.info.run_id),
            model=None if version is None else f"models:/{version.name}/{version.version}",
            sha256=digest_of(path.parent),
            bytes=sum(file.stat().st_size for file in files_in(path.parent)),
            seconds=seconds,
            proof=proof,
            note="; ".join(filter(None, [kind.cannot_run, kind.further(out / kind.file)])),
        )
        _log(client, exported, path.parent, version)
    return exported


def files_in(folder: Path) -> list[Path]:
    """Return all files in a folder and below it, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the one file in a folder; of several, that of a line ``DIGEST  PATH`` for each.

    The lines are those of ``sha256sum``, in the order of the paths.
    """
    files = files_in(folder)
    digests = [file_digest(file, "sha256") for file in files]
    if len(files) == 1:
        return digests[0]
    lines = (f"{digest}  {file.relative_to(folder).as_posix()}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_model(client: MlflowClient, reference: str) -> tuple[Run, ModelVersion | None]:
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


def write_file(client: MlflowClient, run: Run, config: Config, kind: Format, path: Path) -> float:
    """Write a run's classifier, and beside it its metadata as JSON; return the seconds that the first took.

    Args:
        client: The tracking store.
        run: A finished run.
        config: Its experiment.
        kind: The format.
        path: In a folder that is made; the format may put further files beside it.

    Raises:
        UserError: The run is an ONNX file, and the format another.
        ExportFailed: The network cannot be written in this format.
    """
    if kind is not FORMATS["onnx"] and (has_onnx_checkpoint(run) or is_quantized(run)):
        original = (
            run.data.tags.get(tags.PARENT_RUN) if has_onnx_checkpoint(run) else run.data.params["compress.parent"]
        )
        raise UserError(
            f"run {short_id(run.info.run_id)} is an ONNX file: export it with --format onnx, or name the run that it "
            f"was made of, {short_id(original)}"
        )
    path.parent.mkdir(parents=True)
    metadata, started = file_metadata(client, run, config), time.perf_counter()
    if kind is FORMATS["onnx"]:
        write_onnx(client, run, config, metadata, path)
    else:
        with plugins.using(config.plugins):
            kind.write(run_classifier(client, run, config), metadata, path)
    seconds = time.perf_counter() - started
    path.with_name(METADATA_FILE).write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    return seconds


def _prove(client: MlflowClient, run: Run, config: Config, kind: Format, path: Path, tolerance: float) -> Proof:
    """Compare a file's probabilities for the validation images with the run's stored ones."""
    predictions = predictions_from_table(whole_model_predictions(client, run))
    images = network_images(config, predictions.row)
    return prove(run_predictions(run, predictions), kind.predict(path, images, thread_count()), tolerance)


def network_images(config: Config, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return validation images as a file of the run's network takes them: uint8 (n, c, s, s).

    Args:
        config: The run's experiment.
        rows: Numbers of the images' rows.
    """
    stored = torch.from_numpy(stored_validation_images(config.data, rows))
    pixels = stored[:, None] if load_train_val(config.data).channels == 1 else stored.permute(0, 3, 1, 2)
    return np.asarray(resize(pixels.contiguous(), config.data.image_size).numpy())


def _log(client: MlflowClient, exported: Exported, folder: Path, version: ModelVersion | None) -> None:
    """Log the files of a folder to the run, and its digest and figures to the run and the registered version."""
    client.log_artifacts(exported.run_id, str(folder), ARTIFACTS)
    for name, value in exported.version_tags().items():
        client.set_tag(exported.run_id, name, value)
        if version is not None:
            client.set_model_version_tag(version.name, version.version, name, value)
