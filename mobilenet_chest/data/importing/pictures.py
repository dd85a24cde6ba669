"""Decode one picture file into an array, with its depth stated and never scaled.

A reader of hostile files: the size is checked before a pixel is decoded, and whatever a decoder raises becomes one
:class:`~.unreadable.Unreadable`. So memory is bounded by :data:`MAX_BYTES` and :data:`~.limits.MAX_PIXELS`.
"""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mobilenet_chest.data.importing.limits import JPEG_IN_TIFF, check_parts, check_scans, check_size, too_large
from mobilenet_chest.data.importing.unreadable import Unreadable

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Endings of picture files; the contents decide what a file is."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Pillow's decoders that are used."""

SECOND_VIEW = "MPO"
"""Pillow's name of a JPEG with further views, as phones write it; the first is taken."""

MAX_BYTES = 1 << 29
"""Largest file."""

ORIENTATION = 0x0112
"""EXIF tag: how the camera was held, 1 to 8."""

_COUNT = re.compile(r" \(\d+ bytes not processed\)")
"""What Pillow says of a truncated file: without it, the same damage is the same reason."""

WHITE_IS_ZERO = (262, 0)
"""TIFF tag PhotometricInterpretation, and its value for pictures stored as negatives."""

BITS_PER_SAMPLE = 258
"""TIFF tag."""


@dataclass(frozen=True)
class Decoded:
    """One picture, upright.

    Attributes:
        pixels: uint8 or uint16, (h, w) for gray or (h, w, 3) for colour.
        bits: Depth of the values: white is 2**bits − 1. ``None`` for a 16-bit file, which may hold fewer bits.
        mode: How the file stores it, such as ``PNG I;16``.
        notes: What a reader of the report should know about it.
        patient: Patient of a DICOM file, as the file names it.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    bits: int | None
    mode: str
    notes: tuple[str, ...] = ()
    patient: str | None = None

    def depth(self, of_set: int | None) -> int:
        """Return the depth of the values.

        Args:
            of_set: Depth of the 16-bit files of a set; it counts where the file does not state its own.

        Raises:
            Unreadable: Neither is known, or a value is above the depth.
        """
        if self.bits is not None:
            return self.bits
        if of_set is None:
            raise Unreadable("a 16-bit file of unknown depth")
        largest, limit = int(self.pixels.max()), (1 << of_set) - 1
        if largest > limit:
            raise Unreadable(f"the value {largest}, above the {limit} of {of_set} bits")
        return of_set


def read_bytes(path: Path) -> bytes:
    """Return the contents of a file of at most :data:`MAX_BYTES` bytes.

    Raises:
        Unreadable: It is larger, no regular file, or cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise Unreadable("no such file" if not path.exists() else "not a regular file")
        with path.open("rb") as file:
            contents = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from error
    if len(contents) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES >> 20} MiB")
    if not contents:
        raise Unreadable("an empty file")
    return contents


def decode_picture(contents: bytes) -> Decoded:
    """Decode a PNG, JPEG, TIFF, BMP or WebP file.

    EXIF orientation is applied. Palettes, CMYK and other colour spaces become RGB; transparent parts become black.
    Colour with three equal channels becomes gray.

    Raises:
        Unreadable: It is damaged, too large, holds several pictures, or values of unknown range.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large and of slightly wrong files; those that matter are refused here
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(contents), formats=FORMATS) as image:
                _check(image)
                if image.format in ("JPEG", SECOND_VIEW):
                    check_scans(contents, image.height, image.width)
                if image.format == "TIFF" and image.info.get("compression") in JPEG_IN_TIFF:
                    check_parts(contents, image)
                stated = _orientation(image)  # of a TIFF, Pillow applies and forgets it
                with without_stderr() if image.format == "TIFF" else nullcontext():
                    image.load()
                return _decoded(image, stated)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        raise Unreadable(too_large("a picture")) from None
    except UnidentifiedImageError:
        raise Unreadable("not a picture, whatever its name says") from None
    except Exception as error:  # decoders raise errors of every kind on damaged bytes
        reason = _COUNT.sub("", (str(error) or type(error).__name__).splitlines()[0][:100])
        raise Unreadable(f"damaged picture ({reason})") from error


class _Stderr:
    """The process's stderr, which several threads may want dropped at once: the last one brings it back."""

    def __init__(self) -> None:
        self._lock, self._threads, self._kept = threading.Lock(), 0, -1

    def drop(self) -> None:
        with self._lock:
            self._threads += 1
            if self._threads > 1:
                return
            try:
                self._kept = os.dup(2)
            except OSError:  # a process without a stderr
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def bring_back(self) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads and self._kept >= 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                self._kept = -1


_stderr = _Stderr()


@contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what C code writes to stderr: libtiff reports damage there, and Pillow reports it as an error as well."""
    _stderr.drop()
    try:
        yield
    finally:
        _stderr.bring_back()


def gray_if_equal(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (h, w) where the three channels of (h, w, 3) are equal: many archives store gray films as colour."""
    first = pixels[..., 0]
    equal = np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])
    return np.ascontiguousarray(first) if equal else pixels


def _check(image: Image.Image) -> None:
    """Refuse by the header what cannot be decoded faithfully."""
    check_size(image.height, image.width)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != SECOND_VIEW:
        raise Unreadable(f"holds {frames} pictures; save each to its own file")
    if image.mode == "F":
        raise Unreadable("floating-point values, whose range is unknown; save it as 16-bit whole numbers")
    deep = image.mode.startswith("I")
    sixteen = image.format in ("PNG", "TIFF")  # a BMP of 16 bits has 5 or 6 in each channel
    if sixteen and not deep and any(";16" in str(tile[3]) for tile in getattr(image, "tile", [])):
        # Pillow keeps the upper 8 bits of each channel, which is nothing of a 12-bit value
        raise Unreadable("16 bits a channel in colour; save it as gray, or with 8 bits a channel")
    tag, white = WHITE_IS_ZERO
    if deep and getattr(image, "tag_v2", {}).get(tag) == white:
        raise Unreadable("a negative of 16 bits (TIFF, white is zero); save it with black as zero")


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _decoded(image: Image.Image, stated: int) -> Decoded:
    mode, orientation = f"{image.format} {image.mode}", _orientation(image)
    notes = ["turned upright by its EXIF orientation"] if max(stated, orientation) > 1 else []
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise Unreadable(f"values from {values.min()} to {values.max()}, not within 0..65535 (16 bits)")
        pixels: NDArray[Any] = values.astype(np.uint16)
        bits = _stated_bits(image)
    else:
        if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
            image, seen = _on_black(image)
            notes += ["transparent parts made black"] if seen else []
        gray = image.mode in ("L", "1")
        pixels = np.asarray(image.convert("L" if gray else "RGB"))
        pixels = pixels if gray else gray_if_equal(pixels)
        bits = 8
    return Decoded(_upright(pixels, orientation), bits, mode, tuple(notes))


def _stated_bits(image: Image.Image) -> int | None:
    """Return the depth that a TIFF states, where it is below 16: then it is the values', not the container's."""
    stated = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))
    bits = stated[0] if isinstance(stated, tuple) else stated
    return int(bits) if 8 < bits < 16 else None


def _on_black(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return a picture over black, and whether any of it was transparent."""
    full = image.convert("RGBA")
    seen = full.getchannel("A").getextrema()[0] != 255
    flat = Image.alpha_composite(Image.new("RGBA", full.size, (0, 0, 0, 255)), full) if seen else full
    return flat.convert("RGB"), seen


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return pixels as EXIF orientation 1 to 8 wants them shown."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
