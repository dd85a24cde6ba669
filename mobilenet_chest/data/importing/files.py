"""One picture file of any kind, decoded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mobilenet_chest.data.importing.dicom import decode_dicom
from mobilenet_chest.data.importing.pictures import Decoded, decode_picture, read_bytes
from mobilenet_chest.data.importing.preparation import Window
from mobilenet_chest.data.importing.sources import is_dicom


def decode_file(path: Path, window: Window) -> tuple[Decoded, bytes]:
    """Return a picture and the SHA-256 of its file, which is read once.

    Raises:
        Unreadable: The file cannot be used.
        MissingExtraError: It is DICOM, and pydicom is not installed.
    """
    contents = read_bytes(path)
    decoded = decode_dicom(contents, window) if is_dicom(path) else decode_picture(contents)
    return decoded, hashlib.sha256(contents).digest()
