"""JPEG of 12 bits, decoded by GDCM: pydicom asks it for 8 bits only, and its other decoder of 12 bits is GPL."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

LABEL = "gdcm-12-bits"
"""Name of the decoder among pydicom's."""

EXTENDED = "1.2.840.10008.1.2.4.51"
"""Transfer syntax JPEG Extended (process 2 and 4)."""

DECODER_DEPENDENCIES = {EXTENDED: ("python-gdcm",)}
"""pydicom reads this where :func:`is_available` says no."""


def is_available(uid: str) -> bool:
    """Return whether pixels of a transfer syntax can be decoded here; pydicom asks."""
    return uid == EXTENDED and find_spec("gdcm") is not None


def register() -> None:
    """Give pydicom this decoder, once."""
    from pydicom.pixels.decoders.base import JPEGExtended12BitDecoder as decoder

    if LABEL not in (*decoder.available_plugins, *decoder.missing_dependencies):
        decoder.add_plugin(LABEL, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Return the decoded pixels of a frame, gray values of 16 bits in little endian.

    Args:
        source: The compressed frame.
        runner: pydicom's account of the picture.

    Raises:
        RuntimeError: GDCM cannot decode it.
    """
    import gdcm

    if runner.samples_per_pixel != 1 or runner.bits_allocated != 16:
        raise RuntimeError("JPEG Extended of another layout than gray values in 16 bits")
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(source)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(EXTENDED)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, runner.bits_stored, runner.bits_stored - 1, 0))
    buffer = image.GetBuffer()
    if buffer is None:
        raise RuntimeError("GDCM cannot decode this JPEG")
    # GDCM returns bytes as text
    return bytes(buffer.encode("utf-8", "surrogateescape"))
