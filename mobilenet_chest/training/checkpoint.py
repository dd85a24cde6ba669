"""Checkpoints: plain data, written whole or not at all, read without running code from them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mobilenet_chest.errors import DataError
from mobilenet_chest.files import write_whole

FORMAT = 2
"""Version of the layout; files of another one are refused."""


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, and lists and dicts of them, so that a crash leaves the old file.

    Raises:
        OSError: The file cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writer would raise RuntimeError where the disk is full
    torch.save({"format": FORMAT, "digest": _digest(contents), **contents}, buffer)
    write_whole(path, buffer.getbuffer())


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
