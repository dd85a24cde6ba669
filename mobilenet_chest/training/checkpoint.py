"""Checkpoints: plain data, written whole or not at all, read without running code from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mobilenet_chest.errors import DataError
from mobilenet_chest.files import whole_file

FORMAT = 2
"""Version of the layout; files of another one are refused."""


class _Writer:
    """A file for torch, which tells some errors of the disk as a RuntimeError of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, contents: bytes | memoryview) -> int:
        try:
            return self._file.write(contents)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, and lists and dicts of them, so that a kill leaves the old file.

    It does not wait for the disk: the file is on its way to a run's artifacts or to the cache, and :func:`load` refuses
    one that a power failure has cut.

    Raises:
        OSError: The file cannot be written.
    """
    # straight into the file: a copy of all values in memory first took as long as writing them
    with whole_file(path, synced=False) as file:
        writer = _Writer(file)
        try:
            torch.save({"format": FORMAT, "digest": _digest(contents), **contents}, writer)  # type: ignore[arg-type]
        except RuntimeError:
            if writer.error is None:
                raise
            raise writer.error from None


def load(path: Path) -> dict[str, Any]:
    """Read what :func:`save` wrote, onto the CPU.

    Raises:
        DataError: The file is damaged, holds other values than were written, or is no checkpoint of this package.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises zip, pickle and runtime errors of many types for damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: not a readable checkpoint ({reason}); choose another run") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise DataError(f"{path}: not a checkpoint of this package (format {FORMAT}); choose a run made by it")
    del contents["format"]
    if contents.pop("digest", None) != _digest(contents):
        raise DataError(f"{path}: not a readable checkpoint (its values are not those written); choose another run")
    return contents


def _digest(contents: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of all values, each with its place: zip checks each member alone, not which is where."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(f"tensor {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            digest.update(f"mapping {len(value)}".encode())
            for key, inner in value.items():
                digest.update(repr(key).encode())
                add(inner)
        elif isinstance(value, list | tuple):
            digest.update(f"sequence {len(value)}".encode())
            for inner in value:
                add(inner)
        else:
            digest.update(repr(value).encode())

    add(contents)
    return digest.hexdigest()
