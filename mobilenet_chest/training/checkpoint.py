"""Checkpoints: plain data, written whole or not at all, read without running code from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mobilenet_chest.errors import DataError

FORMAT = 1


def save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write ``contents`` (tensors, numbers, strings, lists and dicts of them) so that a crash leaves the old file."""
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, **contents}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read what :func:`save` wrote, onto the CPU.

    Raises:
        DataError: The file is damaged, or is no checkpoint of this package.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises zip, pickle and runtime errors of many types for damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: not a checkpoint that can be read ({reason}); choose another run") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise DataError(f"{path}: not a checkpoint of this package (format {FORMAT}); choose a run made by it")
    return contents
