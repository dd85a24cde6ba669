"""The data file of an experiment: its own, a downloaded one, or that of the synthetic radiographs."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_chest import cache
from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import medmnist, phantom
from mobilenet_chest.data.npz import NpzFile

_PHANTOM = "phantom.npz"


def open_file(config: DataConfig) -> NpzFile:
    """Return the file that the experiment reads, downloaded if need be.

    Raises:
        DataError: It is missing and cannot be downloaded, or is not a zip.
    """
    return open_source(source_file(config), config)


def source_file(config: DataConfig) -> Path | None:
    """Return the file to read, downloaded if need be; ``None`` for the phantom, which is drawn when opened.

    Raises:
        DataError: It cannot be downloaded.
    """
    if config.path is not None or config.dataset == medmnist.PHANTOM:
        return config.path
    assert config.dataset is not None  # without a file there is a data set to download
    return medmnist.fetch_dataset(config.dataset, config.source_size, config.root)


def open_source(source: Path | None, config: DataConfig) -> NpzFile:
    """Return what :func:`source_file` has named, opened.

    Raises:
        DataError: It is missing, or is not a zip.
    """
    return NpzFile(io.BytesIO(_phantom_bytes(config.source_size)) if source is None else source)


def has_test_split(config: DataConfig) -> bool:
    """Return whether the file holds ``test_images`` and ``test_labels`` with any row, by their headers alone.

    Raises:
        DataError: A header is damaged, or of another layout.
    """
    file = open_file(config)
    return "test" in file.splits and file.row_count("test") > 0


@lru_cache(maxsize=1)
def _phantom_bytes(size: int) -> bytes:
    """Return the phantom's file; it takes seconds to draw, and each worker of a sweep opens it."""
    if cache.folder() is None:
        return _drawn(size)

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / _PHANTOM, [_drawn(size)])
        return {}

    parts = {"phantom": size, "code": cache.source_digest("data")}
    about = f"phantom, {size} pixels"
    return cache.cached("data", about, parts, make, lambda folder, _: (folder / _PHANTOM).read_bytes())[0]


def _drawn(size: int) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **phantom.generate(size))  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
    return buffer.getvalue()
