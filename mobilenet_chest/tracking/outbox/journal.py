"""Writes to a run that its store could not take: on the disk, in order, until they are delivered."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock

from mobilenet_chest.errors import DataError, WriteFailed
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.provenance import identity, lineage
from mobilenet_chest.tracking.store import masked, tracking_uri

VARIABLE = "MOBILENET_CHEST_SPOOL"
"""Environment variable: another folder for the journals than the one in the working folder."""

HEADER, WRITES, POSITION, FILES, LOCK = "header.json", "writes.jsonl", "position", "files", "lock"


class PendingWrite(NamedTuple):
    """A write that has not been delivered, and where in the journal the next one begins."""

    write: Write
    end: int


def outbox_folder() -> Path:
    """Where the journals are."""
    return Path(os.environ.get(VARIABLE, "") or ".mobilenet-chest/spool").absolute()


class Journal:
    """The writes of one process to one run that wait, if any do.

    A write that :meth:`append` has returned from survives whatever is killed. The process that writes it holds a lock
    on the folder for as long as there is one: who gets that lock knows that the process is gone. Of an artifact that is
    uploaded several times the last contents are kept, and every upload of it sends those.

    Args:
        folder: Of this journal alone.
        guard: Entered around every delivery from here.
    """

    def __init__(self, folder: Path, guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.folder, self.guard = folder, guard
        self.uploaded: dict[str, tuple[int, int]] = {}
        self._lock = FileLock(folder / LOCK, timeout=0, thread_local=False)

    @classmethod
    def of_run(cls, run_id: str, guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> Journal:
        """This process's own for a run; it comes into being with the first write."""
        own = identity()
        return cls(outbox_folder() / f"{run_id}.{own['host']}.{own['pid']}.{own['started'] * 1000:.0f}", guard)

    @property
    def run_id(self) -> str:
        """Of the run it is for."""
        return self.folder.name.partition(".")[0]

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to deliver, or a journal that was delivered and not removed yet."""
        return (self.folder / WRITES).exists()

    def header(self) -> dict[str, Any]:
        """``run_id``, ``store`` (address without password), ``owner`` (the process), ``under`` (those above it)."""
        return dict(json.loads((self.folder / HEADER).read_text(encoding="utf-8")))

    def acquire(self) -> bool:
        """Get the lock of the process that wrote it; False while it lives, or while another delivers."""
        try:
            self._lock.acquire()
        except OSError:  # held (filelock's Timeout is one), gone by now, or another user's
            return False
        return True

    def release(self) -> None:
        """Leave it to others."""
        self._lock.release(force=True)

    def append(self, write: Write, file: Path | None = None) -> None:
        """Keep a write, and the contents of the file that it uploads.

        Raises:
            WriteFailed: The disk is full, or the folder cannot be written.
        """
        try:
            if not self.has_pending:
                self._begin()
            if file is not None:
                _copy(file, self.file(write["upload"]))
            self._append(json.dumps(write).encode() + b"\n")
            if "remove" in write:
                self.file(write["remove"]).unlink(missing_ok=True)
        except OSError as error:
            raise WriteFailed(
                f"run {self.run_id}: the tracking store is away, and what it should get cannot be kept in "
                f"{self.folder} ({error.strerror or error}); make room there, or set {VARIABLE} to another folder"
            ) from error

    def _begin(self) -> None:
        """A folder has its header from the beginning: it is made under another name."""
        self.remove()
        scratch = self.folder.with_name(f".{self.folder.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        self._lock = FileLock(scratch / LOCK, timeout=0, thread_local=False)  # held before anyone can see the folder
        self._lock.acquire()
        header = {"run_id": self.run_id, "store": masked(tracking_uri()), "owner": identity(), "under": lineage()}
        _write(scratch / HEADER, json.dumps(header))
        scratch.rename(self.folder)
        _sync(self.folder.parent)

    def _append(self, line: bytes) -> None:
        with (self.folder / WRITES).open("ab+") as journal:
            end = journal.seek(0, os.SEEK_END)
            journal.truncate(_last_whole(journal, end))  # a write that was cut short has not been kept
            journal.write(line)
            journal.flush()
            os.fsync(journal.fileno())
        _sync(self.folder)

    def pending_writes(self) -> Iterator[PendingWrite]:
        """What has not been delivered, the oldest first; a last line that was cut short was never kept.

        Raises:
            DataError: A line cannot be read.
        """
        with (self.folder / WRITES).open("rb") as journal:
            end = journal.seek(self._position())
            for line in journal:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    yield PendingWrite(json.loads(line), end)
                except ValueError as error:
                    raise DataError(f"{self.folder / WRITES}: damaged before byte {end}") from error

    def count(self) -> int:
        """How many writes wait."""
        return sum(1 for _ in self.pending_writes()) if self.has_pending else 0

    def _position(self) -> int:
        try:
            return int((self.folder / POSITION).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # cut short by a power failure: from the beginning, to the same effect
            return 0

    def mark_sent(self, write: PendingWrite) -> None:
        """The store has it, and all before it."""
        _write(self.folder / POSITION, str(write.end))

    def file(self, path: str) -> Path:
        """Where the contents of an artifact are kept."""
        return self.folder / FILES / path

    def remove(self) -> None:
        """All is delivered, or nobody shall have it."""
        (self.folder / WRITES).unlink(missing_ok=True)  # first: without it nothing waits
        shutil.rmtree(self.folder, ignore_errors=True)
        self.uploaded.clear()
        self.release()


def journals() -> list[Journal]:
    """All there are in the folder of journals, whoever wrote them."""
    folder = outbox_folder()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Journal(one) for one in found if one.is_dir() and not one.name.startswith(".")]


def _last_whole(journal: BinaryIO, end: int) -> int:
    """Where the last line that is whole ends."""
    while end > 0:
        start = max(0, end - 4096)
        journal.seek(start)
        newline = journal.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    shutil.copyfile(source, partial)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    _sync(target.parent)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync(folder: Path) -> None:
    """That a file is in a folder survives a power failure once the folder itself is written."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
