"""Read selected rows of a MedMNIST ``.npz`` in bounded memory, trusting nothing that the file says.

``numpy.load`` decodes a whole member: 4 GB for ChestMNIST's training images at 224 pixels, of which two classes need
3%. Here the compressed member is decoded in chunks, and each chunk gives its selected rows.

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

SPLITS = ("train", "val", "test")

CHUNK_BYTES = 1 << 20

MAX_HEADER_BYTES = 1 << 14
"""Bytes read of a header. That of an array of plain numbers has about 100; numpy itself stops at 10,000."""

MAX_TEXT_BYTES = 1 << 20
"""Largest text that is read from a key; numpy stores four bytes for a character."""

MAX_DEFLATE_RATIO = 1032
"""Deflate spends at least two bits on at most 258 bytes (RFC 1951): a member that claims a higher ratio is forged."""

_MEND = "download it again, or save it again with numpy.savez_compressed"

# What zipfile, zlib and numpy's header parser raise on damaged bytes. zipfile raises RuntimeError and its child
# NotImplementedError for an unknown flag or method, which a flipped bit may make.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)
_BAD_HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, struct.error, OverflowError, MemoryError)


@dataclass(frozen=True)
class _Header:
    """Header of an array in the file; ``offset`` is the number of bytes before the first value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


class NpzFile:
    """A file with ``{train,val,test}_{images,labels}``: uint8 images (n, h, w) or (n, h, w, 3), integer labels (n, k).

    Further keys ``{split}_<name>`` may hold columns of the rows, such as ``train_patient`` or ``val_sex``. The zip is
    opened for each call, so there is nothing to close.

    Args:
        source: A path, or a seekable binary file object, which is left open.

    Raises:
        DataError: There is no such file, or it is not a zip.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._source = source
        self.name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "the given file"))
        with self._opened() as archive:
            self.keys = tuple(sorted(name.removesuffix(".npy") for name in archive.namelist()))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have both images and labels, in the order train, val, test."""
        return tuple(split for split in SPLITS if {f"{split}_images", f"{split}_labels"} <= set(self.keys))

    def row_count(self, split: str) -> int:
        """Return how many rows a split has, by its headers.

        Raises:
            DataError: A key is missing, damaged, or of another layout.
        """
        with self._opened() as archive:
            return self._headers(archive, split)[0].shape[0]

    def label_width(self, split: str) -> int:
        """Return how many label columns a split has, by its header.

        Raises:
            DataError: A key is missing, damaged, or of another layout.
        """
        with self._opened() as archive:
            shape = self._headers(archive, split)[1].shape
        return shape[1] if len(shape) == 2 else 1

    def class_names(self) -> tuple[str, ...]:
        """Return what the label values 0, 1, … are called: ``class_names``, or the text labels of train and val.

        Texts are sorted. A file of numbers without ``class_names`` has none. The test split is not read.

        Raises:
            DataError: A key is missing, damaged, or of another layout; a name is empty or stands twice.
        """
        if "class_names" in self.keys:
            with self._opened() as archive:
                header = self._header(archive, "class_names")
                if header.dtype.kind != "U" or len(header.shape) != 1 or not header.dtype.itemsize:
                    raise self._unusable("class_names", f"{header.dtype} {header.shape}, not a list of texts")
                names = [str(name) for name in self._text(archive, "class_names", header)]
            if "" in names or len({name.casefold() for name in names}) < len(names):
                raise self._unusable("class_names", f"the names {names}, of which some are empty or equal")
            return tuple(names)
        texts = [values for split in ("train", "val") if (values := self._text_labels(split)) is not None]
        return tuple(sorted({str(value) for values in texts for value in values}))

    def labels(self, split: str) -> NDArray[np.uint8]:
        """Return all labels of a split, uint8 (n, k), of any integers of 0..255 or booleans; (n,) becomes (n, 1).

        Text labels are their numbers in :meth:`class_names`.

        Raises:
            DataError: A key is missing, damaged, or of another layout; a text label is no class name.
        """
        key = f"{split}_labels"
        texts = self._text_labels(split)
        if texts is not None:
            return self._numbered(key, texts)
        with self._opened() as archive:
            _, header = self._headers(archive, split)
            raw = b"".join(self._payload(archive, key, header.offset, CHUNK_BYTES))
        values = np.frombuffer(raw, header.dtype)
        if values.size and not (values.min() >= 0 and values.max() <= 255):
            raise self._unusable(key, f"labels from {values.min()} to {values.max()}, not within 0..255")
        return values.astype(np.uint8).reshape(header.shape if len(header.shape) == 2 else (-1, 1))

    def patients(self, split: str) -> NDArray[Any] | None:
        """Return the patient of each row, (n,), from the key ``{split}_patient`` or ``…_patients``; ``None`` without.

        Raises:
            DataError: As :meth:`column`.
        """
        for name in ("patient", "patients"):
            if f"{split}_{name}" in self.keys:
                return self.column(split, name)
        return None

    def column(self, split: str, name: str) -> NDArray[Any]:
        """Return the column ``{split}_{name}``, (n,): int64 for integers or booleans, otherwise text.

        Raises:
            DataError: The key is missing, damaged, or of another layout.
        """
        key = f"{split}_{name}"
        with self._opened() as archive:
            header, (_, labels) = self._header(archive, key), self._headers(archive, split)
            if header.dtype.kind not in "biuU" or header.dtype == np.uint64 or header.dtype.itemsize == 0:
                raise self._unusable(key, f"values of type {header.dtype}, not integers of 64 bits at most, or text")
            if header.shape != labels.shape[:1]:
                raise self._unusable(key, f"shape {header.shape}, but '{split}_labels' has {labels.shape[0]} rows")
            if header.dtype.kind == "U":
                return self._text(archive, key, header)
            raw = b"".join(self._payload(archive, key, header.offset, CHUNK_BYTES))
        return np.frombuffer(raw, header.dtype).astype(np.int64)

    def _text(self, archive: zipfile.ZipFile, key: str, header: _Header) -> NDArray[np.str_]:
        """Return the texts of a member, (n,)."""
        raw = b"".join(self._payload(archive, key, header.offset, CHUNK_BYTES))
        text = np.frombuffer(raw, header.dtype).astype(header.dtype.newbyteorder("="))
        if text.size and text.view(np.uint32).max() > sys.maxunicode:
            raise self._unusable(key, "text with numbers that are no characters")
        return text

    def _text_labels(self, split: str) -> NDArray[np.str_] | None:
        """Return the labels of a split where they are texts, (n,)."""
        with self._opened() as archive:
            _, header = self._headers(archive, split)
            if header.dtype.kind != "U":
                return None
            if header.shape[1:] not in ((), (1,)):
                raise self._unusable(f"{split}_labels", f"texts of shape {header.shape}, not (n,) or (n, 1)")
            return self._text(archive, f"{split}_labels", header)

    def _numbered(self, key: str, texts: NDArray[np.str_]) -> NDArray[np.uint8]:
        """Return text labels as numbers, uint8 (n, 1)."""
        names = {name.casefold(): number for number, name in enumerate(self.class_names())}
        if len(names) > 256:
            raise self._unusable(key, f"{len(names)} different texts; at most 256 classes can be told apart")
        values, inverse = np.unique(texts, return_inverse=True)
        unknown = [str(value) for value in values if str(value).casefold() not in names]
        if unknown:
            raise self._unusable(key, f"the label '{unknown[0]}', which is none of {', '.join(map(repr, names))}")
        numbers = np.array([names[str(value).casefold()] for value in values], np.uint8)
        return np.asarray(numbers[inverse].reshape(-1, 1))

    def text(self, key: str) -> str | None:
        """Return a key that holds one text, an array of shape (); ``None`` where there is no such key.

        Raises:
            DataError: It is damaged, holds anything else, or is longer than :data:`MAX_TEXT_BYTES`.
        """
        if key not in self.keys:
            return None
        with self._opened() as archive:
            header = self._header(archive, key)
            if header.dtype.kind != "U" or header.shape != () or not 0 < header.dtype.itemsize <= MAX_TEXT_BYTES:
                raise self._unusable(key, f"{header.dtype} of shape {header.shape}, not one text of 1 MiB at most")
            raw = b"".join(self._payload(archive, key, header.offset, CHUNK_BYTES))
        codes = np.frombuffer(raw, header.dtype.byteorder + "u4")
        if codes.max() > sys.maxunicode:
            raise self._unusable(key, "text with numbers that are no characters")
        return str(np.frombuffer(raw, header.dtype)[0])

    def rows(self, split: str, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the images of some rows. It takes their memory and a few chunks of 1 MiB, or of a row if larger.

        The member is always decoded to its end, so that its CRC is checked.

        Args:
            split: One of :attr:`splits`.
            rows: (m,) row numbers, in any order.

        Returns:
            uint8 (m, h, w) or (m, h, w, 3), in the order of ``rows``.

        Raises:
            DataError: A key is missing, damaged, or of another layout; a row number is out of range.
        """
        with self._opened() as archive:
            header, _ = self._headers(archive, split)
        count, *shape = header.shape
        if rows.size and not (rows.min() >= 0 and rows.max() < count):
            raise DataError(
                f"{self.name}: '{split}_images' has {count} rows, but rows {rows.min()} to {rows.max()} are asked for; "
                "choose rows by the labels of the same file"
            )
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        images = np.empty((len(rows), *shape), np.uint8)
        for start, chunk in self.chunks(split):
            low, high = np.searchsorted(ascending, (start, start + len(chunk)))
            images[order[low:high]] = chunk[ascending[low:high] - start]
        return images

    def chunks(self, split: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield all images of a split, about 1 MiB at a time: first row number, and uint8 (m, h, w) or (m, h, w, 3).

        Raises:
            DataError: A key is missing, damaged, or of another layout.
        """
        key = f"{split}_images"
        with self._opened() as archive:
            header, _ = self._headers(archive, split)
            shape = header.shape[1:]
            rows_per_chunk = max(1, CHUNK_BYTES // math.prod(shape))
            start = 0
            for raw in self._payload(archive, key, header.offset, rows_per_chunk * math.prod(shape)):
                chunk = np.frombuffer(raw, np.uint8).reshape(-1, *shape)
                yield start, chunk
                start += len(chunk)

    @contextmanager
    def _blaming(self, what: str) -> Iterator[None]:
        """Raise any sign of damage in the block as a :class:`DataError` about ``what``."""
        try:
            yield
        except _DAMAGE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise DataError(f"{self.name}: {what} cannot be read as .npz ({reason}); {_MEND}") from error

    def _opened(self) -> zipfile.ZipFile:
        with self._blaming("it"):
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

    def _headers(self, archive: zipfile.ZipFile, split: str) -> tuple[_Header, _Header]:
        """Return the headers of a split's images and labels, with all that they claim checked."""
        key = f"{split}_images"
        images = self._header(archive, key)
        if images.dtype != np.uint8:
            raise self._unusable(key, f"values of type {images.dtype}, not uint8")
        tail = images.shape[1:]
        if not (len(tail) == 2 or (len(tail) == 3 and tail[2] == 3)) or 0 in tail:
            raise self._unusable(key, f"images of shape {images.shape}, not (n, h, w) or (n, h, w, 3)")
        key = f"{split}_labels"
        labels = self._header(archive, key)
        if labels.dtype.kind not in "iubU":
            raise self._unusable(key, f"values of type {labels.dtype}, not integers or texts")
        if len(labels.shape) not in (1, 2) or 0 in labels.shape[1:]:
            raise self._unusable(key, f"labels of shape {labels.shape}, not (n, k)")
        if labels.shape[0] != images.shape[0]:
            raise self._unusable(key, f"{labels.shape[0]} rows, but '{split}_images' has {images.shape[0]}")
        return images, labels

    def _header(self, archive: zipfile.ZipFile, key: str) -> _Header:
        try:
            member = archive.getinfo(f"{key}.npy")
        except KeyError as error:
            raise DataError(
                f"{self.name} has no '{key}' (it has: {', '.join(self.keys) or 'nothing'}); MedMNIST layout is "
                "{train,val,test}_{images,labels}: set data.path to such a file"
            ) from error
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._unusable(key, f"a zip compression of type {member.compress_type}, not stored or deflated")
        with self._blaming(f"'{key}'"), archive.open(member) as stream:
            # parsed from a bounded piece: a header may claim a length of 4 GiB
            head = io.BytesIO(stream.read(MAX_HEADER_BYTES))
        try:
            version = npy.read_magic(head)
            if version == (1, 0):
                shape, fortran_order, dtype = npy.read_array_header_1_0(head)
            elif version == (2, 0):
                shape, fortran_order, dtype = npy.read_array_header_2_0(head)
            else:
                raise ValueError(f"format version {version[0]}.{version[1]}, which arrays of numbers do not need")
        except _BAD_HEADER as error:
            raise self._unusable(key, "a .npy header that numpy does not understand") from error
        if dtype.hasobject:
            raise self._unusable(key, "Python objects (a pickle, which is never opened), not numbers")
        if fortran_order:
            raise self._unusable(key, "Fortran order, not C order (numpy.ascontiguousarray makes it so)")
        claimed = math.prod(shape) * dtype.itemsize
        held = member.file_size - head.tell()
        if min(shape, default=0) < 0 or claimed != held:
            raise self._unusable(key, f"{held} bytes, but its header {shape} of {dtype} claims {claimed}")
        if member.file_size > MAX_DEFLATE_RATIO * member.compress_size:
            raise self._unusable(key, f"{member.compress_size} bytes that claim to unpack to {member.file_size}")
        return _Header(shape, dtype, head.tell())

    def _payload(self, archive: zipfile.ZipFile, key: str, offset: int, step: int) -> Iterator[bytes]:
        """Yield what follows the header, ``step`` bytes at a time, to the member's end; the last piece may be shorter.

        At the last byte zipfile compares the CRC, and raises BadZipFile when it differs.
        """
        member = archive.getinfo(f"{key}.npy")
        left = member.file_size - offset
        with self._blaming(f"'{key}'"), archive.open(member) as stream:
            stream.read(offset)
            while left:
                raw = stream.read(min(step, left))
                if len(raw) != min(step, left):
                    raise EOFError(f"the data end {left - len(raw)} bytes too early")
                left -= len(raw)
                yield raw

    def _unusable(self, key: str, content: str) -> DataError:
        return DataError(f"{self.name}: '{key}' has {content}; {_MEND}")
