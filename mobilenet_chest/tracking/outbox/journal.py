"""Journal: the writes to a run that its store could not take, on the disk and in order, until they are sent."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock

from mobilenet_chest.errors import DataError, WriteFailed
from mobilenet_chest.files import copy_whole, sync_folder, write_whole
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.provenance import identity, is_same_process, lineage, may_be_alive
from mobilenet_chest.tracking.store import masked, tracking_uri

VARIABLE = "MOBILENET_CHEST_SPOOL"
"""Environment variable: the folder of the outbox, if it is not to be in the working folder."""

HEADER, WRITES, POSITION, FILES, LOCK = "header.json", "writes.jsonl", "position", "files", "lock"
"""Names in a journal's folder: who writes it; a pending write a line; bytes of those that were sent; contents of
uploads; the lock of the process that writes it."""


class PendingWrite(NamedTuple):
    """A write that was not sent yet.

    Attributes:
        write: The write.
        end: Where the next one begins, in bytes from the start of the file.
    """

    write: Write
    end: int


def outbox_folder() -> Path:
    """Return the folder that holds the journals."""
    return Path(os.environ.get(VARIABLE, "") or ".mobilenet-chest/spool").absolute()


class Journal:
    """The pending writes of one process to one run.

    A write that :meth:`append` has returned from survives whatever is killed. The process that writes the journal holds
    a file lock on the folder while the folder exists: whoever gets the lock knows that the process is gone. If an
    artifact is uploaded several times, its last contents are kept, and each upload of it sends those.

    Args:
        folder: The journal's own folder; it is made with the first write.
        guard: Entered around every write that is sent from here.

    Attributes:
        turn: Held by the thread that writes the run: threads of one process write one after the other.
        uploaded: Artifact path -> time and size of the contents that were sent last.
    """

    def __init__(self, folder: Path, guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.folder, self.guard = folder, guard
        self.turn = threading.RLock()
        self.uploaded: dict[str, tuple[int, int]] = {}
        self._lock = FileLock(folder / LOCK, timeout=0, thread_local=False)

    @classmethod
    def of_run(cls, run_id: str, guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> Journal:
        """Return this process's journal of a run."""
        process = identity()
        name = f"{run_id}.{process['host']}.{process['pid']}.{process['started'] * 1000:.0f}"
        return cls(outbox_folder() / name, guard)

    @property
    def run_id(self) -> str:
        """Id of the run that the writes are for."""
        return self.folder.name.partition(".")[0]

    @property
    def has_pending(self) -> bool:
        """Whether there is a write to send, or all were sent and the folder is not removed yet."""
        return (self.folder / WRITES).exists()

    def header(self) -> dict[str, Any]:
        """Return ``run_id``, ``store`` (address without password), ``owner`` (the process), ``under`` (its parents).

        Raises:
            FileNotFoundError: The journal is being removed.
        """
        return dict(json.loads((self.folder / HEADER).read_text(encoding="utf-8")))

    def owner_may_live(self) -> bool:
        """Return whether the process that wrote the journal may still run."""
        try:
            return may_be_alive(self.header()["owner"])
        except FileNotFoundError:
            return False

    def is_of_this_process(self) -> bool:
        """Return whether this process, or one that it has started, wrote the journal."""
        return any(is_same_process(identity(), process) for process in self.header()["under"])

    def acquire(self) -> bool:
        """Take over the lock of the process that wrote it; False while it lives, or while another process sends it."""
        try:
            self._lock.acquire()
        except OSError:  # held (filelock's Timeout is one), removed by now, or another user's
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release(force=True)

    def append(self, write: Write, file: Path | None = None) -> None:
        """Keep a write, and the contents of the file that it uploads.

        Raises:
            WriteFailed: The disk is full, or the folder cannot be written.
        """
        try:
            if not self.has_pending:
                self._create()
            if file is not None:
                copy_whole(file, self.file(write["upload"]))
            self._append(json.dumps(write).encode() + b"\n")
            if "remove" in write:
                self.file(write["remove"]).unlink(missing_ok=True)
        except OSError as error:
            raise WriteFailed(
                f"run {self.run_id}: the tracking store is away, and pending writes cannot be kept in {self.folder} "
                f"({error.strerror or error}); make room there, or set {VARIABLE} to another folder"
            ) from error

    def _create(self) -> None:
        """Make the folder under a hidden name, so that it is locked and has its header before anyone can see it."""
        self.remove()
        hidden = self.folder.with_name(f".{self.folder.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        self._lock = FileLock(hidden / LOCK, timeout=0, thread_local=False)
        self._lock.acquire()
        header = {"run_id": self.run_id, "store": masked(tracking_uri()), "owner": identity(), "under": lineage()}
        write_whole(hidden / HEADER, json.dumps(header))
        hidden.rename(self.folder)
        sync_folder(self.folder.parent)

    def _append(self, line: bytes) -> None:
        with (self.folder / WRITES).open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.truncate(_end_of_last_line(file, end))  # a line that was cut short was never kept
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.folder)

    def pending_writes(self) -> Iterator[PendingWrite]:
        """Yield the pending writes, the oldest first, without a last line that was cut short.

        Raises:
            DataError: A line cannot be read.
        """
        with (self.folder / WRITES).open("rb") as file:
            end = file.seek(self._position())
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    yield PendingWrite(json.loads(line), end)
                except ValueError as error:
                    raise DataError(f"{self.folder / WRITES}: damaged before byte {end}") from error

    def count(self) -> int:
        """Return the number of pending writes."""
        return sum(1 for _ in self.pending_writes()) if self.has_pending else 0

    def _position(self) -> int:
        try:
            return int((self.folder / POSITION).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # cut short by a power failure: all writes again, to the same effect
            return 0

    def mark_sent(self, pending: PendingWrite) -> None:
        """Note that the store has this write and all before it."""
        write_whole(self.folder / POSITION, str(pending.end))

    def file(self, path: str) -> Path:
        """Return where the contents of an artifact are kept."""
        return self.folder / FILES / path

    def remove(self) -> None:
        """Delete the journal: all of it was sent, or nobody is to have it."""
        (self.folder / WRITES).unlink(missing_ok=True)  # first: without this file nothing is pending
        shutil.rmtree(self.folder, ignore_errors=True)
        self.uploaded.clear()
        self.release()


def journals() -> list[Journal]:
    """Return the journals of all processes that use this folder."""
    folder = outbox_folder()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Journal(path) for path in paths if path.is_dir() and not path.name.startswith(".")]


def _end_of_last_line(file: BinaryIO, end: int) -> int:
    """Return where the last line that has its newline ends, reading backwards from ``end``."""
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
