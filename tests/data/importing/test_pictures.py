"""Pictures of every kind that is taken, and one line for every kind that is not."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pictures import STEPS, encoded, noise, raw_png
from PIL import Image, ImageOps

from mobilenet_chest.data.importing import pictures
from mobilenet_chest.data.importing.pictures import Decoded, decode_picture, read_bytes
from mobilenet_chest.data.importing.unreadable import Unreadable


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_eight_bits_are_kept(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_picture(encoded(STEPS, kind, **options))
    assert decoded.pixels.dtype == np.uint8
    assert decoded.bits == 8
    np.testing.assert_array_equal(decoded.pixels, STEPS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_not_scaled(kind: str) -> None:
    deep = STEPS.astype(np.uint16) * 12
    decoded = decode_picture(encoded(deep, kind))
    assert decoded.pixels.dtype == np.uint16
    assert decoded.bits is None  # the set tells
    np.testing.assert_array_equal(decoded.pixels, deep)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    contents = encoded(STEPS, kind, exif=exif, **options)
    with Image.open(io.BytesIO(contents)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    decoded = decode_picture(contents)
    np.testing.assert_array_equal(decoded.pixels, upright)
    assert ("turned upright by its EXIF orientation" in decoded.notes) == (orientation > 1)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_deep_or_transparent_picture_is_turned_as_well(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = np.rot90(STEPS, 2 if orientation == 3 else -1)
    deep = decode_picture(encoded(STEPS.astype(np.uint16) * 256, "PNG", exif=exif))
    np.testing.assert_array_equal(deep.pixels, turned.astype(np.uint16) * 256)
    seen_through = Image.fromarray(STEPS).convert("LA")
    seen_through.putpixel((1, 0), (20, 0))
    transparent = decode_picture(encoded(seen_through, "PNG", exif=exif))
    assert transparent.pixels.shape == turned.shape


def test_other_modes() -> None:
    colour = np.stack([noise(number) for number in range(3)], axis=-1)
    assert decode_picture(encoded(Image.fromarray(colour).convert("P"))).pixels.shape == (20, 16, 3)
    assert decode_picture(encoded(Image.fromarray(colour).convert("CMYK"), "JPEG")).pixels.shape == (20, 16, 3)
    np.testing.assert_array_equal(decode_picture(encoded(colour)).pixels, colour)
    one_bit = decode_picture(encoded(Image.fromarray(noise(0)).convert("1"), "BMP"))
    assert set(np.unique(one_bit.pixels)) == {0, 255}
    gray = decode_picture(encoded(np.repeat(STEPS[..., None], 3, axis=2)))
    np.testing.assert_array_equal(gray.pixels, STEPS)  # three equal channels


def test_transparent_parts_become_black() -> None:
    image = Image.fromarray(np.full((4, 4), 200, np.uint8)).convert("LA")
    image.putpixel((0, 0), (200, 0))
    decoded = decode_picture(encoded(image))
    assert decoded.pixels[0, 0] == 0
    assert decoded.pixels[1, 1] == 200
    assert decoded.notes == ("transparent parts made black",)


REFUSED = {
    "50,000 × 50,000 pixels": (raw_png(50_000, 50_000, 8, 0, bytes(1000)), "million pixels"),
    "more than the limit": (raw_png(9_000, 9_000, 1, 0, bytes(1000)), "9000 × 9000"),
    "truncated": (encoded(noise(0, 64, 64))[:1500], "damaged"),
    "truncated JPEG": (encoded(noise(0, 64, 64), "JPEG")[:1500], "damaged"),
    "text": (b"hello", "not a picture"),
    "another format": (encoded(STEPS, "GIF"), "not a picture"),
    "floating point": (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "floating-point"),
    "16 bits a channel": (raw_png(2, 2, 16, 2, bytes(26)), "16 bits a channel"),
    "several pictures": (
        encoded(Image.fromarray(STEPS), "TIFF", save_all=True, append_images=[Image.fromarray(STEPS)]), "2 pictures",
    ),
    "a deep negative": (encoded(STEPS.astype(np.uint16), "TIFF", tiffinfo={262: 0}), "white is zero"),
    "32 bits": (encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"), "0..65535"),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_decoded_faithfully_is_refused(contents: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        decode_picture(contents)
    assert "\n" not in str(caught.value)


def test_two_threads_may_drop_stderr_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = pictures.without_stderr(), pictures.without_stderr()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    os.write(2, b"dropped")
    second.__exit__(None, None, None)
    os.write(2, b"kept")
    assert capfd.readouterr().err == "kept"


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreadable, match="no such file"):
        read_bytes(tmp_path / "none.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(Unreadable, match="regular"):
        read_bytes(tmp_path / "pipe.png")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(Unreadable, match="empty"):
        read_bytes(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MAX_BYTES", 3)
    (tmp_path / "a.png").write_bytes(b"1234")
    with pytest.raises(Unreadable, match="larger"):
        read_bytes(tmp_path / "a.png")


def test_depth_of_a_picture() -> None:
    deep = np.full((2, 2), 3000, np.uint16)
    assert Decoded(deep, 16, "").depth(12) == 16
    assert Decoded(deep, None, "").depth(12) == 12
    with pytest.raises(Unreadable, match="3000, above the 1023"):
        Decoded(deep, None, "").depth(10)
    with pytest.raises(Unreadable, match="unknown"):
        Decoded(deep, None, "").depth(None)


def test_damage_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    contents = bytearray(encoded(noise(0, 64, 64), "TIFF", compression="tiff_lzw"))
    contents[20:400] = bytes(380)
    with pytest.raises(Unreadable, match="damaged"):
        decode_picture(bytes(contents))
    assert capfd.readouterr() == ("", "")


def test_flipped_bits_give_a_picture_or_a_reason() -> None:
    colour = np.stack([noise(number) for number in range(3)], axis=-1)
    files = [encoded(colour, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")]
    chance, refused = np.random.default_rng(0), 0
    for turn in range(300):
        damaged = bytearray(files[turn % len(files)])
        for place in chance.integers(0, min(len(damaged), 300), 4):
            damaged[place] = int(chance.integers(256))
        try:
            decode_picture(bytes(damaged))
        except Unreadable:
            refused += 1
    assert 0 < refused < 300
