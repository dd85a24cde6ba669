"""Predictions of a registered model for image files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError
from mobilenet_chest.registry.package import load_registered

PICTURES = (".png", ".jpg", ".jpeg")


def predict_files(model_uri: str, source: Path, out: Path) -> int:
    """Predict every image of ``source`` and write a table.

    Columns: ``source`` (file or split), ``row`` (number in it), ``probability``, ``label_name``, ``label``.

    Args:
        model_uri: Registered model: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
        source: ``.npz`` in MedMNIST layout, ``.npy`` of uint8 images, or a picture or folder of pictures.
        out: ``.csv`` or ``.parquet``.

    Returns:
        Number of images predicted.

    Raises:
        DataError: Input or output cannot be used.
        TrackingError: The model cannot be loaded.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"--out {out}: the file's name must end in .csv or .parquet")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    batches = list(_batches(source))
    model, channels = load_registered(model_uri)
    tables = []
    for name, images in batches:
        predicted = cast(pd.DataFrame, model.predict(_with_channels(images, channels)))
        origin = pd.DataFrame({"source": name, "row": range(len(images))})
        tables.append(pd.concat([origin, predicted], axis=1))
    table = pd.concat(tables, ignore_index=True)
    if out.suffix == ".csv":
        table.to_csv(out, index=False)
    else:
        table.to_parquet(out, index=False)
    return len(table)


def _batches(source: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and images (n, h, w) or (n, h, w, 3) of each picture, array or split of ``source``."""
    if source.is_dir():
        pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in PICTURES)
        if not pictures:
            raise DataError(f"{source}: no picture in this folder; it can hold {', '.join(PICTURES)}")
        for path in pictures:
            yield path.name, _picture(path)
    elif not source.is_file():
        raise DataError(f"{source}: no such file or folder")
    elif source.suffix.lower() in PICTURES:
        yield source.name, _picture(source)
    elif source.suffix == ".npy":
        yield source.name, _array(source)
    elif source.suffix == ".npz":
        file = NpzFile(source)
        if not file.splits:
            raise DataError(f"{source}: holds no split with images and labels (it has: {', '.join(file.keys)})")
        for split in file.splits:
            yield split, file.rows(split, np.arange(len(file.labels(split))))
    else:
        raise DataError(f"{source}: not .npz, .npy, {', '.join(PICTURES)} or a folder of pictures")


def _picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture as (1, h, w) where it is grey, as (1, h, w, 3) otherwise."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits: Pillow clips them at 255 instead of scaling
                pixels = np.round(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8)
            else:
                gray = image.mode in ("L", "1", "LA")
                pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}); remove or replace it") from error
    return pixels[None]


def _array(path: Path) -> NDArray[np.uint8]:
    """Return the uint8 images of a .npy file.

    Raises:
        DataError: It holds anything else; a float image in 0…1 must be scaled before it is cast.
    """
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as .npy ({error}); save it again with numpy.save") from error
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        advice = ""
        if images.dtype.kind == "f":
            advice = '; if its values are 0 to 1, save (images * 255).round().astype("uint8") instead'
        raise DataError(
            f"{path}: holds {images.dtype} {images.shape}; uint8 (n, h, w) or (n, h, w, 3) is needed{advice}"
        )
    return np.asarray(images)


def _with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return grey images for a grey model (ITU-R 601 weights, as in Pillow), three equal channels for a colour one."""
    if channels == 1 and images.ndim == 4:
        return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    if channels == 3 and images.ndim == 3:
        return np.repeat(images[..., None], 3, axis=3)
    return images
