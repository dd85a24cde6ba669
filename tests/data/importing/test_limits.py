"""Limits of what a picture may cost, checked before it is decoded."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.pictures import encoded, noise
from numpy.typing import NDArray

from mobilenet_chest.data.importing import limits
from mobilenet_chest.data.importing.pictures import decode_picture
from mobilenet_chest.data.importing.unreadable import Unreadable


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = encoded(noise(0, 40, 30), "JPEG", progressive=True)
    last = jpeg.rindex(limits.SCAN)
    many = jpeg[:-2] + jpeg[last:-2] * 500 + jpeg[-2:]
    assert decode_picture(many).pixels.shape == (40, 30)
    monkeypatch.setattr(limits, "MAX_SCANNED", 16 * 40 * 30)
    assert decode_picture(jpeg).pixels.shape == (40, 30)
    with pytest.raises(Unreadable, match="scans for 30 × 40"):
        decode_picture(many)


def jpeg_tiff(pixels: NDArray[np.uint8], scans: int, tiled: bool, parts: int = 1) -> bytes:
    """Return a TIFF of a JPEG, with its last scan so often; its parts are all at the same place."""
    jpeg = encoded(pixels, "JPEG")
    last = jpeg.rindex(limits.SCAN)
    jpeg = jpeg[:-2] + jpeg[last:-2] * (scans - 1) + jpeg[-2:]
    (height, width), start = pixels.shape, 8 + 2 + 12 * 9 + 4
    places = limits.TILES if tiled else limits.STRIPS
    size = {322: width, 323: height} if tiled else {278: height}
    after = start + (8 * parts if parts > 1 else 0)
    tags = {256: width, 257: height, 258: 8, 259: 7, 262: 1, places[0]: after, places[1]: len(jpeg), **size}
    entries = [
        struct.pack("<HHII", tag, 4, parts if tag in places else 1,
                    value if tag not in places or parts == 1 else start + 4 * parts * places.index(tag))
        for tag, value in sorted(tags.items())
    ]  # fmt: skip
    lists = struct.pack(f"<{2 * parts}I", *[after] * parts, *[len(jpeg)] * parts) if parts > 1 else b""
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    return head.ljust(start, b"\0") + lists + jpeg


@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
def test_so_is_a_tiff_of_such_jpegs(monkeypatch: pytest.MonkeyPatch, tiled: bool) -> None:
    tiff = jpeg_tiff(noise(0, 64, 64), scans=1, tiled=tiled)
    assert decode_picture(tiff).pixels.shape == (64, 64)
    monkeypatch.setattr(limits, "MAX_SCANNED", 16 * 64 * 64)
    assert decode_picture(tiff).pixels.shape == (64, 64)
    for bad in (jpeg_tiff(noise(0, 64, 64), scans=17, tiled=tiled), jpeg_tiff(noise(0, 64, 64), 1, tiled, parts=99)):
        with pytest.raises(Unreadable, match="a TIFF (of|with) JPEGs"):
            decode_picture(bad)
