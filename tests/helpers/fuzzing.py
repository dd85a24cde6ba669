"""Bodies of requests that were damaged by chance: from valid ones, always the same for the same number."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from helpers.pictures import dicom, dicom_bytes, encoded, noise

JSON = "application/json"

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values at which lengths and sizes go wrong."""

TOKENS = ("0", "-1", "256", "1e400", "NaN", "null", "true", '"a"', '""', "[]", "{}", "[[]]", "9" * 400, "0.5",
          "[[[1]]]", '"' + "x" * 5000 + '"', "[" * 900 + "]" * 900)  # fmt: skip
"""What replaces a value of JSON."""


class Body(NamedTuple):
    """A request: where it goes, its content type, and its bytes."""

    path: str
    kind: str
    contents: bytes


def originals() -> list[Body]:
    """Return one valid body of each form that a server reads."""
    films = {name: _picture(contents) for name, contents in _pictures().items()}
    films |= {name: Body("/predict", "application/dicom", contents) for name, contents in _dicom_files().items()}
    arrays = [noise(1), np.stack([noise(2), noise(3)]), np.stack([noise(4)] * 3, -1)[None]]
    base64s = [base64.b64encode(films[name].contents).decode() for name in ("png", "jpeg", "dicom")]
    documents = [
        Body("/predict", JSON, json.dumps({"images": base64s}).encode()),
        Body("/predict", JSON, json.dumps({"images": base64s[:1]}).encode()),
        Body("/invocations", JSON, json.dumps({"inputs": arrays[1].tolist()}).encode()),
        Body("/invocations", JSON, json.dumps({"instances": arrays[2].tolist()}).encode()),
    ]
    return [*films.values(), *(Body("/predict", "", _npy(array)) for array in arrays), *documents]


def _picture(contents: bytes) -> Body:
    return Body("/predict", "image/any", contents)


def _pictures() -> dict[str, bytes]:
    gray, colour = noise(5, 48, 40), np.stack([noise(number, 48, 40) for number in (6, 7, 8)], -1)
    held = Image.Exif()
    held[0x0112] = 6
    deep = gray.astype(np.uint16) * 257
    return {
        "png": encoded(gray), "png colour": encoded(colour), "png palette": encoded(Image.fromarray(colour).quantize()),
        "png 16": encoded(deep), "png alpha": encoded(np.concatenate([colour, colour[..., :1]], -1)),
        "jpeg": encoded(gray, "JPEG"), "jpeg colour": encoded(colour, "JPEG", progressive=True),
        "jpeg turned": encoded(colour, "JPEG", exif=held),
        "jpeg cmyk": encoded(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "tiff": encoded(deep, "TIFF"), "tiff lzw": encoded(colour, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(colour, "TIFF", compression="jpeg"), "bmp": encoded(colour, "BMP"),
        "webp": encoded(colour, "WEBP"), "webp exact": encoded(colour, "WEBP", lossless=True),
    }  # fmt: skip


def _dicom_files() -> dict[str, bytes]:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

    pixels = noise(9, 48, 40).astype(np.uint16) * 16
    window = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": -5}
    plain = dicom(pixels, **window)
    files = {"dicom": dicom_bytes(plain), "dicom inverted": dicom_bytes(dicom(pixels, 12, "MONOCHROME1"))}
    for name, syntax in {"rle": RLELossless, "j2k": JPEG2000Lossless, "jls": JPEGLSLossless}.items():
        dataset = dicom(pixels, **window)
        try:
            dataset.compress(syntax)
        except (RuntimeError, NotImplementedError):  # no encoder of this kind is installed; its decoder is
            continue
        files[f"dicom {name}"] = dicom_bytes(dataset)
    jpeg = dicom(noise(9, 48, 40), 8)
    jpeg.PixelData = encapsulate([encoded(noise(9, 48, 40), "JPEG")])
    jpeg["PixelData"].is_undefined_length = True
    jpeg.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return files | {"dicom jpeg": dicom_bytes(jpeg)}


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def mutated(bodies: list[Body], number: int) -> Body:
    """Return the damaged body of a number."""
    chance = random.Random(number)
    body = bodies[number % len(bodies)]
    contents = body.contents
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        change = chance.choice(_JSON_CHANGES if body.kind == JSON else _CHANGES)
        contents = change(contents, chance, bodies) if contents else contents
    if contents[:8] == b"\x89PNG\r\n\x1a\n" and chance.random() < 0.8:
        contents = _with_checksums(contents)
    return body._replace(contents=contents)


Change = Callable[[bytes, random.Random, list[Body]], bytes]


def _flipped(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    changed = bytearray(contents)
    for _ in range(chance.choice((1, 2, 8, 32))):
        changed[_place(contents, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _numbered(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    number, place = chance.choice(NUMBERS), _place(contents, chance)
    form = chance.choice(("<I", ">I", "<H", ">H", "B"))
    written = struct.pack(form, number & ((1 << 8 * struct.calcsize(form)) - 1))
    return contents[:place] + written + contents[place + len(written) :]


def _cut(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    return contents[: chance.randrange(len(contents))]


def _without(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    place = _place(contents, chance)
    return contents[:place] + contents[place + chance.randrange(1, 64) :]


def _repeated(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    place = _place(contents, chance)
    part = contents[place : place + chance.randrange(1, 64)]
    return contents[:place] + part * chance.randrange(1, 40) + contents[place:]


def _noisy(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    place = _place(contents, chance)
    return contents[:place] + chance.randbytes(chance.randrange(1, 32)) + contents[place:]


def _spliced(contents: bytes, chance: random.Random, bodies: list[Body]) -> bytes:
    other = chance.choice(bodies).contents
    return contents[: _place(contents, chance)] + other[chance.randrange(len(other)) :]


def _token(contents: bytes, chance: random.Random, _: list[Body]) -> bytes:
    values = list(re.finditer(rb'\d+|"[^"]*"', contents))
    if not values:
        return contents
    value = chance.choice(values)
    return contents[: value.start()] + chance.choice(TOKENS).encode() + contents[value.end() :]


def _place(contents: bytes, chance: random.Random) -> int:
    """Return a place in the contents; headers decide more than pixels, so half of all places are in the first bytes."""
    return chance.randrange(min(len(contents), chance.choice((64, 512, len(contents)))))


_CHANGES: tuple[Change, ...] = (_flipped, _numbered, _numbered, _cut, _without, _repeated, _noisy, _spliced)
_JSON_CHANGES: tuple[Change, ...] = (_token, _token, _token, _flipped, _cut, _without, _repeated, _spliced)


def _with_checksums(png: bytes) -> bytes:
    """Return a PNG whose chunks have right checksums again: otherwise its reader goes no further."""
    parts, place = [png[:8]], 8
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunk = png[place + 4 : place + 8 + length]
        if len(chunk) < length + 4:
            break
        parts.append(png[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk)))
        place += 12 + length
    return b"".join([*parts, png[place:]])
