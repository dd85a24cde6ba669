"""Builders of right and wrong ``.npz`` files."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.config import Config
from mobilenet_chest.data import npz
from mobilenet_chest.data.dataset import TrainVal, load_train_val
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError

Save = Callable[..., None]
Arrays = dict[str, NDArray[Any]]


def arrays(rows: int = 50, shape: tuple[int, ...] = (28, 28), width: int = 14) -> Arrays:
    """Noise images and flags for the three splits, of ``rows``, ``rows`` + 1 and ``rows`` + 2 rows."""
    rng = np.random.default_rng(7)
    made: Arrays = {}
    for extra, split in enumerate(npz.SPLITS):
        made[f"{split}_images"] = rng.integers(0, 256, (rows + extra, *shape), dtype=np.uint8)
        made[f"{split}_labels"] = rng.integers(0, 2, (rows + extra, width), dtype=np.uint8)
    return made


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of members given as raw bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def save_to(target: Path | io.BytesIO, made: Arrays, save: Save = np.savez) -> None:
    save(target, **made)


def npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1")


def with_train(images: bytes, labels: bytes | None = None, compression: int = zipfile.ZIP_DEFLATED) -> NpzFile:
    if labels is None:
        labels = npy_bytes(np.zeros((4, 1), np.uint8))
    members = {"train_images.npy": images, "train_labels.npy": labels}
    return NpzFile(io.BytesIO(packed(members, compression)))


def refusal(call: Callable[[], object]) -> str:
    """The message of the DataError that a call raises: one line that ends with a next step."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message or ": " in message
    return message


def loaded(config: Config) -> TrainVal:
    """As a new process would."""
    load_train_val.cache_clear()
    return load_train_val(config.data)


@pytest.fixture
def own_file(chest_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.npz"
    path.write_bytes(chest_file.read_bytes())
    return path
