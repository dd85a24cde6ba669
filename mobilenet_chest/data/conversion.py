"""Arrays of another layout: what their axes and values mean, and the line that imports them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.npz_archive import CHUNK_BYTES, Header, NpzArchive
from mobilenet_chest.errors import DataError

SIZES = range(8, 2049)
"""Sides of a picture that an import can write."""

NEARLY_BLACK = -0.9
"""Least value of floats up to 1 that are gray levels from -1 to 1, as many pipelines have them: some part is dark."""


@dataclass(frozen=True)
class ImageLayout:
    """How images lie in an array, and which gray levels their values are.

    Attributes:
        dtype: Of the values.
        axes: ``hw``, ``hwc``, ``chw``, ``hw1`` or ``1hw``: the axes after that of the rows.
        low: Least value.
        high: Greatest value.
    """

    dtype: np.dtype[Any]
    axes: str
    low: float = 0.0
    high: float = 255.0

    @property
    def colour(self) -> bool:
        """Whether the images have three channels."""
        return "c" in self.axes

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers of unknown depth, as those of a 16-bit picture file are."""
        return self.dtype.kind in "iu" and self.dtype != np.uint8 and self.low >= 0 and 1 < self.high <= 65535

    @property
    def of_set(self) -> bool:
        """Whether white and black are the greatest and the least value, which another set may not have."""
        return self._known_ends is None

    @property
    def bits(self) -> int | None:
        """Depth of :meth:`pixels`; ``None`` where only all rows of a set tell it."""
        if self.colour or self.dtype == np.uint8 or (self.dtype.kind in "biu" and self.high <= 1 and self.low >= 0):
            return 8
        return None if self.whole else 16

    @property
    def _known_ends(self) -> tuple[float, float] | None:
        """Values of black and white in any set of this layout; ``None`` where nothing tells them."""
        floats = self.dtype.kind == "f"
        if self.low >= 0 and self.high <= 1 and self.dtype != np.uint8:
            return 0, 1
        if self.dtype == np.uint8 or (floats and self.low >= 0 and self.high <= 255):
            return 0, 255
        if floats and -1 <= self.low <= NEARLY_BLACK and self.high <= 1:
            return -1, 1
        return (0, (1 << depth(int(self.high))) - 1) if self.whole else None

    def said(self) -> str:
        """Return what is known, for people."""
        black, white = self._known_ends or (self.low, self.high)
        ends = "" if self.bits is None else f": black is {black:g}, white is {white:g}"
        axes = ", ".join(self.axes)
        return f"arrays of {self.dtype} with the axes (n, {axes}), values {self.low:g} to {self.high:g}{ends}"

    def pixels(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return images as uint8 or uint16 (n, h, w), or uint8 (n, h, w, 3); values beyond the range are cut."""
        match self.axes:
            case "hw1":
                images = images[..., 0]
            case "1hw":
                images = images[:, 0]
            case "chw":
                images = images.transpose(0, 2, 3, 1)
        if self.dtype == np.uint8:
            return images
        if self.bits is None:
            return images.clip(0, 65535).astype(np.uint16)
        white = 255 if self.bits == 8 else 65535
        scaled = np.rint(self._share_of_white(images.astype(np.float64)) * white).clip(0, white)
        return scaled.astype(np.uint8 if self.bits == 8 else np.uint16)

    def _share_of_white(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        black, white = self._known_ends or (self.low, self.high)
        return (values - black) / (white - black)


DEPTHS = (8, 10, 12, 14, 16)
"""Depths that detectors have; the range of a set of 16-bit values is the smallest that holds all of them."""


def depth(largest: int) -> int:
    """Return the smallest of :data:`DEPTHS` that holds a value."""
    return next(bits for bits in DEPTHS if largest < 1 << bits)


def image_layout(file: NpzArchive, keys: Sequence[str]) -> ImageLayout | None:
    """Return the layout of a file's images.

    Args:
        file: The file.
        keys: Images in which the range of values is measured: those of train and val, not of test.

    Returns:
        ``None`` where nothing certain can be said: other axes or types, values that are not finite or all equal.
    """
    with file.opened() as archive:
        headers = [file.header(archive, key) for key in keys]
    kinds = {(_axes(header.shape[1:]), header.dtype) for header in headers}
    if len(kinds) != 1:
        return None
    ((axes, dtype),) = kinds
    if axes is None or dtype.kind not in "fiub":
        return None
    if dtype == np.uint8:
        return ImageLayout(dtype, axes)
    low, high = _range(file, keys)
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    return ImageLayout(dtype, axes, low, high)


def _axes(shape: tuple[int, ...]) -> str | None:
    match shape:
        case (_, _):
            return "hw"
        case (_, _, 3):
            return "hwc"
        case (_, _, 1):
            return "hw1"
        case (1, _, _):
            return "1hw"
        case (3, _, _):
            return "chw"
    return None


def label_numbers(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return the class number of each row, (n,), of labels that are whole numbers, −1 and 1, or one-hot.

    Returns:
        ``None`` where nothing certain can be said.
    """
    if not values.size or values.dtype.kind not in "fiub" or not np.isin(values, range(-1, 256)).all():
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        one_hot = values.min() == 0 and values.max() == 1 and (values.sum(1) == 1).all()
        return values.argmax(1) if one_hot else None
    if values.ndim not in (1, 2):
        return None
    numbers = values.astype(np.int64).reshape(-1)
    if numbers.min() < 0:
        return (numbers > 0).astype(np.int64) if set(np.unique(numbers)) == {-1, 1} else None
    return numbers


def conversion(file: NpzArchive) -> str | None:
    """Return the line to type that writes an imported copy of a file; ``None`` where nothing certain can be said.

    The rows of the test split are imported by that line too, but nothing here reads them.
    """
    known = [split for split in ("train", "val") if {f"{split}_images", f"{split}_labels"} <= set(file.keys)]
    if not known or not Path(file.name).is_file():
        return None
    try:
        layout = image_layout(file, [f"{split}_images" for split in known])
        with file.opened() as archive:
            shapes = [file.header(archive, f"{split}_images").shape[1:] for split in known]
            header = file.header(archive, f"{known[0]}_labels")
            labels = None if header.dtype.kind == "U" else label_numbers(read(file, f"{known[0]}_labels", header))
    except DataError:  # damaged: the error of the reader says so
        return None
    size = max(side for shape in shapes for side in (*shape, 0))
    if layout is None or size not in SIZES or (labels is None and header.dtype.kind != "U"):
        return None
    square = all(len({side for axis, side in zip(layout.axes, shape, strict=True) if axis in "hw"}) == 1
                 for shape in shapes)  # fmt: skip
    return _typed(file, size) + ("" if square else " --fit stretch")


def import_line(file: NpzArchive) -> str | None:
    """Return the line to type that imports a file whose arrays have other names; ``None`` where none is of images."""
    if not Path(file.name).is_file():
        return None
    shapes = []
    with file.opened() as archive:
        members = set(archive.namelist())
        for key in (key for key in file.keys if f"{key}.npy" in members):  # others are no arrays
            try:
                shapes.append(file.header(archive, key).shape)
            except DataError:  # nothing that an import could take
                continue
    size = max((side for shape in shapes if len(shape) in (3, 4) for side in shape[1:]), default=0)
    return _typed(file, size) if size in SIZES else None


def _typed(file: NpzArchive, size: int) -> str:
    source = Path(file.name)
    target = source.with_name(f"{source.stem}-converted.npz")
    quoted = " ".join(shlex.quote(str(path)) for path in (source, "--out", target))
    return f"mobilenet-chest data import {quoted} --size {size}"


def read(file: NpzArchive, key: str, header: Header) -> NDArray[Any]:
    """Return a small array of plain numbers whole."""
    with file.opened() as archive:
        raw = b"".join(file.payload(archive, key, header.offset, CHUNK_BYTES))
    return np.frombuffer(raw, header.dtype).reshape(header.shape)


def _range(file: NpzArchive, keys: Sequence[str]) -> tuple[float, float]:
    """Return the least and the greatest value of some arrays; NaN where one is not a number."""
    low, high = math.inf, -math.inf
    with file.opened() as archive:
        for key in keys:
            header = file.header(archive, key)
            step = CHUNK_BYTES - CHUNK_BYTES % header.dtype.itemsize
            for raw in file.payload(archive, key, header.offset, step):
                values = np.frombuffer(raw, header.dtype)
                low, high = float(np.minimum(low, values.min())), float(np.maximum(high, values.max()))
    return low, high
