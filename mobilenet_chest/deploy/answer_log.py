"""The log of a server's answers: rows that are on the disk before their answers are given, and Parquet files of them.

Rows go to a journal, a line each. One thread writes what has come meanwhile and asks the disk once for all of it, so
that the answers of a batch wait for the same fraction of a millisecond. A full journal becomes a Parquet segment and
is removed. Whatever is killed when, a reader finds each row once: in its journal, or in the segment of the same name.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from mobilenet_chest.deploy.answer_rows import SCHEMA, Row, as_parquet, decoded, encoded, frame, table
from mobilenet_chest.errors import DataError, WriteFailed
from mobilenet_chest.files import sync_folder, write_whole

logger = logging.getLogger(__name__)

FOLDER = Path(".mobilenet-chest") / "answers"
"""Where logs are by default, each in a folder named like its model."""

SEGMENT_ROWS, SEGMENT_SECONDS = 10_000, 3600.0
"""A journal with so many rows, or of this age, becomes a segment."""

JOURNAL, SEGMENT, LOCK = ".journal", ".parquet", ".lock"
"""Endings of the files in a log's folder: ``TIME-WRITER-NUMBER.journal`` and ``.parquet``, and ``WRITER.lock``, which
is locked while its process lives."""


class AnswerLog:
    """Writes rows; several processes may write to one folder.

    Args:
        name: Of the registered model.
        folder: That of all logs.

    Raises:
        DataError: The folder cannot be written.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.folder = folder / name
        self._writer = secrets.token_hex(4)
        self._number = 0
        self._waiting: list[tuple[bytes, int, Future[None]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._segments: list[threading.Thread] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = FileLock(self.folder / (self._writer + LOCK), timeout=0, thread_local=False)
            self._lock.acquire()
            self._open()
        except OSError as error:
            raise DataError(
                f"the log of answers {self.folder}: cannot be written ({error.strerror or error}); "
                "name another folder with --log-dir"
            ) from error
        recover(self.folder)
        self._thread = threading.Thread(target=self._run, name="answer-log", daemon=True)
        self._thread.start()

    def append(self, rows: Sequence[Row]) -> Future[None]:
        """Take rows; the future is done when they are on the disk.

        It fails with :class:`~mobilenet_chest.errors.WriteFailed` where the disk took none of them.
        """
        written: Future[None] = Future()
        written.set_running_or_notify_cancel()  # who stops waiting for it must not stop the others' writing
        try:
            contents = b"".join(map(encoded, rows))
        except (TypeError, ValueError) as error:  # a value that is no JSON: the rows of others are written
            written.set_exception(WriteFailed(f"the log of answers cannot hold a value ({error})"))
            return written
        with self._changed:
            if self._closed:
                written.set_exception(WriteFailed("the log of answers is closed"))
                return written
            self._waiting.append((contents, len(rows), written))
            self._changed.notify()
        return written

    def close(self) -> None:
        """Write what waits, and make a segment of the journal; a second call does nothing."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._thread.join()
        os.close(self._file)
        for thread in self._segments:
            thread.join()
        _to_segment(self._journal)
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def _open(self) -> None:
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._journal = self.folder / f"{started}-{self._writer}-{self._number}{JOURNAL}"
        self._number += 1
        self._file = os.open(self._journal, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        sync_folder(self.folder)
        self._rows, self._size, self._since = 0, 0, time.monotonic()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed and not self._is_full():
                    self._changed.wait(SEGMENT_SECONDS / 60)
                waiting, self._waiting = self._waiting, []
                if not waiting and self._closed:
                    return
            if waiting:
                self._write(waiting)
            if self._is_full():
                self._rotate()

    def _write(self, waiting: Sequence[tuple[bytes, int, Future[None]]]) -> None:
        try:
            contents = b"".join(each for each, _, _ in waiting)
            _write_all(self._file, contents)
            _sync(self._file)
        except Exception as error:  # such as a full disk: whoever waits must hear of it
            with suppress(OSError):
                os.ftruncate(self._file, self._size)  # half a line would spoil the next
            logger.error("the log of answers %s cannot be written: %s", self.folder, error)
            for _, _, written in waiting:
                written.set_exception(WriteFailed(f"the log of answers cannot be written ({error})"))
            return
        self._size += len(contents)
        self._rows += sum(rows for _, rows, _ in waiting)
        for _, _, written in waiting:
            written.set_result(None)

    def _is_full(self) -> bool:
        old = time.monotonic() - self._since > SEGMENT_SECONDS
        return self._rows >= SEGMENT_ROWS or (self._rows > 0 and old)

    def _rotate(self) -> None:
        full, file = self._journal, self._file
        try:
            self._open()
        except OSError as error:
            self._since = time.monotonic()
            logger.error("the log of answers %s: no new journal (%s); the old one goes on", self.folder, error)
            return
        os.close(file)
        self._segments = [thread for thread in self._segments if thread.is_alive()]
        self._segments.append(threading.Thread(target=_to_segment, args=(full,), name="segment"))
        self._segments[-1].start()


def recover(folder: Path) -> int:
    """Make segments of the journals whose processes are gone; return how many there were."""
    count = 0
    for lock_file in folder.glob("*" + LOCK):
        # a writer that starts has its lock before its first journal
        journals = sorted(folder.glob(f"*-{lock_file.stem}-*{JOURNAL}"))
        if not journals:
            continue
        lock = FileLock(lock_file, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            continue
        try:
            for journal in journals:
                count += journal.exists() and _to_segment(journal)
            lock_file.unlink(missing_ok=True)
        finally:
            lock.release()
    return count


def read(name: str, since: datetime | None = None, folder: Path = FOLDER) -> pd.DataFrame:
    """Return the answers of a model's servers, of those that run too, in the order of time.

    Args:
        name: Of the registered model.
        since: Only answers from this time on, which has a time zone.
        folder: That of all logs.

    Returns:
        A row for each image and arm; columns as :data:`~mobilenet_chest.deploy.answer_rows.SCHEMA`.

    Raises:
        DataError: There is no log of this name, or a segment of it is damaged.
    """
    home = folder / name
    if Path(name).name != name:
        raise DataError(f"{name!r}: is no name of a registered model; give NAME of NAME@champion")
    if not home.is_dir():
        logs = ", ".join(sorted(path.name for path in folder.glob("*/"))) or "none"
        raise DataError(
            f"{home}: there is no log of answers; `mobilenet-chest serve {name}@champion --log-dir {folder}` writes "
            f"one (logs in {folder}: {logs})"
        )
    journals = {}
    for path in sorted(home.glob("*" + JOURNAL)):
        with suppress(FileNotFoundError):  # it has become a segment meanwhile
            journals[path.stem] = path.read_bytes()
    segments = {path.stem: path for path in sorted(home.glob("*" + SEGMENT))}
    tables = [_segment(path, since) for path in segments.values()]
    live = [row for stem, contents in journals.items() if stem not in segments for row in decoded(contents)]
    tables.append(table([row for row in live if since is None or row["time"] >= since]))
    return frame(tables)


def _segment(path: Path, since: datetime | None) -> pa.Table:
    try:
        return pq.read_table(path, schema=SCHEMA, filters=None if since is None else [("time", ">=", since)])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: is no segment of a log ({error}); move it elsewhere to read the others") from error


def _to_segment(journal: Path) -> bool:
    """Write a journal as a segment, then remove it; return whether it has become one."""
    try:
        rows = decoded(journal.read_bytes())
        if rows:
            write_whole(journal.with_suffix(SEGMENT), as_parquet(rows))
        journal.unlink()
    except OSError as error:
        # it is read as it is, and tried again at the next start
        logger.warning("%s has not become a segment: %s", journal, error)
        return False
    return bool(rows)


_sync = getattr(os, "fdatasync", os.fsync)  # without the time of the last change, which nobody needs


def _write_all(file: int, contents: bytes) -> None:
    view = memoryview(contents)
    while view:
        view = view[os.write(file, view) :]
