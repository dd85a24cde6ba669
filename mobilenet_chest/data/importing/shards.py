"""Pictures made small by all cores, kept on the disk in pieces until the data file is written.

A shard is ``NUMBER.pixels``, the small pictures one after another in their own depth, and ``NUMBER.json``, a record of
each file; it is complete when the latter is there. So a killed import goes on at the first shard that is missing, and
memory is bounded by a shard in each process.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.importing.entries import Picture
from mobilenet_chest.data.importing.files import decode_file
from mobilenet_chest.data.importing.preparation import Fit, Window, shrink
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.files import whole_file, write_whole
from mobilenet_chest.processor import cores

SHARD_FILES = 32
"""Files of a shard: 3 MB of gray pictures of 16 bits at 224 pixels, or a minute of the largest films."""

MOST_WORKERS = 8
"""Processes, at most: each takes 60 to 100 MB."""

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was met in a file.

    Attributes:
        reason: Why it is left out; empty for a picture that can be used. All below then has no meaning.
        height: Of the picture in its file, in pixels.
        width: Likewise.
        mode: How the file stores it.
        bits: Depth, or ``None`` where the set decides it.
        largest: Largest value.
        constant: Whether all pixels are equal.
        channels: 1 or 3.
        pixels: Digest of the decoded pixels, hexadecimal.
        file: Digest of the file, hexadecimal.
        patient: Digest of a DICOM file's patient; ``None`` where it names none.
        notes: For the report.
    """

    reason: str
    height: int = 0
    width: int = 0
    mode: str = ""
    bits: int | None = None
    largest: int = 0
    constant: bool = False
    channels: int = 1
    pixels: str = ""
    file: str = ""
    patient: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Making:
    """How shards are made.

    Attributes:
        folder: Where they are kept; ``None`` keeps the records only.
        size: Height and width of a small picture.
        fit: How it fits in.
        window: Gray range of DICOM files.
        key: Of the patients' digests.
    """

    folder: Path | None
    size: int
    fit: Fit
    window: Window
    key: bytes


def make_shards(
    pictures: Iterable[str | Picture], count: int, making: Making, workers: int, progress: Progress
) -> list[Record]:
    """Make all shards that are not there yet; return a record of each picture.

    Args:
        pictures: Paths of files, or decoded pictures, which one worker takes as they come.
        count: How many there are.
        making: How they are made.
        workers: Processes.
        progress: Called after each shard.

    Raises:
        WriteFailed: The disk is full, or a process was killed; what is complete is reused by the next call.
    """
    left = iter(pictures)
    numbers = range(-(-count // SHARD_FILES))
    tasks = ((number, list(islice(left, SHARD_FILES)), making) for number in numbers)
    records: list[Record] = []
    try:
        with _mapped(min(workers, len(numbers))) as mapped:
            for shard in mapped(tasks):
                records += shard
                progress(len(records), count)
    except BrokenProcessPool as error:
        raise WriteFailed(
            "a process that decodes pictures was killed, perhaps for want of memory; run the same command to continue"
        ) from error
    except OSError as error:
        raise WriteFailed(
            f"{making.folder}: cannot be written ({error.strerror or error}); make room, and run the same command to "
            "continue"
        ) from error
    return records


def worker_count() -> int:
    """Return how many processes decode: one for each core that this process may use, up to :data:`MOST_WORKERS`."""
    return min(cores(), MOST_WORKERS)


@contextmanager
def _mapped(workers: int) -> Iterator[Callable[[Iterable[Any]], Iterator[list[Record]]]]:
    """Give a ``map`` over tasks: in this process where there is one worker."""
    if workers <= 1:
        yield lambda tasks: map(_shard, tasks)
        return
    # not forked: a fork of a process with threads, which torch or a progress bar has, may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        yield lambda tasks: pool.map(_shard, tasks)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _shard(task: tuple[int, Sequence[str | Picture], Making]) -> list[Record]:
    """Make one shard, or read the records of one that is complete."""
    number, pictures, making = task
    if making.folder is None:
        return [_record(picture, making)[0] for picture in pictures]
    index, pixels = making.folder / f"{number:06d}.json", making.folder / f"{number:06d}.pixels"
    if index.exists():
        return _read_records(index)
    records = []
    with whole_file(pixels) as file:
        for picture in pictures:
            record, small = _record(picture, making)
            records.append(record)
            if small is not None:
                file.write(small.tobytes())
    write_whole(index, json.dumps([asdict(record) for record in records]))
    return records


def _read_records(index: Path) -> list[Record]:
    rows = json.loads(index.read_text(encoding="utf-8"))
    return [Record(**(row | {"notes": tuple(row["notes"])})) for row in rows]


def _record(picture: str | Picture, making: Making) -> tuple[Record, NDArray[Any] | None]:
    try:
        decoded, file_digest = picture if isinstance(picture, tuple) else decode_file(Path(picture), making.window)
    except Unreadable as error:
        return Record(str(error)), None
    except MemoryError:
        return Record("takes more memory than there is"), None
    pixels = decoded.pixels
    height, width = pixels.shape[:2]
    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    patient = None if decoded.patient is None else patient_digest(decoded.patient, making.key)
    largest = int(pixels.max())
    record = Record(
        "", height, width, decoded.mode, decoded.bits, largest, bool(largest == pixels.min()),
        3 if pixels.ndim == 3 else 1, digest.hexdigest(), file_digest.hex(), patient, decoded.notes,
    )  # fmt: skip
    return record, shrink(pixels, making.size, making.fit)


def patient_digest(patient: str, key: bytes) -> str:
    """Return a patient's digest under a key of at most 64 bytes, 16 hexadecimal digits."""
    return hashlib.blake2b(patient.encode(), digest_size=8, key=key).hexdigest()


class SmallPictures:
    """The pictures in the shards of a folder, by their number among all files.

    Args:
        folder: With complete shards.
        records: Of all files.
        size: Of a small picture.
    """

    def __init__(self, folder: Path, records: Sequence[Record], size: int) -> None:
        self._folder, self._records, self._size = folder, records, size
        self._shard, self._bytes = -1, memoryview(b"")
        lengths = [0 if record.reason else int(np.prod(self._shape(record))) * self._dtype(record).itemsize
                   for record in records]  # fmt: skip
        self._offsets = np.zeros(len(records), np.int64)
        for start in range(0, len(records), SHARD_FILES):
            ends = np.cumsum(lengths[start : start + SHARD_FILES])
            self._offsets[start + 1 : start + len(ends)] = ends[:-1]

    def __getitem__(self, number: int) -> NDArray[Any]:
        """Return a small picture in its own depth, (size, size) or (size, size, 3)."""
        shard, record = number // SHARD_FILES, self._records[number]
        if shard != self._shard:
            self._bytes = memoryview((self._folder / f"{shard:06d}.pixels").read_bytes())
            self._shard = shard
        shape, dtype = self._shape(record), self._dtype(record)
        values = np.frombuffer(self._bytes, dtype, int(np.prod(shape)), int(self._offsets[number]))
        return values.reshape(shape)

    def _shape(self, record: Record) -> tuple[int, ...]:
        return (self._size, self._size) if record.channels == 1 else (self._size, self._size, 3)

    @staticmethod
    def _dtype(record: Record) -> np.dtype[Any]:
        return np.dtype(np.uint8 if record.bits == 8 else np.uint16)
