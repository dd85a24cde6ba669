"""The arrays of an ``.npz`` in bounded memory, trusting nothing that the file says.

File layout: an ``.npz`` is a zip of ``<key>.npy`` members; the ``.npy`` header is that of ``numpy.lib.format``.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError

CHUNK_BYTES = 1 << 20

MAX_HEADER_BYTES = 1 << 14
"""Bytes read of a header. That of an array of plain numbers has about 100; numpy itself stops at 10,000."""

MAX_TEXT_BYTES = 1 << 20
"""Largest text that is read from a key; numpy stores four bytes for a character."""

MAX_DEFLATE_RATIO = 1032
"""Deflate spends at least two bits on at most 258 bytes (RFC 1951): a member that claims a higher ratio is forged."""

MEND = "download it again, or save it again with numpy.savez_compressed"

# What zipfile, zlib and numpy's header parser raise on damaged bytes. zipfile raises RuntimeError and its child
# NotImplementedError for an unknown flag or method, which a flipped bit may make.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)

BAD_HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, struct.error, OverflowError, MemoryError,
              RecursionError)  # fmt: skip
"""What numpy raises for a damaged header of an ``.npy``, which it parses as Python's text."""


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape that an ``.npy`` claims, whether its order is Fortran's, and its dtype.

    Raises:
        Exception: One of :data:`BAD_HEADER`: the header is damaged, or of a version that arrays of numbers do not need.
    """
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"format version {version[0]}.{version[1]}, which arrays of numbers do not need")


@dataclass(frozen=True)
class Header:
    """Header of an array in the file; ``offset`` is the number of bytes before the first value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


class NpzArchive:
    """The members of an ``.npz``. The zip is opened for each call, so there is nothing to close.

    Args:
        source: A path, or a seekable binary file object, which is left open.

    Raises:
        DataError: There is no such file, or it is not a zip.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._source = source
        self.name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "the given file"))
        with self.opened() as archive:
            self.keys = tuple(sorted(name.removesuffix(".npy") for name in archive.namelist()))

    def text(self, key: str) -> str | None:
        """Return a key that holds one text, an array of shape (); ``None`` where there is no such key.

        Raises:
            DataError: It is damaged, holds anything else, or is longer than :data:`MAX_TEXT_BYTES`.
        """
        if key not in self.keys:
            return None
        with self.opened() as archive:
            header = self.header(archive, key)
            if header.dtype.kind != "U" or header.shape != () or not 0 < header.dtype.itemsize <= MAX_TEXT_BYTES:
                raise self.unusable(key, f"{header.dtype} of shape {header.shape}, not one text of 1 MiB at most")
            raw = b"".join(self.payload(archive, key, header.offset, CHUNK_BYTES))
        codes = np.frombuffer(raw, header.dtype.byteorder + "u4")
        if codes.max() > sys.maxunicode:
            raise self.unusable(key, "text with numbers that are no characters")
        return str(np.frombuffer(raw, header.dtype)[0])

    def texts(self, archive: zipfile.ZipFile, key: str, header: Header) -> NDArray[np.str_]:
        """Return the texts of a member, (n,)."""
        raw = b"".join(self.payload(archive, key, header.offset, CHUNK_BYTES))
        text = np.frombuffer(raw, header.dtype).astype(header.dtype.newbyteorder("="))
        if text.size and text.view(np.uint32).max() > sys.maxunicode:
            raise self.unusable(key, "text with numbers that are no characters")
        return text

    @contextmanager
    def blaming(self, what: str) -> Iterator[None]:
        """Raise any sign of damage in the block as a :class:`DataError` about ``what``."""
        try:
            yield
        except _DAMAGE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise DataError(f"{self.name}: {what} cannot be read as .npz ({reason}); {MEND}") from error

    def opened(self) -> zipfile.ZipFile:
        with self.blaming("it"):
            try:
                return zipfile.ZipFile(self._source)
            except FileNotFoundError as error:
                raise DataError(
                    f"{self.name} does not exist; set data.path to a .npz in MedMNIST layout, or leave it out to "
                    "download the dataset"
                ) from error
            except OSError as error:
                raise DataError(
                    f"{self.name} cannot be opened ({error.strerror or error}); set data.path to a readable .npz"
                ) from error

    def missing(self, key: str) -> DataError:
        """Return the error about a key that the file has not."""
        return DataError(
            f"{self.name} has no '{key}' (it has: {', '.join(self.keys) or 'nothing'}); MedMNIST layout is "
            "{train,val,test}_{images,labels}: set data.path to such a file"
        )

    def header(self, archive: zipfile.ZipFile, key: str) -> Header:
        try:
            member = archive.getinfo(f"{key}.npy")
        except KeyError as error:
            raise self.missing(key) from error
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self.unusable(key, f"a zip compression of type {member.compress_type}, not stored or deflated")
        with self.blaming(f"'{key}'"), archive.open(member) as stream:
            # parsed from a bounded piece: a header may claim a length of 4 GiB
            head = io.BytesIO(stream.read(MAX_HEADER_BYTES))
        try:
            shape, fortran_order, dtype = npy_header(head)
        except BAD_HEADER as error:
            raise self.unusable(key, "a .npy header that numpy does not understand") from error
        if dtype.hasobject:
            raise DataError(
                f"{self.name}: '{key}' has Python objects (a pickle, which is never opened), not numbers; save it "
                "again with one length for all images, and labels as numbers or with .astype(str)"
            )
        if fortran_order:
            raise self.unusable(key, "Fortran order, not C order (numpy.ascontiguousarray makes it so)")
        claimed = math.prod(shape) * dtype.itemsize
        held = member.file_size - head.tell()
        if min(shape, default=0) < 0 or claimed != held:
            raise self.unusable(key, f"{held} bytes, but its header {shape} of {dtype} claims {claimed}")
        if member.file_size > MAX_DEFLATE_RATIO * member.compress_size:
            raise self.unusable(key, f"{member.compress_size} bytes that claim to unpack to {member.file_size}")
        return Header(shape, dtype, head.tell())

    def payload(self, archive: zipfile.ZipFile, key: str, offset: int, step: int) -> Iterator[bytes]:
        """Yield what follows the header, ``step`` bytes at a time, to the member's end; the last piece may be shorter.

        At the last byte zipfile compares the CRC, and raises BadZipFile when it differs.
        """
        member = archive.getinfo(f"{key}.npy")
        left = member.file_size - offset
        with self.blaming(f"'{key}'"), archive.open(member) as stream:
            stream.read(offset)
            while left:
                raw = stream.read(min(step, left))
                if len(raw) != min(step, left):
                    raise EOFError(f"the data end {left - len(raw)} bytes too early")
                left -= len(raw)
                yield raw

    def unusable(self, key: str, content: str) -> DataError:
        return DataError(f"{self.name}: '{key}' has {content}; {MEND}")
