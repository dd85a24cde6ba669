"""What is done to the pixels of a picture before a model sees them; a registered model carries it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.data.importing.pictures import Decoded
from mobilenet_chest.errors import DataError

Fit = Literal["letterbox", "stretch"]
Window = Literal["voi", "percentile", "bits"]

MAX_SIZE = 2048


@dataclass(frozen=True)
class Preparation:
    """From a decoded picture to the row of a data file.

    Attributes:
        size: Height and width of the result, in pixels.
        fit: ``letterbox`` keeps the shape and fills with black; ``stretch`` fills the square.
        channels: 1 or 3.
        bits: Depth of 16-bit picture files, whose white is 2**bits − 1; ``None`` where the set had none.
        window: Gray range of DICOM files: the file's VOI window, its 0.5% to 99.5% percentiles, or its stored bits.
    """

    size: int
    fit: Fit = "letterbox"
    channels: int = 1
    bits: int | None = None
    window: Window = "voi"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: One is not allowed.
        """
        if isinstance(self.size, bool) or not isinstance(self.size, int) or not 8 <= self.size <= MAX_SIZE:
            raise DataError(f"size {self.size!r} is not allowed; give 8 to {MAX_SIZE} pixels, for example 224")
        if self.fit not in get_args(Fit):
            raise DataError(f"fit {self.fit!r} is not allowed; give one of: {', '.join(get_args(Fit))}")
        if self.channels not in (1, 3):
            raise DataError(f"channels {self.channels!r} are not allowed; give 1 (gray) or 3 (colour)")
        if self.bits is not None and (not isinstance(self.bits, int) or not 8 <= self.bits <= 16):
            raise DataError(f"bits {self.bits!r} is not allowed; give the depth of the 16-bit files, 8 to 16")
        if self.window not in get_args(Window):
            raise DataError(f"window {self.window!r} is not allowed; give one of: {', '.join(get_args(Window))}")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)

    def to_json(self) -> str:
        """Return one line of JSON, which :meth:`from_json` reads."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preparation:
        """Return the preparation that a data file or a model's settings hold.

        Raises:
            DataError: It is no JSON of these fields.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise DataError(f"the preparation of the pictures is no JSON ({error}); import them again") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or "size" not in values or not set(values) <= known:
            held = ", ".join(map(str, values)) if isinstance(values, dict) else repr(values)[:60]
            raise DataError(f"a preparation of pictures has the fields {', '.join(sorted(known))}; found: {held}")
        return cls(**values)

    def apply(self, decoded: Decoded) -> NDArray[np.uint8]:
        """Return the row of a picture, uint8 (size, size) or (size, size, 3).

        Raises:
            Unreadable: A 16-bit file, and its range is unknown or its values lie above it.
        """
        bits = decoded.depth(self.bits)
        return finish(shrink(decoded.pixels, self.size, self.fit), bits, self.channels)


def shrink(pixels: NDArray[Any], size: int, fit: Fit) -> NDArray[Any]:
    """Resize with an antialiased bicubic filter to (size, size) or (size, size, 3), in the depth of the picture.

    Pixels of that size are returned unchanged. Gray values are scaled afterwards, so the range of a set may be found
    while its pictures are read once.
    """
    height, width = pixels.shape[:2]
    if fit == "letterbox":
        longer = max(height, width)
        to_height, to_width = max(1, round(height * size / longer)), max(1, round(width * size / longer))
    else:
        to_height = to_width = size
    scaled = _resized(pixels, to_height, to_width)
    if (to_height, to_width) == (size, size):
        return scaled
    square = np.zeros((size, size, *pixels.shape[2:]), pixels.dtype)
    top, left = (size - to_height) // 2, (size - to_width) // 2
    square[top : top + to_height, left : left + to_width] = scaled
    return square


def _resized(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if pixels.shape[:2] == (height, width):
        return pixels
    deep = pixels.dtype != np.uint8
    image = Image.fromarray(pixels.astype(np.float32) if deep else pixels)
    scaled = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return np.rint(scaled).clip(0, 65535).astype(np.uint16) if deep else scaled


def finish(small: NDArray[Any], bits: int, channels: int) -> NDArray[np.uint8]:
    """Scale gray values of a depth to 0…255, and convert to 1 or 3 channels (gray by ITU-R 601, as Pillow does)."""
    if small.dtype != np.uint8 or bits != 8:
        small = np.rint(small.astype(np.float64) * (255 / ((1 << bits) - 1))).clip(0, 255).astype(np.uint8)
    if channels == 1 and small.ndim == 3:
        return np.asarray(Image.fromarray(small).convert("L"))
    if channels == 3 and small.ndim == 2:
        return np.repeat(small[..., None], 3, axis=2)
    return small
