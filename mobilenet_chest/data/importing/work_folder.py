"""The folder that an import works in, and goes on from after a kill."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mobilenet_chest.data.importing.entries import Entry
from mobilenet_chest.errors import DataError, WriteFailed
from mobilenet_chest.file_lock import held
from mobilenet_chest.files import write_whole

WORK_SUFFIX = ".importing"
"""Ending of the folder beside the data file that an import works in, and goes on from."""

LAYOUT = 1
"""Number of the shards' layout: shards of another are made again."""


@contextmanager
def work_folder(out: Path | None, entries: Sequence[Entry], settings: str) -> Iterator[Path | None]:
    """Give the folder of the shards, which goes when the block ends well; shards of other files or settings go first.

    Args:
        out: The data file; ``None`` for a dry run, which has no folder.
        entries: The pictures.
        settings: All options that change a shard, as text.

    Raises:
        DataError: Another import writes the file.
        WriteFailed: The disk is full.
    """
    if out is None:
        yield None
        return
    folder = out.with_name(out.name + WORK_SUFFIX)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with held(folder / "lock", wait=False) as free:
            if not free:
                raise DataError(f"--out {out}: another import writes this file; wait for it, or choose another name")
            _keep_only(folder, _plan(entries, settings))
            yield folder
            shutil.rmtree(folder)
    except OSError as error:
        raise WriteFailed(
            f"--out {out}: cannot be written ({error.strerror or error}); make room, and run the same command to "
            "continue"
        ) from error


def _plan(entries: Sequence[Entry], settings: str) -> str:
    """Return a digest of all that the shards depend on, with the size and time of each file."""
    digest = hashlib.sha256(f"{LAYOUT} {settings}".encode())
    for entry in entries:
        try:
            status = os.stat(entry.path)  # noqa: PTH116  # a Path for each of 100,000 files takes a second
            digest.update(f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{entry.name}\n".encode())
    return digest.hexdigest()


def _keep_only(folder: Path, plan: str) -> None:
    stored = folder / "plan"
    if stored.exists() and stored.read_text(encoding="utf-8") == plan:
        return
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()
    write_whole(stored, plan)
