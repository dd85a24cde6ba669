"""Predictions of a registered model for image files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mobilenet_chest.data.importing import dicom, sources
from mobilenet_chest.data.importing.entries import ColumnNames, Skipped
from mobilenet_chest.data.importing.files import decode_file
from mobilenet_chest.data.importing.summary import skipped_table
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.errors import DataError
from mobilenet_chest.files import write_whole
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.batches import Arrays, Pictures, checked, with_bits, with_channels
from mobilenet_chest.registry.package import load_registered
from mobilenet_chest.registry.sealed_rows import SealedRows
from mobilenet_chest.tracking.store import connect

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predicted:
    """What was predicted.

    Attributes:
        rows: Number of images.
        skipped: Files that could not be, with reasons.
        skipped_file: Where these are listed; ``None`` when there are none.
    """

    rows: int
    skipped: list[Skipped] = field(default_factory=list)
    skipped_file: Path | None = None


def predict_files(
    model_uri: str, source: Path, out: Path, bits: int | None = None, file_column: str = "file"
) -> Predicted:  # fmt: skip
    """Predict every image of ``source`` and write a table.

    Columns: ``source`` (file or split), ``row`` (number in it), ``probability``, ``label_name``, ``label``. Pictures
    are prepared as those that the model was trained on, where the model says how.

    Args:
        model_uri: Registered model: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; NAME alone is its champion.
            Or a promoted run, or a study, which means its best run.
        source: ``.npz`` of images, ``.npy`` of uint8 images, a picture (PNG, JPEG, TIFF, BMP, WebP, DICOM), a
            folder of pictures and folders, or a CSV or Parquet table of files.
        out: ``.csv`` or ``.parquet``.
        bits: Depth of 16-bit picture files, where the model does not say it.
        file_column: Column of a table that names the files.

    Returns:
        Number of images predicted, and the files that were skipped, which stand in a CSV beside ``out``.

    Raises:
        DataError: Input or output cannot be used, or no picture of it can.
        MissingExtraError: There are DICOM files, and the extra ``dicom`` is not installed.
        TrackingError: The model cannot be loaded.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"--out {out}: the file's name must end in .csv or .parquet")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    table, skipped = predict_source(model_uri, source, bits, file_column)
    listed = out.with_name(out.stem + "-skipped.csv")
    try:
        write_whole(out, table.to_csv(index=False) if out.suffix == ".csv" else table.to_parquet(index=False))
        if skipped:
            write_whole(listed, skipped_table(skipped))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--out {out}: cannot be written ({reason}); choose another folder, or make room") from error
    return Predicted(len(table), skipped, listed if skipped else None)


def predict_source(
    model_uri: str, source: Path, bits: int | None = None, file_column: str = "file"
) -> tuple[pd.DataFrame, list[Skipped]]:
    """Return the table that :func:`predict_files` writes, and the files that were skipped."""
    arrays, found = None, None
    if source.is_file() and source.suffix in (".npy", ".npz"):
        arrays = Arrays(source)
    else:
        found = sources.unlabelled(source, ColumnNames(file=file_column))
        if any(sources.is_dicom(Path(entry.path)) for entry in found.entries):
            dicom.require()
        if found.entries[0].path == str(source):
            _check_readable(source)
    client = connect(to_read=True)
    model_uri = digests.promoted_address(client, model_uri)
    model, channels, preparation = load_registered(model_uri)
    skipped: list[Skipped] = list(found.skipped) if found is not None else []
    rule = with_bits(preparation, bits)
    if arrays is not None:
        batches = arrays.batches(rule, bits, skipped)
    else:
        assert found is not None
        batches = Pictures(found.entries, rule, bits, skipped).batches()
    sealed, tables = SealedRows(client, digests.find_version(client, model_uri)), []
    for places, images in batches:
        sealed.check(images)
        predicted = cast(pd.DataFrame, model.predict(with_channels(images, channels)))
        origin = pd.DataFrame(places, columns=["source", "row"])
        tables.append(pd.concat([origin, predicted], axis=1))
    if not tables:
        why = f"; {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise DataError(f"{source}: no picture can be predicted{why}")
    _warn_of(sealed)
    table = pd.concat(tables, ignore_index=True)
    if found is not None:  # those of unknown depth came last
        order = {entry.name: place for place, entry in enumerate(found.entries)}
        table = table.sort_values("source", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return table, skipped


def predict_array(model_uri: str, images: NDArray[Any]) -> pd.DataFrame:
    """Predict images that are in memory.

    Args:
        model_uri: Registered model: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; NAME alone is its champion.
            Or a promoted run, or a study, which means its best run.
        images: uint8 (n, h, w) or (n, h, w, 3).

    Returns:
        ``probability``, ``label_name`` and ``label``, a row for each image.

    Raises:
        DataError: The array has another type or shape.
        TrackingError: The model cannot be loaded.
    """
    arrays, client = checked(np.asarray(images), "images"), connect(to_read=True)
    model_uri = digests.promoted_address(client, model_uri)
    model, channels, _ = load_registered(model_uri)
    sealed = SealedRows(client, digests.find_version(client, model_uri))
    sealed.check(arrays)
    table = cast(pd.DataFrame, model.predict(with_channels(arrays, channels)))
    _warn_of(sealed)
    return table


def _warn_of(sealed: SealedRows) -> None:
    """Log how many of the images were rows of the sealed test split."""
    if sealed.count:
        logger.warning(
            f"{sealed.count} of the images are rows of the sealed test split; this access is on record: "
            "'mobilenet-chest ledger'"
        )


def _check_readable(picture: Path) -> None:
    """Check that the only picture can be decoded, before a model is loaded for it."""
    try:
        decode_file(picture, "voi")
    except Unreadable as error:
        raise DataError(f"{picture}: {error}") from error
