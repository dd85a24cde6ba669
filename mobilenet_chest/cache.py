"""A cache on disk: results of pure functions, computed once and kept between processes.

An entry is a folder of files under ``<kind>/<key>``; the key is a digest of everything the result depends on. It is
written under ``scratch``, synced and renamed, so that it is whole or absent whatever is killed when. A lock for each
entry lets one process compute while the others wait, as long as its heartbeat goes on. When the cache is full, the
least recently used entries are removed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from mobilenet_chest import file_lock
from mobilenet_chest.errors import CacheError
from mobilenet_chest.files import sync_file

FOLDER_VARIABLE = "MOBILENET_CHEST_CACHE"
LIMIT_VARIABLE = "MOBILENET_CHEST_CACHE_GB"
LIMIT_GB = 10.0
"""Size of the cache where the variable is not set, in 10^9 bytes."""

OFF = "off"
"""Value of :data:`FOLDER_VARIABLE` that switches the cache off."""

_ENTRY = "entry.json"
"""What an entry is: ``about`` in words, ``known`` as its maker returned it, ``sizes`` of its files in bytes."""

_KEY_DIGITS = 32

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One result in the cache.

    Attributes:
        kind: ``data``, ``features``, ``stage1`` or ``reference``.
        key: Digest of everything the result depends on.
        about: Description of the result.
        size: Bytes of its files.
        used: Time of its last use, in seconds since 1970.
    """

    kind: str
    key: str
    about: str
    size: int
    used: float


def folder() -> Path | None:
    """Return the cache's folder, ``None`` when the cache is off.

    It is ``$MOBILENET_CHEST_CACHE``; where that is not set, ``mobilenet-chest`` in the user's cache folder.
    """
    value = os.environ.get(FOLDER_VARIABLE)
    if value == OFF:
        return None
    if value:
        return Path(value).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "mobilenet-chest"


def limit() -> int:
    """Return how many bytes the cache may take: ``$MOBILENET_CHEST_CACHE_GB`` times 10^9, 10 GB when it is not set.

    Raises:
        CacheError: The variable is not a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(LIMIT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise CacheError(f"{LIMIT_VARIABLE}: '{text}' is not a number above 0; set the cache's size in gigabytes")
    return int(gigabytes * 1e9)


def cached(
    kind: str,
    about: str,
    parts: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any]],
    load: Callable[[Path, dict[str, Any]], T],
) -> tuple[T, bool]:
    """Return the result for ``parts``: load it from the cache, or make it, store it and load it.

    Args:
        kind: Folder of the entry.
        about: Description of the result, for ``cache ls``.
        parts: Everything the result depends on, as JSON types.
        make: Compute the result, write its files into the given folder (with :func:`write`), and return what else
            :func:`load` needs, as JSON types. It runs in one process at a time; others with the same ``parts`` wait.
        load: Read the result from its folder, given what ``make`` returned. It may return memory-mapped files, which
            stay readable when the entry is removed.

    Returns:
        The result, and whether it was in the cache.

    Raises:
        CacheError: The cache is off, or its folder cannot be used.
    """
    root = folder()
    if root is None:
        raise CacheError(f"the cache is off; unset {FOLDER_VARIABLE} to use it")
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]
    most = limit()  # a wrong limit is an error before anything is computed
    with writing():
        for name in (kind, "scratch", "locks"):
            (root / name).mkdir(parents=True, exist_ok=True)
        key, lock = _lock_entry(root, kind, key)
    place = root / kind / key
    try:
        record = _read_record(place)
        hit = record is not None
        if record is None:
            with file_lock.heartbeat(_lock_file(root, kind, key)):
                record = _make_entry(root, kind, key, about, make)
        else:
            with writing():
                os.utime(place / _ENTRY)
        result = load(place, record["known"])
    finally:
        lock.release()
    if not hit:
        _evict(root, most, spare=place)
    return result, hit


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file of an entry that is being made.

    Raises:
        CacheError: The file cannot be written, since the disk is full, say.
    """
    with writing():
        file = path.open("wb")
    with file:
        for chunk in chunks:  # an error in computing a chunk is not one of the cache
            with writing():
                file.write(chunk)


@contextmanager
def writing() -> Iterator[None]:
    """Turn an error in writing to the cache's folder into a :class:`CacheError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"the cache {folder()} cannot be written ({error.strerror or error}); set {FOLDER_VARIABLE} to a folder "
            f"that can, or to '{OFF}'"
        ) from error


def file_state(path: Path) -> list[int]:
    """Return what changes when a file does: size, time of change, place on the disk, and time of the status change.

    A program can give a rebuilt file its old size and time of change, as ``cp -p``, ``rsync -t`` and ``touch -r`` do.
    It cannot set the time of the status change.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns]


def source_digest(*names: str) -> str:
    """Return the SHA-256 (first 16 hex digits) of source files: a result holds for the code that made it.

    Args:
        names: Modules and folders, relative to the package: ``data``, ``training/features.py``.

    Raises:
        FileNotFoundError: There is no such module or folder.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in names:
        path = package / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def entries() -> list[Entry]:
    """Return all entries, the least recently used first."""
    root = folder()
    if root is None:
        return []
    stored = []
    for path in root.glob(f"*/*/{_ENTRY}"):
        kind, key = path.parent.parent.name, path.parent.name
        record = None if kind == "scratch" else _read_record(path.parent)
        if record is not None:
            stored.append(Entry(kind, key, record["about"], sum(record["sizes"].values()), path.stat().st_mtime))
    return sorted(stored, key=lambda entry: entry.used)


def clear() -> int:
    """Remove all entries except those being written; return the bytes freed."""
    root = folder()
    return 0 if root is None else sum(entry.size for entry in entries() if _remove(root, entry.kind, entry.key))


def _lock_file(root: Path, kind: str, key: str) -> Path:
    return root / "locks" / f"{kind}-{key}.lock"


def _lock_entry(root: Path, kind: str, key: str) -> tuple[str, FileLock]:
    """Return the key with its lock, or the first of ``<key>-1``, ``<key>-2`` … whose lock can be had.

    One suspended process must not keep all others waiting for ever. So the first waiter makes the result again, as an
    entry of its own, for all who wait. The suspended process keeps its entry and stores it when it resumes.
    """
    names = itertools.chain([key], (f"{key}-{number}" for number in itertools.count(1)))
    for name, following in itertools.pairwise(names):

        def made_elsewhere(name: str = name, following: str = following) -> bool:
            return _read_record(root / kind / name) is None and _read_record(root / kind / following) is not None

        lock = file_lock.acquire(_lock_file(root, kind, name), unneeded=made_elsewhere)
        if lock is not None:
            return name, lock
    raise AssertionError("unreachable")


def _make_entry(
    root: Path, kind: str, key: str, about: str, make: Callable[[Path], Mapping[str, Any]]
) -> dict[str, Any]:  # fmt: skip
    """Make an entry, whose lock is held, and return its record; a failure leaves nothing."""
    place, scratch = root / kind / key, root / "scratch" / f"{kind}-{key}"
    with writing():
        # either is damaged, or was left by a writer that was killed
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
    try:
        record = {"about": about, "known": dict(make(scratch))}
        with writing():
            sizes = {path.name: path.stat().st_size for path in scratch.iterdir()}
            (scratch / _ENTRY).write_text(json.dumps(record | {"sizes": sizes}), encoding="utf-8")
            for path in scratch.iterdir():
                sync_file(path)
            scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return record


def _read_record(place: Path) -> dict[str, Any] | None:
    """Return what the entry's own file says; ``None`` for an entry that is absent or damaged."""
    try:
        record = json.loads((place / _ENTRY).read_text(encoding="utf-8"))
        whole = all((place / name).stat().st_size == size for name, size in record["sizes"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole and {"about", "known"} <= set(record) else None


def _evict(root: Path, most: int, spare: Path) -> None:
    """Remove what killed writers left, then the least recently used entries until the others take ``most`` bytes."""
    for leftover in (root / "scratch").iterdir():
        kind, _, key = leftover.name.partition("-")
        with file_lock.held(_lock_file(root, kind, key), wait=False) as free:
            if free:
                shutil.rmtree(leftover, ignore_errors=True)
    stored = entries()
    total = sum(entry.size for entry in stored)
    for entry in stored:
        if total > most and root / entry.kind / entry.key != spare and _remove(root, entry.kind, entry.key):
            total -= entry.size


def _remove(root: Path, kind: str, key: str) -> bool:
    with file_lock.held(_lock_file(root, kind, key), wait=False) as free:
        if free:
            # the entry's own file first: without it the folder is no entry, wherever a kill strikes
            (root / kind / key / _ENTRY).unlink(missing_ok=True)
            shutil.rmtree(root / kind / key, ignore_errors=True)
        return free
