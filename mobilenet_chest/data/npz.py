"""Read selected rows of a MedMNIST ``.npz`` in bounded memory.

``numpy.load`` decodes a whole member: 4 GB for ChestMNIST's training images at 224 pixels, of which two classes need
3%. Here the compressed member is decoded in chunks, and each chunk gives its selected rows.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.conversion import conversion, import_line
from mobilenet_chest.data.npz_archive import CHUNK_BYTES, Header, NpzArchive
from mobilenet_chest.errors import DataError

SPLITS = ("train", "val", "test")


class NpzFile(NpzArchive):
    """A file with ``{train,val,test}_{images,labels}``: uint8 images (n, h, w) or (n, h, w, 3), integer labels (n, k).

    Further keys ``{split}_<name>`` may hold columns of the rows, such as ``train_patient`` or ``val_sex``.
    """

    naming_splits: tuple[str, ...] = ("train", "val")
    """Splits whose text labels name the classes: never the sealed one."""

    @property
    def image_splits(self) -> tuple[str, ...]:
        """The splits that have images, with labels or without, in the order train, val, test."""
        return tuple(split for split in SPLITS if f"{split}_images" in self.keys)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have both images and labels, in the order train, val, test."""
        return tuple(split for split in SPLITS if {f"{split}_images", f"{split}_labels"} <= set(self.keys))

    def row_count(self, split: str) -> int:
        """Return how many rows a split has, by its headers.

        Raises:
            DataError: A key is missing, damaged, or of another layout.
        """
        with self.opened() as archive:
            return self._headers(archive, split)[0].shape[0]

    def image_shape(self, split: str) -> tuple[int, ...]:
        """Return height and width of a split's images in pixels, by their header, and 3 for colour images.

        Raises:
            DataError: The images are missing, damaged, or of another layout.
        """
        with self.opened() as archive:
            return self._image_header(archive, split).shape[1:]

    def label_width(self, split: str) -> int:
        """Return how many label columns a split has, by its header.

        Raises:
            DataError: A key is missing, damaged, or of another layout.
        """
        with self.opened() as archive:
            shape = self._headers(archive, split)[1].shape
        return shape[1] if len(shape) == 2 else 1

    def class_names(self) -> tuple[str, ...]:
        """Return what the label values 0, 1, … are called: ``class_names``, or the text labels of train and val.

        Texts are sorted. A file of numbers without ``class_names`` has none. The test split is not read.

        Raises:
            DataError: A key is missing, damaged, or of another layout; a name is empty or stands twice.
        """
        if "class_names" in self.keys:
            with self.opened() as archive:
                header = self.header(archive, "class_names")
                if header.dtype.kind != "U" or len(header.shape) != 1 or not header.dtype.itemsize:
                    raise self.unusable("class_names", f"{header.dtype} {header.shape}, not a list of texts")
                names = [str(name) for name in self.texts(archive, "class_names", header)]
            if "" in names or len({name.casefold() for name in names}) < len(names):
                raise self.unusable("class_names", f"the names {names}, of which some are empty or equal")
            return tuple(names)
        texts = [values for split in self.naming_splits if (values := self._text_labels(split)) is not None]
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
        with self.opened() as archive:
            _, header = self._headers(archive, split)
            raw = b"".join(self.payload(archive, key, header.offset, CHUNK_BYTES))
        values = np.frombuffer(raw, header.dtype)
        if values.size and not (values.min() >= 0 and values.max() <= 255):
            raise self._another_layout(key, f"labels from {values.min()} to {values.max()}, not within 0..255")
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
        with self.opened() as archive:
            header, (_, labels) = self.header(archive, key), self._headers(archive, split)
            if header.dtype.kind not in "biuU" or header.dtype == np.uint64 or header.dtype.itemsize == 0:
                raise self.unusable(key, f"values of type {header.dtype}, not integers of 64 bits at most, or text")
            if header.shape != labels.shape[:1]:
                raise self.unusable(key, f"shape {header.shape}, but '{split}_labels' has {labels.shape[0]} rows")
            if header.dtype.kind == "U":
                return self.texts(archive, key, header)
            raw = b"".join(self.payload(archive, key, header.offset, CHUNK_BYTES))
        return np.frombuffer(raw, header.dtype).astype(np.int64)

    def _text_labels(self, split: str) -> NDArray[np.str_] | None:
        """Return the labels of a split where they are texts, (n,)."""
        with self.opened() as archive:
            _, header = self._headers(archive, split)
            if header.dtype.kind != "U":
                return None
            if header.shape[1:] not in ((), (1,)):
                raise self.unusable(f"{split}_labels", f"texts of shape {header.shape}, not (n,) or (n, 1)")
            return self.texts(archive, f"{split}_labels", header)

    def _numbered(self, key: str, texts: NDArray[np.str_]) -> NDArray[np.uint8]:
        """Return text labels as numbers, uint8 (n, 1)."""
        names = {name.casefold(): number for number, name in enumerate(self.class_names())}
        if len(names) > 256:
            raise self.unusable(key, f"{len(names)} different texts; at most 256 classes can be told apart")
        values, inverse = np.unique(texts, return_inverse=True)
        unknown = [str(value) for value in values if str(value).casefold() not in names]
        if unknown:
            raise self.unusable(key, f"the label '{unknown[0]}', which is none of {', '.join(map(repr, names))}")
        numbers = np.array([names[str(value).casefold()] for value in values], np.uint8)
        return np.asarray(numbers[inverse].reshape(-1, 1))

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
        with self.opened() as archive:
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
        with self.opened() as archive:
            header = self._image_header(archive, split)
            shape = header.shape[1:]
            rows_per_chunk = max(1, CHUNK_BYTES // math.prod(shape))
            start = 0
            for raw in self.payload(archive, key, header.offset, rows_per_chunk * math.prod(shape)):
                chunk = np.frombuffer(raw, np.uint8).reshape(-1, *shape)
                yield start, chunk
                start += len(chunk)

    def _headers(self, archive: zipfile.ZipFile, split: str) -> tuple[Header, Header]:
        """Return the headers of a split's images and labels, with all that they claim checked."""
        images = self._image_header(archive, split)
        key = f"{split}_labels"
        labels = self.header(archive, key)
        if labels.dtype.kind not in "iubU":
            raise self._another_layout(key, f"values of type {labels.dtype}, not integers or texts")
        if len(labels.shape) not in (1, 2) or 0 in labels.shape[1:]:
            raise self.unusable(key, f"labels of shape {labels.shape}, not (n, k)")
        if labels.shape[0] != images.shape[0]:
            raise self.unusable(key, f"{labels.shape[0]} rows, but '{split}_images' has {images.shape[0]}")
        return images, labels

    def _image_header(self, archive: zipfile.ZipFile, split: str) -> Header:
        """Return the header of a split's images, with all that it claims checked; labels are not needed."""
        key = f"{split}_images"
        images = self.header(archive, key)
        if images.dtype != np.uint8:
            raise self._another_layout(key, f"values of type {images.dtype}, not uint8")
        tail = images.shape[1:]
        if not (len(tail) == 2 or (len(tail) == 3 and tail[2] == 3)) or 0 in tail:
            raise self._another_layout(key, f"images of shape {images.shape}, not (n, h, w) or (n, h, w, 3)")
        return images

    def missing(self, key: str) -> DataError:
        """Return the error about a key that the file has not; it says how to make a file that has it."""
        # not for a test split: an import would take it from the rows that were trained on
        line = None if key.startswith("test") else import_line(self)
        return DataError(f"{super().missing(key)}{f'; to make one of it, type: {line}' if line else ''}")

    def _another_layout(self, key: str, content: str) -> DataError:
        """Return the error about arrays that are whole, but not as they should be; it says how to convert them."""
        line = conversion(self)
        if line is None:
            return self.unusable(key, content)
        return DataError(f"{self.name}: '{key}' has {content}; to write a converted copy, type: {line}")
