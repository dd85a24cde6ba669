"""DICOM: the standard's transformations, and files that lie."""

from __future__ import annotations

import builtins
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import ROOT
from helpers.pictures import dicom, dicom_bytes, encoded, noise
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from mobilenet_chest.data.importing import dicom as dicom_module
from mobilenet_chest.data.importing import gray_levels
from mobilenet_chest.data.importing.dicom import decode_dicom, stream_size
from mobilenet_chest.data.importing.pictures import Decoded
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.errors import MissingExtraError

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
"""Stored values of 12 bits."""


def decoded(dataset: Any, window: Any = "voi") -> Decoded:
    return decode_dicom(dicom_bytes(dataset), window)


def levels(dataset: Any, window: Any = "voi") -> Any:
    """Return gray levels from 0 to 1."""
    return decoded(dataset, window).pixels / 65535


def test_stored_bits_are_the_range_where_there_is_no_window() -> None:
    film = decoded(dicom(RAMP))
    assert film.pixels.dtype == np.uint16
    assert (film.bits, film.patient) == (16, "MRN-4711")
    np.testing.assert_allclose(film.pixels / 65535, RAMP / 4095, atol=1e-5)
    np.testing.assert_allclose(levels(dicom(RAMP, bits=16)), RAMP / 65535, atol=1e-5)


def test_bits_beside_the_stored_ones_are_no_pixels() -> None:
    overlay = RAMP | np.uint16(0x8000)  # old files keep an overlay there
    np.testing.assert_allclose(levels(dicom(overlay)), RAMP / 4095, atol=1e-5)
    shifted = dicom(RAMP << 4, HighBit=15)
    np.testing.assert_allclose(levels(shifted), RAMP / 4095, atol=1e-5)


def test_signed_values() -> None:
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    np.testing.assert_allclose(levels(dicom(signed)), RAMP / 4095, atol=1e-5)


def test_monochrome1_is_inverted() -> None:
    film = decoded(dicom(RAMP, photometric="MONOCHROME1"))
    np.testing.assert_allclose(film.pixels / 65535, 1 - RAMP / 4095, atol=1e-5)
    assert "MONOCHROME1, inverted" in film.notes


def test_windows_of_the_file() -> None:
    """PS3.3 C.11.2.1.2: below c − 0.5 − (w − 1) / 2 black, above c − 0.5 + (w − 1) / 2 white."""
    linear = levels(dicom(RAMP, WindowCenter=2048, WindowWidth=1024))
    expected = ((RAMP - (2048 - 0.5)) / (1024 - 1) + 0.5).clip(0, 1)
    np.testing.assert_allclose(linear, expected, atol=1e-5)
    exact = levels(dicom(RAMP, WindowCenter=[2048, 1], WindowWidth=[1024, 1], VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(exact, ((RAMP - 2048.0) / 1024 + 0.5).clip(0, 1), atol=1e-5)
    sigmoid = levels(dicom(RAMP, WindowCenter=2048, WindowWidth=1024, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-4 * (RAMP - 2048.0) / 1024)), atol=1e-5)


def test_the_modality_lut_comes_before_the_window() -> None:
    film = dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2048 * 2 - 1000, WindowWidth=2048)
    expected = ((RAMP * 2.0 - 1000 - (2048 * 2 - 1000 - 0.5)) / 2047 + 0.5).clip(0, 1)
    np.testing.assert_allclose(levels(film), expected, atol=1e-5)
    np.testing.assert_allclose(levels(film, "bits"), RAMP / 4095, atol=1e-5)


def test_tables_of_the_file() -> None:
    lut = Dataset()
    lut.LUTDescriptor = [4096, 0, 8]
    lut.LUTData = (np.arange(4096) // 16)[::-1].astype(np.uint16).tobytes()
    film = dicom(RAMP, VOILUTSequence=[lut])
    np.testing.assert_allclose(levels(film), ((4095 - RAMP) // 16) / 255, atol=1e-5)
    lut.ModalityLUTType = "US"
    film = dicom(RAMP, ModalityLUTSequence=[lut])
    np.testing.assert_allclose(levels(film), ((4095 - RAMP) // 16) / 255, atol=1e-5)


def test_percentiles_leave_padding_out() -> None:
    padded = RAMP.copy()
    padded[0] = 4095
    film = dicom(padded, PixelPaddingValue=4095)
    shown = levels(film, "percentile")
    assert not shown[0].any()  # outside the film is black
    low, high = np.percentile(padded[1:].astype(float), (0.5, 99.5), method="inverted_cdf")
    np.testing.assert_allclose(shown[1:], ((padded[1:] - low) / (high - low)).clip(0, 1), atol=1e-5)


@pytest.mark.parametrize("window", ["voi", "percentile", "bits"])
def test_a_film_in_blocks_is_as_the_whole(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    film = dicom((RAMP.astype(np.int16) - 2000).astype(np.int16), photometric="MONOCHROME1", RescaleSlope=-2,
                 RescaleIntercept=7, PixelPaddingValue=-2000, WindowCenter=0, WindowWidth=3000)  # fmt: skip
    whole = decoded(film, window).pixels
    monkeypatch.setattr(gray_levels, "_BLOCK", 50)
    np.testing.assert_array_equal(decoded(film, window).pixels, whole)


def test_colour() -> None:
    colour = np.stack([noise(number) for number in range(3)], axis=-1)
    film = decoded(dicom(colour, bits=8, photometric="RGB"))
    assert film.bits == 8
    np.testing.assert_array_equal(film.pixels, colour)


def test_what_a_reader_should_know_is_reported() -> None:
    film = dicom(RAMP, BurnedInAnnotation="YES", ImageType=["DERIVED", "SECONDARY"])
    notes = " ".join(decoded(film).notes)
    assert "burned-in" in notes
    assert "derived" in notes
    assert "secondary" in notes


def test_compressed_pixels() -> None:
    film = dicom(RAMP)
    film.compress(RLELossless)
    np.testing.assert_allclose(levels(film), RAMP / 4095, atol=1e-5)
    film = dicom(noise(0, 64, 64), bits=8)
    film.compress(JPEG2000Lossless)
    np.testing.assert_allclose(levels(film), noise(0, 64, 64) / 255, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["693_J2KI.dcm", "JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm",
     "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "CT_small.dcm", "examples_overlay.dcm"],
)  # fmt: skip
def test_files_of_devices_are_shown_as_pydicom_shows_them(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this version of pydicom brings no {name}")
    dataset = dcmread(str(path))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    pixels = decode_dicom(Path(str(path)).read_bytes(), "voi").pixels
    assert pixels.shape == shown.shape
    assert np.corrcoef(pixels.ravel(), shown.ravel())[0, 1] > 0.9999


def test_lossless_compression_keeps_every_value() -> None:
    """JPEG-LS, JPEG 2000 and RLE of the same film, and lossless JPEG of a colour picture."""
    plain = decode_dicom(_device("MR_small.dcm"), "bits").pixels
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"):
        np.testing.assert_array_equal(decode_dicom(_device(name), "bits").pixels, plain)
    colour = decode_dicom(_device("SC_rgb_rle.dcm"), "voi").pixels
    np.testing.assert_array_equal(decode_dicom(_device("SC_rgb_jpeg_gdcm.dcm"), "voi").pixels, colour)


def test_no_decoder_is_of_a_licence_that_passes_itself_on() -> None:
    (extra,) = (line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("dicom = "))
    assert "libjpeg-" not in extra
    assert "[all]" not in extra


def _device(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this version of pydicom brings no {name}")
    return Path(str(path)).read_bytes()


def _jpeg_2000(side: int) -> bytes:
    contents = encoded(np.zeros((side, side), np.uint8), "JPEG2000")
    return contents[contents.find(b"\xff\x4f\xff\x51") :]


def _larger_inside() -> bytes:
    film = dicom(noise(0, 64, 64), bits=8)
    film.file_meta.TransferSyntaxUID = JPEG2000Lossless
    film.PixelData = encapsulate([_jpeg_2000(512)])
    film["PixelData"].is_undefined_length = True
    return dicom_bytes(film)


def _deflated() -> bytes:
    film = dicom(RAMP)
    film.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dicom_bytes(film)


def _lying(tag: bytes, place: int, form: str, length: int) -> bytes:
    contents = bytearray(dicom_bytes(dicom(RAMP)))
    start = contents.find(tag) + place
    contents[start : start + struct.calcsize(form)] = struct.pack(form, length)
    return bytes(contents)


def _without_pixels() -> bytes:
    film = dicom(RAMP, Modality="SR")
    del film.PixelData
    return dicom_bytes(film)


REFUSED = {
    "claims 50,000 × 50,000 pixels": (lambda: dicom_bytes(dicom(RAMP, Rows=50_000, Columns=50_000)), "million pixels"),
    "fewer bytes than its size needs": (lambda: dicom_bytes(dicom(RAMP, Rows=64)), "512 bytes"),
    "cut off": (lambda: dicom_bytes(dicom(RAMP))[:-100], "412"),
    "pixels of a false length": (lambda: _lying(b"\xe0\x7f\x10\x00", 8, "<I", 0xFFFFFFF0), "4294967280"),
    "a text of a false length": (lambda: _lying(b"\x10\x00\x20\x00", 6, "<H", 0xFFF0), "65520"),
    "a larger picture inside": (_larger_inside, "512 × 512"),
    "deflated": (_deflated, "deflated"),
    "no picture": (_without_pixels, "without a picture"),
    "several frames": (lambda: dicom_bytes(dicom(RAMP, NumberOfFrames=3)), "3 frames"),
    "a palette": (lambda: dicom_bytes(dicom(RAMP, photometric="PALETTE COLOR")), "PALETTE COLOR"),
    "more bits than allocated": (lambda: dicom_bytes(dicom(RAMP, HighBit=20)), "bit 20"),
    "a slope of nothing": (lambda: dicom_bytes(dicom(RAMP, RescaleSlope=0, RescaleIntercept=0)), "slope"),
    "no DICOM": (lambda: b"hello", "damaged"),
    "nothing behind its name": (lambda: bytes(128) + b"DICM", "damaged|without"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_decoded_faithfully_is_refused(make: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        decode_dicom(make(), "voi")
    assert "\n" not in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_flipped_bits_give_a_picture_or_a_reason() -> None:
    contents = dicom_bytes(dicom(RAMP))
    chance, reasons = np.random.default_rng(0), []
    for _ in range(200):
        damaged = bytearray(contents)
        for place in chance.integers(0, len(contents) - 512, 3):
            damaged[place] ^= 1 << int(chance.integers(8))
        try:
            assert decode_dicom(bytes(damaged), "voi").pixels.size <= 1 << 20
        except Unreadable as error:
            reasons.append(str(error))
    assert reasons
    assert not any("Doe" in reason for reason in reasons)


def test_the_panic_of_a_decoder_in_rust_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panics(*_: object) -> None:
        raise PanicException("index out of bounds")

    contents = dicom_bytes(dicom(noise(0).astype(np.uint16)))
    monkeypatch.setattr(dicom_module, "gray_pixels", panics)
    with pytest.raises(Unreadable, match="PanicException"):
        decode_dicom(contents, "voi")


def test_sizes_of_compressed_streams() -> None:
    assert stream_size(_jpeg_2000(512)) == (512, 512)
    assert stream_size(encoded(noise(0, 20, 16), "JPEG")) == (20, 16)
    assert stream_size(b"\xff\xd8\xff") is None
    assert stream_size(b"") is None


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "pydicom":
            raise ImportError(name)
        return ordinary(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"\[dicom\]"):
        decode_dicom(io.BytesIO().getvalue(), "voi")
