"""Write files whole or not at all, whatever is killed when."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".part"
"""Suffix of a file that is being written. The next writer overwrites what a killed process left under it."""


@contextmanager
def whole_file(path: Path, synced: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; it replaces ``path`` when the block ends without an error.

    The contents are on the disk before the name changes, and the name is on the disk before the block ends. So a
    reader sees the old file or the new one, also after a power failure. One process may write a path at a time.

    Args:
        path: The file.
        synced: Whether to wait for the disk; without it a file that is new when the power fails may be cut.

    Raises:
        OSError: The file cannot be written; ``path`` is as it was.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


def write_whole(path: Path, contents: bytes | memoryview | str) -> None:
    """Write ``contents`` (text as UTF-8) to ``path`` in one step, as :func:`whole_file` does.

    Raises:
        OSError: The file cannot be written; ``path`` is as it was.
    """
    with whole_file(path) as file:
        file.write(contents.encode() if isinstance(contents, str) else contents)


def copy_whole(source: Path, target: Path) -> None:
    """Copy the contents of a file to ``target`` in one step; missing folders are made.

    Raises:
        OSError: The source cannot be read or the target cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as original, whole_file(target) as file:
        shutil.copyfileobj(original, file, 1 << 20)


def sync_file(path: Path) -> None:
    """Return when the contents of a file are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk: a new file survives a power failure only then."""
    if os.name != "posix":
        return  # Windows has no handle of a folder to sync
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
