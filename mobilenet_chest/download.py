"""Download a file once: resume it when the connection breaks, and use it only if its checksum is right."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import requests
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from mobilenet_chest.errors import DataError
from mobilenet_chest.files import sync_folder
from mobilenet_chest.logs import is_quiet

RETRIES = 3
"""How often a download is resumed after its connection broke."""

PAUSE_SECONDS = 1.0
"""Pause before each retry, so that a server that drops connections is not flooded."""

CHUNK_BYTES = 1 << 16
"""Bytes read and written at a time. urllib3 drops the piece that it is reading when the connection breaks."""


def fetch(
    url: str,
    target: Path,
    *,
    md5: str | None = None,
    sha256_prefix: str | None = None,
    timeout: float = 20.0,
) -> Path:
    """Make sure that ``target`` holds the file of ``url``.

    The bytes go to ``<target>.part``, which stays after a failure and is resumed by the next call. Only a file with
    the right checksum is renamed to ``target``. A lock on ``<target>.lock`` lets one process download at a time, and
    the others wait for the file. The lock file stays: removing it would let two processes hold the lock.

    Args:
        url: ``http`` or ``https`` address.
        target: Where the file goes. Missing folders are made.
        md5: Hexadecimal MD5 of the whole file.
        sha256_prefix: First hexadecimal digits of the file's SHA-256, as ``torch.hub`` puts them into file names.
        timeout: Seconds without an answer, or without a byte, after which the download fails.

    Returns:
        ``target``.

    Raises:
        DataError: The file cannot be downloaded or written, or its checksum is wrong. An existing ``target`` with a
            wrong checksum is left as it is: it may be the user's own.
    """
    part = target.with_name(target.name + ".part")
    try:
        if target.exists():  # first without the lock, whose file cannot be made in a read-only folder
            return _existing(target, md5, sha256_prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if target.exists():  # another process was faster
                return _existing(target, md5, sha256_prefix)
            _download(url, part, target, timeout)
            wrong = _mismatch(part, md5, sha256_prefix)
            if wrong is not None:
                part.unlink()
                raise DataError(
                    f"{target.name} from {url} is damaged or was changed: {wrong}; it was removed: try again, or put "
                    f"the right file at {target} by hand"
                )
            part.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise DataError(
            f"cannot write {target.name} in the folder {target.parent} ({error.strerror or error}); make the folder "
            "writable, free some space, or choose another"
        ) from error
    return target


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file, read in pieces.

    Args:
        path: The file.
        algorithm: A name that :mod:`hashlib` knows, such as ``"md5"``.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def _existing(target: Path, md5: str | None, sha256_prefix: str | None) -> Path:
    try:
        wrong = _mismatch(target, md5, sha256_prefix)
    except OSError as error:
        raise DataError(
            f"{target} cannot be read ({error.strerror or error}); change its permissions, or delete it to download "
            "it again"
        ) from error
    if wrong is not None:
        raise DataError(f"{target} is not the published file: {wrong}; move or delete it to download it again")
    return target


def _mismatch(path: Path, md5: str | None, sha256_prefix: str | None) -> str | None:
    """Return what is wrong with the checksum of a file, or ``None``."""
    for algorithm, expected in (("md5", md5), ("sha256", sha256_prefix)):
        if expected is not None:
            actual = file_digest(path, algorithm)
            if actual[: len(expected)] != expected.lower():
                return f"{algorithm} should be {expected} but is {actual}"
    return None


def _download(url: str, part: Path, target: Path, timeout: float) -> None:
    """Download the bytes that ``part`` still lacks."""
    broken = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        # with any other encoding than identity the offsets of Range would count compressed bytes
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=timeout)
        except requests.RequestException as error:
            raise _unreachable(url, target, _reason(error, timeout)) from error
        with response:
            resumed = response.status_code == requests.codes.partial_content
            if have and (
                response.status_code == requests.codes.requested_range_not_satisfiable
                or (resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"))
            ):
                part.unlink()  # the next request asks for the whole file, so this branch is taken once
                continue
            try:
                response.raise_for_status()
            except requests.HTTPError as error:
                raise _unreachable(url, target, f"HTTP {response.status_code} {response.reason}") from error
            try:
                _receive(response, part, have if resumed else 0, target.name)
                return
            except requests.RequestException as error:
                broken += 1
                if broken > RETRIES:
                    reason = f"the connection broke {broken} times in mid-file"
                    raise _unreachable(url, target, reason) from error
        time.sleep(PAUSE_SECONDS)


def _receive(response: requests.Response, part: Path, have: int, name: str) -> None:
    """Append the body of a response to the first ``have`` bytes of ``part``."""
    length = response.headers.get("Content-Length", "")
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty() or is_quiet(),
    )
    with part.open("ab" if have else "wb") as handle, progress:
        task = progress.add_task(name, total=have + int(length) if length.isdigit() else None, completed=have)
        for chunk in response.iter_content(CHUNK_BYTES):
            handle.write(chunk)
            progress.advance(task, len(chunk))
        handle.flush()
        os.fsync(handle.fileno())


def _reason(error: requests.RequestException, timeout: float) -> str:
    # not str(error), which shows urllib3's nested objects with addresses in memory
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout:g} s"
    return f"no connection: {type(error).__name__}"


def _unreachable(url: str, target: Path, reason: str) -> DataError:
    return DataError(
        f"{target.name} is missing and cannot be downloaded ({reason}); try again (what has arrived is kept), or "
        f"get {url} by hand and put it at {target}"
    )
