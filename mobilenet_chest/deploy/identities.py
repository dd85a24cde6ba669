"""Patients and requests without their identifiers: keyed hashes, and the arm that a hash leads to."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mobilenet_chest.errors import DataError
from mobilenet_chest.files import sync_folder

KEY_FILE = "key"
"""Name of the key's file in the folder of the logs; made once, for its owner alone."""

KEY_BYTES, HASH_BYTES = 32, 16

MAX_LENGTH = 256
"""Characters of an identifier."""


class Identity(NamedTuple):
    """Whom an answer is for, as keyed hashes.

    Attributes:
        request: Of the request's id.
        patient: Of the patient's, where it was given.
    """

    request: str
    patient: str | None


class Identities:
    """Hashes identifiers with the key of a folder: whoever has the log, and not the key, cannot try names.

    Args:
        folder: That of the logs.
        make: Whether a key is made where there is none.

    Raises:
        DataError: The key cannot be read or made, or is damaged.
    """

    def __init__(self, folder: Path, make: bool = True) -> None:
        self._key = _key(folder / KEY_FILE, make)

    def patient(self, name: str) -> str:
        """Return the hash of a patient's id, 32 hexadecimal digits."""
        return self._hash("patient", name)[:HASH_BYTES].hex()

    def request(self, name: str) -> str:
        """Return the hash of a request's id, 32 hexadecimal digits."""
        return self._hash("request", name)[:HASH_BYTES].hex()

    def of(self, request: str, patient: str | None) -> Identity:
        """Return the hashes of both."""
        return Identity(self.request(request), None if patient is None else self.patient(patient))

    def share(self, model: str, identity: Identity) -> float:
        """Return a number from 0 to below 1 that is always the same for a patient, or a request without one.

        A model's challenger answers those whose number is below its share. So a patient stays with it when the share
        grows. The numbers of two models have nothing to do with each other.
        """
        who = identity.patient or identity.request
        return int.from_bytes(self._hash(f"arm {model}", who)[:6]) / 2**48

    def _hash(self, what: str, name: str) -> bytes:
        return hmac.digest(self._key, f"{what}\0{name}".encode(), hashlib.sha256)


def checked(what: str, name: str) -> str:
    """Return an identifier without blanks around it.

    Raises:
        DataError: It is empty, too long, or has signs that cannot be printed.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > MAX_LENGTH or not stripped.isprintable():
        raise DataError(
            f"{what}: {len(stripped)} characters; give 1 to {MAX_LENGTH} that can be printed, or leave it out"
        )
    return stripped


def new_request() -> str:
    """Return an id for a request that has none."""
    return secrets.token_hex(16)


def _key(file: Path, make: bool) -> bytes:
    try:
        if make and not file.exists():
            _make_key(file)
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{file}: the key of the log cannot be used ({reason}); bring it back, or name another folder"
        ) from error
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise DataError(f"{file}: is no key; bring back the old file, or begin a new log in another folder")
    return key


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as new:
        new.write(secrets.token_hex(KEY_BYTES))
        new.flush()
        os.fsync(new.fileno())
    with suppress(FileExistsError):  # of two processes that start together, the first one's key is kept
        os.link(partial, file)
    partial.unlink()
    sync_folder(file.parent)
