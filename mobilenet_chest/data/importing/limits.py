"""Limits of what a picture may cost: its size and its work are checked before a pixel is decoded."""

from __future__ import annotations

from typing import Any

from PIL import Image

from mobilenet_chest.data.importing.unreadable import Unreadable

MAX_PIXELS = 1 << 26
"""Largest height × width: 67 million, which is a film of 35 × 43 cm at 20 pixels a millimetre."""

MAX_SCANNED = 16 * MAX_PIXELS
"""Largest pixels × scans of a JPEG: a progressive one has about 10 scans, and each goes over all pixels."""

SCAN = b"\xff\xda"
"""JPEG's marker of a scan, which cannot occur inside of one."""

JPEG_IN_TIFF = ("jpeg", "tiff_jpeg")
"""Pillow's names of TIFF's compressions whose strips or tiles are each a JPEG."""

STRIPS, TILES = (273, 279), (324, 325)
"""TIFF tags: offsets and lengths of parts."""

ROWS_PER_STRIP, TILE_SIZE = 278, (322, 323)
"""TIFF tags: the size of a part."""


def check_size(height: int, width: int) -> None:
    """Check a picture's claimed size before memory is taken for it.

    Raises:
        Unreadable: It has more than :data:`MAX_PIXELS` pixels, or none.
    """
    if height < 1 or width < 1:
        raise Unreadable(f"{width} × {height} pixels")
    if height * width > MAX_PIXELS:
        raise Unreadable(too_large(f"{width} × {height} pixels"))


def check_scans(jpeg: bytes, height: int, width: int) -> None:
    """Check how often a JPEG goes over its pixels: thousands of empty scans of a large picture would take hours.

    Raises:
        Unreadable: Pixels × scans are more than :data:`MAX_SCANNED`.
    """
    scans = jpeg.count(SCAN)
    if scans * height * width > MAX_SCANNED:
        raise Unreadable(f"a JPEG of {scans} scans for {width} × {height} pixels; save it with fewer, or as PNG")


def check_parts(tiff: bytes, image: Image.Image) -> None:
    """Check the same of a TIFF whose strips or tiles are JPEGs; several of them may be the same bytes.

    Raises:
        Unreadable: A part has no place in the file, they overlap, or pixels × scans are more than :data:`MAX_SCANNED`.
    """
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    if tiled := STRIPS[0] not in tags:
        pixels = tags.get(TILE_SIZE[0], image.width) * tags.get(TILE_SIZE[1], image.height)
    else:
        pixels = image.width * min(tags.get(ROWS_PER_STRIP, image.height), image.height)
    offsets, lengths = (_values(tags.get(tag, ())) for tag in (TILES if tiled else STRIPS))
    if len(offsets) != len(lengths) or 0 in lengths or sum(lengths) > len(tiff):
        raise Unreadable("a TIFF of JPEGs that overlap, or whose lengths are missing; save it as PNG")
    scans = sum(tiff.count(SCAN, offset, offset + length) for offset, length in zip(offsets, lengths, strict=True))
    if scans * pixels > MAX_SCANNED:
        raise Unreadable(
            f"a TIFF with JPEGs of {scans} scans for {image.width} × {image.height} pixels; save it as PNG"
        )


def _values(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def too_large(what: str) -> str:
    """Return the reason why a picture of this size is refused."""
    return f"{what}: more than {MAX_PIXELS / 1e6:.0f} million pixels are not decoded"
