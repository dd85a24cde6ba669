"""What is worth computing once: results of pure functions, kept between processes.

An entry is a folder of files under ``<kind>/<key>``, the key a digest of everything the result depends on. It is
written beside its place, synced and renamed, so that it is whole or absent whatever is killed when; a lock per entry
lets one process compute while the others wait for the result, as long as it gives signs of life. The least recently
used go when the cache is full.
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

from filelock import FileLock, Timeout

from mobilenet_chest import locks
from mobilenet_chest.errors import CacheError

FOLDER_VARIABLE = "MOBILENET_CHEST_CACHE"
LIMIT_VARIABLE = "MOBILENET_CHEST_CACHE_GB"
LIMIT_GB = 10.0
OFF = "off"

_ENTRY = "entry.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One result in the cache.

    Attributes:
        kind: What it is: ``data``, ``features`` or ``stage1``.
        key: Digest of what it depends on.
        about: The same in words, for people.
        size: Bytes of its files.
        used: Time of its last use, in seconds since the epoch.
    """

    kind: str
    key: str
    about: str
    size: int
    used: float


def folder() -> Path | None:
    """Where the cache is: ``$MOBILENET_CHEST_CACHE``, else ``mobilenet-chest`` in the user's cache folder; or off."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given == OFF:
        return None
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "mobilenet-chest"


def limit() -> int:
    """Bytes that the cache may take: ``$MOBILENET_CHEST_CACHE_GB`` (10^9 bytes each), 10 when unset.

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
    """The result for ``parts``: loaded, or made, kept and loaded.

    Args:
        kind: Folder of the entry.
        about: What it is, for ``cache ls``.
        parts: Everything the result depends on, JSON-compatible.
        make: Computes it, writes its files into the folder given (with :func:`write`) and returns what else is to be
            known of it, JSON-compatible. Runs in one process at a time; others with the same ``parts`` wait. Where
            that process is stopped or hangs, one of the others makes the result for all who wait, as an entry of its
            own: one suspended worker must not keep all others for ever. The first keeps its own once it goes on.
        load: Reads it from the folder, given what ``make`` returned. May return memory-mapped files: they stay
            readable when the entry is evicted.

    Returns:
        The result, and whether it was there already.

    Raises:
        CacheError: The cache is off, or its folder cannot be used.
    """
    root = folder()
    if root is None:
        raise CacheError(f"the cache is off; unset {FOLDER_VARIABLE} to use it")
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    most = limit()
    with usable(root):
        for name in (kind, "scratch", "locks"):
            (root / name).mkdir(parents=True, exist_ok=True)
        key, lock = _locked(root, kind, key)
    place, scratch = root / kind / key, root / "scratch" / f"{kind}-{key}"
    try:
        known = _known(place)
        there = known is not None
        if known is None:
            with usable(root):
                # what is there is damaged, or was left by a writer that was killed
                shutil.rmtree(place, ignore_errors=True)
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir()
            try:
                with locks.giving_signs(_lock_file(root, kind, key)):
                    known = {"about": about, "known": dict(make(scratch))}
                    with usable(root):
                        _finish(scratch, place, known)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        else:
            with usable(root):
                os.utime(place / _ENTRY)
        result = load(place, known["known"])
    finally:
        lock.release()
    if not there:
        _evict(root, most, spare=place)
    return result, there


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file of an entry.

    Raises:
        CacheError: It cannot be written: the disk is full, say.
    """
    root = path.parent.parent.parent
    with usable(root):
        file = path.open("wb")
    with file:
        for chunk in chunks:  # what goes wrong in there is not the cache's
            with usable(root):
                file.write(chunk)


def source_digest(*names: str) -> str:
    """SHA-256 (first 16 hex digits) of modules and folders of this package: results hold for the code that made them.

    Args:
        names: Relative to the package: ``data``, ``two_stage.py``.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in names:
        for path in sorted((package / name).rglob("*.py")) if (package / name).is_dir() else [package / name]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def entries() -> list[Entry]:
    """All entries, the least recently used first."""
    root = folder()
    if root is None:
        return []
    found = []
    for path in root.glob(f"*/*/{_ENTRY}"):
        if path.parent.parent.name == "scratch":
            continue
        known = _known(path.parent)
        if known is not None:
            size = sum(known["sizes"].values())
            used = path.stat().st_mtime
            found.append(Entry(path.parent.parent.name, path.parent.name, known["about"], size, used))
    return sorted(found, key=lambda entry: entry.used)


def clear() -> int:
    """Remove all entries but those being written; returns the bytes freed."""
    root = folder()
    return 0 if root is None else sum(entry.size for entry in entries() if _remove(root, entry.kind, entry.key))


def _lock_file(root: Path, kind: str, key: str) -> Path:
    return root / "locks" / f"{kind}-{key}.lock"


def _locked(root: Path, kind: str, key: str) -> tuple[str, FileLock]:
    """The key with its lock, or the first of ``<key>-1``, ``<key>-2`` and so on whose holder gives signs of life."""
    names = itertools.chain([key], (f"{key}-{number}" for number in itertools.count(1)))
    for name, following in itertools.pairwise(names):

        def made_again(name: str = name, following: str = following) -> bool:
            return _known(root / kind / name) is None and _known(root / kind / following) is not None

        lock = locks.acquire(_lock_file(root, kind, name), enough=made_again)
        if lock is not None:
            return name, lock
    raise AssertionError("unreachable")


def _known(place: Path) -> dict[str, Any] | None:
    """What stands in the entry's own file; ``None`` for an entry that is absent or damaged."""
    try:
        known = json.loads((place / _ENTRY).read_text(encoding="utf-8"))
        sizes = [(place / name).stat().st_size == size for name, size in known["sizes"].items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return known if all(sizes) and {"about", "known"} <= set(known) else None


def _finish(scratch: Path, place: Path, known: dict[str, Any]) -> None:
    """Everything onto the disk, then into its place in one step."""
    sizes = {path.name: path.stat().st_size for path in scratch.iterdir()}
    (scratch / _ENTRY).write_text(json.dumps(known | {"sizes": sizes}), encoding="utf-8")
    for path in scratch.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    scratch.rename(place)


def _evict(root: Path, most: int, spare: Path) -> None:
    """Remove the least recently used entries until the rest fits, and what killed writers left behind."""
    for left in (root / "scratch").iterdir():
        kind, _, key = left.name.partition("-")
        with _unless_busy(root, kind, key) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    kept = entries()
    total = sum(entry.size for entry in kept)
    for entry in kept:
        if total > most and root / entry.kind / entry.key != spare and _remove(root, entry.kind, entry.key):
            total -= entry.size


def _remove(root: Path, kind: str, key: str) -> bool:
    with _unless_busy(root, kind, key) as free:
        if free:
            # the entry's file first: without it the rest is no entry, wherever a kill strikes
            (root / kind / key / _ENTRY).unlink(missing_ok=True)
            shutil.rmtree(root / kind / key, ignore_errors=True)
        return free


@contextmanager
def _unless_busy(root: Path, kind: str, key: str) -> Iterator[bool]:
    lock = FileLock(_lock_file(root, kind, key))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def usable(root: Path) -> Iterator[None]:
    """What goes wrong in writing below ``root`` becomes a :class:`CacheError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"the cache {root} cannot be written ({error.strerror or error}); set {FOLDER_VARIABLE} to a folder that "
            f"can, or to '{OFF}'"
        ) from error
