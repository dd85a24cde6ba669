"""What a benchmark measures: a file of a classifier, the run that it is of, and its predictions of validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray

from mobilenet_chest.config import Config
from mobilenet_chest.deploy.export import files_in, find_model, network_images, write_file
from mobilenet_chest.deploy.formats import FORMATS, Format, metadata_beside
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.registry.classifier import whole_model_predictions
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.run_predictions import run_predictions
from mobilenet_chest.tracking.runs import RUN_ID, run_exists, short_id


@dataclass(frozen=True)
class Subject:
    """A file to measure.

    Attributes:
        name: As it was named, without ``models:/`` and further digits of a run's id.
        format: Its format.
        path: Where it is.
        bytes: Its size, with that of files which belong to it.
        threshold: Smallest probability of class 1.
        image_size: Height and width of its images.
        channels: 1 or 3.
        run: The run that it is of; ``None`` where the store has it not.
        config: The run's experiment.
    """

    name: str
    format: Format
    path: Path
    bytes: int
    threshold: float
    image_size: int
    channels: int
    run: Run | None
    config: Config | None

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return so many images for timing, uint8 (count, c, s, s): noise, as no engine is faster for some images."""
        shape = (count, self.channels, self.image_size, self.image_size)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def predictions(self, client: MlflowClient, threads: int) -> RunPredictions | str:
        """Return the file's predictions of the run's validation rows, or why there are none."""
        if self.format.cannot_run:
            return self.format.cannot_run
        if self.run is None or self.config is None:
            return "the run that it is of is not in this tracking store"
        stored = predictions_from_table(whole_model_predictions(client, self.run))
        probabilities = self.format.predict(self.path, network_images(self.config, stored.row), threads)
        own = replace(stored, probability=probabilities, probability_tta=probabilities, fold=None)
        return replace(run_predictions(self.run, own), metrics={"threshold": self.threshold})


def subjects_of(client: MlflowClient, reference: str, formats: Sequence[str], folder: Path) -> list[Subject]:
    """Return the files that a name on the command line means: one that exists, or one of a model in each format.

    Args:
        client: The tracking store.
        reference: ``models:/…``, a run, a study, or a file of ``export``.
        formats: Names of the formats in which a model is written.
        folder: Where it is written.

    Raises:
        UserError: There is no such file or model, or it cannot be used.
        ExportFailed: The model cannot be written in a format.
    """
    path = Path(reference)
    if not reference.startswith("models:") and path.exists():
        return [_exported_file(client, path)]
    run, version = find_model(client, reference)
    check_finished(run)
    config = run_config(client, run)
    check_same_rows(run, config)
    name = short_id(reference) if RUN_ID.fullmatch(reference) else reference.removeprefix("models:/")
    if version is not None:
        name = f"{version.name}/{version.version}"
    subjects = []
    for format_name in formats:
        kind = FORMATS[format_name]
        written = folder / format_name / kind.file
        write_file(client, run, config, kind, written)
        subjects.append(_subject(name, kind, written, metadata_beside(written), run, config))
    return subjects


def _exported_file(client: MlflowClient, path: Path) -> Subject:
    endings: dict[str, Format] = {}
    for each in FORMATS.values():
        endings.setdefault(Path(each.file).suffix, each)
    kind = endings.get(path.suffix)
    if kind is None:
        raise DataError(f"{path}: no file of `mobilenet-chest export`; its files end in {', '.join(endings)}")
    kind.check_installed()
    metadata = _file_metadata(path)
    run, config = _run_of(client, str(metadata.get("run_id", "")))
    if kind.runs_code and not _was_exported_here(run, kind, path):
        raise DataError(
            f"{path}: code in it may run when it is read, and its SHA-256 is not that of this store's last export of "
            f"its run; name the model instead of the file, with --format {kind.name}"
        )
    return _subject(path.name, kind, path, metadata, run, config)


def _was_exported_here(run: Run | None, kind: Format, path: Path) -> bool:
    """Return whether a file is the one that the store's last export of a run has written."""
    digest = None if run is None else run.data.tags.get(f"{tags.EXPORT_PREFIX}{kind.name}_sha256")
    return digest is not None and digest == file_digest(path, "sha256")


def _run_of(client: MlflowClient, run_id: str) -> tuple[Run | None, Config | None]:
    """Return the run of a file, and its experiment; nothing where the file comes from elsewhere or its data changed."""
    if not run_id or not run_exists(client, run_id):
        return None, None
    try:
        run = client.get_run(run_id)
        config = run_config(client, run)
        check_same_rows(run, config)
    except (TrackingError, DataError):
        return None, None
    return run, config


def _file_metadata(path: Path) -> dict[str, Any]:
    """Return a file's metadata: from the file where it is ONNX, else from the file beside it."""
    if path.suffix != ".onnx":
        return metadata_beside(path)
    try:
        stored: dict[str, str] = open_session(path, 1).get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's own errors have no common root
        raise DataError(f"{path}: is no ONNX file ({str(error).splitlines()[0]})") from error
    return dict(stored)


def _subject(
    name: str, kind: Format, path: Path, metadata: dict[str, Any], run: Run | None, config: Config | None
) -> Subject:
    try:
        numbers = {key: int(metadata[key]) for key in ("image_size", "channels")}
        threshold = float(metadata["threshold"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: its metadata lack {error}; write the file with `mobilenet-chest export`") from error
    return Subject(name, kind, path, _bytes(kind, path), threshold, **numbers, run=run, config=config)


def _bytes(kind: Format, path: Path) -> int:
    """Return the size of a file with that of its weights beside it, or of all files of a folder."""
    files = files_in(path) if path.is_dir() else [path, *(path.with_suffix(ending) for ending in kind.beside)]
    return sum(file.stat().st_size for file in files)
