"""Pictures in the arrays of a ``.npz``, of every layout that can be told with certainty."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.conversion import image_layout, label_numbers, read
from mobilenet_chest.data.importing.entries import GROUP_COLUMNS, SPLIT_NAMES, ColumnNames, Entry, Picture, Source
from mobilenet_chest.data.importing.limits import check_size
from mobilenet_chest.data.importing.pictures import Decoded, gray_if_equal
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.data.npz import SPLITS, NpzFile
from mobilenet_chest.data.npz_archive import CHUNK_BYTES, Header
from mobilenet_chest.errors import DataError, nearest

IMAGES = re.compile(r"(?:(?P<before>.+)_)?(?P<word>images|image|imgs|x)(?:_(?P<after>.+))?", re.IGNORECASE)
"""Keys of images: ``train_images``, ``x_train``, or ``images`` in a file without splits."""

LABELS = ("labels", "label", "targets", "target", "y")
PATIENTS = ("patient", "patients")


@dataclass(frozen=True)
class Part:
    """The arrays of a split, or all those of a file without splits.

    Attributes:
        split: ``train``, ``val`` or ``test``; ``None`` in a file without splits.
        images: Key of its images.
        frame: Its keys, with ``{}`` in place of ``images``.
        rows: Number of rows.
    """

    split: str | None
    images: str
    frame: str
    rows: int

    @property
    def name(self) -> str:
        """What the file calls it."""
        return self.frame.replace("{}", "").strip("_") or "rows"


class ArrayFile:
    """A ``.npz`` with arrays of pictures.

    Args:
        path: The file.

    Raises:
        DataError: It is damaged, holds no images, or images of which nothing certain can be said.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, NpzFile(path)
        self.parts = self._parts()
        seen = [part for part in self.parts if part.split != "test"] or self.parts
        layout = image_layout(self._file, [part.images for part in seen])
        if layout is None or any(self._header(part.images).dtype != layout.dtype for part in self.parts):
            headers = [self._header(part.images) for part in self.parts]
            found = " and ".join(sorted({f"{header.dtype} {header.shape}" for header in headers}))
            raise DataError(
                f"{path}: holds images of {found}, from which no gray levels can be told; numbers of one type that are "
                "finite and not all equal are needed, (n, h, w), (n, h, w, 1), (n, 1, h, w), (n, h, w, 3) or (n, 3, h, "
                "w)"
            )
        self.layout = layout

    def source(self, names: ColumnNames) -> Source:
        """Return the rows with their labels, splits, patients and columns.

        Args:
            names: ``more`` are further columns to keep.

        Raises:
            DataError: A row has no label or several, or a column is missing.
        """
        columns, left_out = self._columns(names)
        entries: list[Entry] = []
        numbered = True
        for part in self.parts:
            labels, as_numbers = self._labels(part)
            numbered = numbered and as_numbers
            patients = self._patients(part)
            values = [self._column(part, name) for name in columns]
            for row in range(part.rows):
                entries.append(
                    Entry(
                        str(self.path),
                        f"{part.name} {row}",
                        labels[row],
                        part.split,
                        patients[row] if patients else None,
                        tuple(column[row] for column in values),
                    )
                )
        order = self._file.class_names() if "class_names" in self._file.keys else ()
        return Source(
            entries, [], columns, left_out, order, numbered and not order, self.pictures, (self.layout.said(),)
        )

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures of all parts, one at a time, and the digests of their bytes.

        Raises:
            DataError: An array is damaged, or a value is not finite.
        """
        for part in self.parts:
            header = self._header(part.images)
            size = math.prod(header.shape[1:]) * header.dtype.itemsize
            with self._file.opened() as archive:
                step = max(1, CHUNK_BYTES // size) * size
                for raw in self._file.payload(archive, part.images, header.offset, step):
                    values = np.frombuffer(raw, header.dtype).reshape(-1, *header.shape[1:])
                    if values.dtype.kind == "f" and not np.isfinite(values).all():
                        raise DataError(f"{self.path}: '{part.images}' has values that are not finite; remove its rows")
                    for row, pixels in zip(values, self.layout.pixels(values), strict=True):
                        gray = gray_if_equal(pixels) if pixels.ndim == 3 else np.ascontiguousarray(pixels)
                        digest = hashlib.sha256(row.tobytes()).digest()
                        yield Decoded(gray, self.layout.bits, f"array of {header.dtype}"), digest

    def _parts(self) -> list[Part]:
        found: dict[str | None, Part] = {}
        for key in self._file.keys:
            match = IMAGES.fullmatch(key)
            if match is None or (match["before"] and match["after"]):
                continue
            around = match["before"] or match["after"]
            if around and around.lower() not in SPLIT_NAMES:
                continue
            split = SPLIT_NAMES[around.lower()] if around else None
            if split in found:
                raise DataError(f"{self.path}: both '{found[split].images}' and '{key}' are images; remove one of them")
            frame = f"{key[: match.start('word')]}{{}}{key[match.end('word') :]}"
            shape = self._header(key).shape
            try:
                height, width, *_ = [side for side in shape[1:] if side not in (1, 3)] + [1, 1]
                check_size(height, width)
            except Unreadable as error:
                raise DataError(f"{self.path}: '{key}' has {error}") from None
            found[split] = Part(split, key, frame, shape[0] if shape else 0)
        parts = [found[split] for split in SPLITS if split in found] or list(found.values())
        if not parts:
            raise DataError(
                f"{self.path}: holds no images (it has: {', '.join(self._file.keys) or 'nothing'}); call them "
                "train_images, val_images and test_images, x_train and x_test, or images"
            )
        return parts

    def _header(self, key: str) -> Header:
        with self._file.opened() as archive:
            return self._file.header(archive, key)

    def _labels(self, part: Part) -> tuple[list[str], bool]:
        """Return the label of each row as text, and whether they are numbers that no name is known for."""
        key = next((part.frame.format(word) for word in LABELS if part.frame.format(word) in self._file.keys), None)
        if key is None:
            wanted = " or ".join(part.frame.format(word) for word in ("labels", "y"))
            raise DataError(f"{self.path}: has '{part.images}' but no labels of them; add {wanted}")
        header = self._header(key)
        self._check_rows(part, key, header)
        if header.dtype.kind == "U" and header.shape[1:] in ((), (1,)):
            texts = [text.strip() for text in self._texts(key, header)]
            if "" in texts:
                raise DataError(f"{self.path}: row {texts.index('')} of '{key}' has no label; remove it")
            return texts, False
        numbers = label_numbers(read(self._file, key, header)) if header.dtype.kind in "fiub" else None
        if numbers is None:
            raise DataError(
                f"{self.path}: '{key}' has {header.dtype} {header.shape}, not one class for each row; give each row "
                "one whole number from 0, or one text (data.dataset=chestmnist reads files with its 14 labels)"
            )
        names = self._file.class_names() if "class_names" in self._file.keys else ()
        if names and numbers.max() >= len(names):
            raise DataError(f"{self.path}: '{key}' has label {numbers.max()}, but 'class_names' has {len(names)} names")
        return [names[number] if names else str(number) for number in numbers.tolist()], True

    def _patients(self, part: Part) -> list[str] | None:
        key = next((name for name in PATIENTS if part.frame.format(name) in self._file.keys), None)
        return None if key is None else self._column(part, key)

    def _columns(self, names: ColumnNames) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the columns that are kept, and of those that are not."""
        pattern = re.compile(re.escape(self.parts[0].frame).replace(r"\{\}", "(.+)"))
        matches = [match[1] for key in self._file.keys if (match := pattern.fullmatch(key))]
        taken = {word.lower() for word in (*LABELS, *PATIENTS)}
        present = [name for name in matches if name.lower() not in taken and not IMAGES.fullmatch(name)]
        for name in names.more:
            if name not in present:
                held = ", ".join(present) or "none"
                raise DataError(f"{self.path}: has no column '{name}'{nearest(name, present)}; it has: {held}")
        kept = tuple(name for name in present if name in names.more or name in GROUP_COLUMNS)
        return kept, tuple(name for name in present if name not in kept)

    def _column(self, part: Part, name: str) -> list[str]:
        key = part.frame.format(name)
        header = self._header(key)
        self._check_rows(part, key, header)
        if header.shape[1:] not in ((), (1,)) or header.dtype.kind not in "biuU":
            raise DataError(f"{self.path}: '{key}' has {header.dtype} {header.shape}, not a whole number or text a row")
        if header.dtype.kind == "U":
            return self._texts(key, header)
        return [str(value) for value in read(self._file, key, header).astype(object).reshape(-1).tolist()]

    def _texts(self, key: str, header: Header) -> list[str]:
        if not header.dtype.itemsize:
            return [""] * math.prod(header.shape)
        with self._file.opened() as archive:
            texts: NDArray[Any] = self._file.texts(archive, key, header)
        return [str(text) for text in texts.reshape(-1)]

    def _check_rows(self, part: Part, key: str, header: Header) -> None:
        if header.shape[:1] != (part.rows,):
            raise DataError(
                f"{self.path}: '{key}' has the shape {header.shape}, but '{part.images}' has {part.rows} rows; save "
                "one for each row"
            )
