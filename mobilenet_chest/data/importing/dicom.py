"""Decode one DICOM file into gray values of 16 bits, or colour of 8, by the standard's own transformations.

Sizes are checked before pixels are decoded, in the data set and in the compressed stream, which may contradict it.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np

from mobilenet_chest.data.importing import jpeg_extended
from mobilenet_chest.data.importing.gray_levels import gray_pixels
from mobilenet_chest.data.importing.limits import check_scans, check_size
from mobilenet_chest.data.importing.pictures import Decoded, gray_if_equal, without_stderr
from mobilenet_chest.data.importing.preparation import Window
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.errors import MissingExtraError

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax whose whole data set is compressed: it has no size that could be checked first."""

_TRANSFER_SYNTAX = 0x00020010
"""Tag of the transfer syntax."""

_UNDEFINED_LENGTH = 0xFFFFFFFF
"""Length of an element that ends at a delimiter."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Class of screenshots and scanned films; its children begin with it."""

_MOST_COMPRESSED_BYTES = 4
"""Compressed bytes for each byte of pixels, at most: a run-length stream of more is built to fill memory."""

JPEG_START = b"\xff\xd8"

_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame's header, which has the size."""


def require() -> None:
    """Check that the packages of the extra are there.

    Raises:
        MissingExtraError: They are not.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise MissingExtraError("reading DICOM files", "dicom") from None


def decode_dicom(contents: bytes, window: Window) -> Decoded:
    """Decode the one picture of a DICOM file.

    Args:
        contents: The file.
        window: Gray range: the file's first VOI window (where it has none, its stored bits), its percentiles, or its
            stored bits.

    Raises:
        Unreadable: It is damaged, too large, holds no picture or several, or is of a kind that is not read.
        MissingExtraError: pydicom is not installed.
    """
    require()
    import pydicom
    from pydicom import config

    jpeg_extended.register()
    config.settings.reading_validation_mode = config.IGNORE  # values that are formally wrong, as devices write them
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if _is_deflated(contents):
                raise Unreadable("DICOM with the deflated transfer syntax; convert it to explicit little endian")
            dataset = pydicom.dcmread(io.BytesIO(contents))
            _check_lengths(dataset)
            with without_stderr():  # decoders of JPEG report there what pydicom reports as an error as well
                return _decoded(dataset, window)
    except Unreadable:
        raise
    except (NotImplementedError, RuntimeError) as error:  # decoders: which kind of compression is missing
        reason = (str(error) or type(error).__name__).splitlines()[0][:100].rstrip(":")
        raise Unreadable(f"DICOM whose pixels cannot be decoded ({reason})") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the panic of a decoder in Rust is no Exception
        # the message may quote the file's values, which may name a person
        raise Unreadable(f"damaged DICOM ({type(error).__name__})") from error


def _check_lengths(dataset: Any) -> None:
    """Refuse a file that ends before an element does: pydicom takes what there is."""
    for tag in dataset.keys():  # noqa: SIM118  # iterating over a data set decodes its elements
        element = dataset.get_item(tag)
        length, value = getattr(element, "length", None), getattr(element, "value", None)
        if isinstance(value, bytes) and length not in (None, _UNDEFINED_LENGTH) and len(value) < length:
            raise Unreadable(f"DICOM with an element of {length} bytes of which the file holds {len(value)}")


def _is_deflated(contents: bytes) -> bool:
    """Read the transfer syntax from the file's header, before pydicom would inflate what follows it."""
    from pydicom.filereader import data_element_generator, read_preamble

    file = io.BytesIO(contents)
    read_preamble(file, force=False)
    header = data_element_generator(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    uids = [element.value for element in header if element.tag == _TRANSFER_SYNTAX]
    return any(bytes(uid or b"").rstrip(b"\0 ") == DEFLATED for uid in uids)


def _decoded(dataset: Any, window: Window) -> Decoded:
    _check(dataset)
    photometric = str(dataset.PhotometricInterpretation)
    notes = _notes(dataset)
    patient = str(dataset.get("PatientID", "") or "").strip() or None
    mode = f"DICOM {photometric} {int(dataset.BitsStored)} bits"
    if int(dataset.SamplesPerPixel) == 3:
        from pydicom.pixels.utils import pixel_array

        colour = gray_if_equal(np.asarray(pixel_array(dataset), dtype=np.uint8))
        return Decoded(np.ascontiguousarray(colour), 8, mode, tuple(notes), patient)
    inverted = photometric == "MONOCHROME1"
    pixels, how = gray_pixels(dataset, window, inverted)
    notes += ["MONOCHROME1, inverted"] if inverted else []
    return Decoded(pixels, 16, mode, (*notes, how), patient)


def _check(dataset: Any) -> None:
    """Refuse by the data set's own claims what cannot be decoded faithfully or in bounded memory."""
    if "PixelData" not in dataset:
        raise Unreadable(f"DICOM without a picture (modality {str(dataset.get('Modality', '?'))[:16]})")
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    check_size(rows, columns)
    if frames != 1:
        raise Unreadable(f"DICOM of {frames} frames; save each to its own file")
    photometric, allocated = str(dataset.PhotometricInterpretation), int(dataset.BitsAllocated)
    gray = samples == 1 and photometric in ("MONOCHROME1", "MONOCHROME2")
    colour = samples == 3 and allocated == 8 and (photometric == "RGB" or photometric.startswith("YBR"))
    if not (gray and allocated in (8, 16)) and not colour:
        raise Unreadable(f"DICOM with {samples} × {allocated} bits of {photometric[:16]}, which is not read")
    if not 1 <= int(dataset.BitsStored) <= int(dataset.HighBit) + 1 <= allocated:
        raise Unreadable(f"DICOM with {dataset.BitsStored} bits stored below bit {dataset.HighBit} of {allocated}")
    expected, held = rows * columns * samples * allocated // 8, len(dataset.PixelData)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        if held > _MOST_COMPRESSED_BYTES * expected + (1 << 20):
            raise Unreadable(f"DICOM with {held} compressed bytes for {expected} bytes of pixels")
        _check_stream(bytes(dataset.PixelData), rows, columns)
    elif photometric == "YBR_FULL_422":
        expected = expected * 2 // 3
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated and held < expected:
        raise Unreadable(f"DICOM with {held} bytes of pixels where its size needs {expected}: cut off, or a false size")


def _check_stream(encapsulated: bytes, rows: int, columns: int) -> None:
    """Compare the size inside a JPEG or JPEG 2000 stream with the data set's: decoders take memory by the former."""
    from pydicom.encaps import generate_frames

    stream = next(generate_frames(encapsulated, number_of_frames=1))
    size = stream_size(stream)
    if size is not None and size != (rows, columns):
        raise Unreadable(f"DICOM of {columns} × {rows} pixels whose compressed picture has {size[1]} × {size[0]}")
    if stream[:2] == JPEG_START:
        check_scans(stream, rows, columns)


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Return height and width that a JPEG, JPEG-LS or JPEG 2000 stream states; ``None`` for any other."""
    if stream[:4] == b"\xff\x4f\xff\x51":
        right, bottom, left, top = struct.unpack(">4I", stream[8:24])
        return bottom - top, right - left
    place = 2 if stream[:2] == JPEG_START else len(stream)
    while place + 9 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in _FRAME_MARKERS or marker == 0xF7:
            height, width = struct.unpack(">HH", stream[place + 5 : place + 9])
            return height, width
        place += 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
    return None


def _notes(dataset: Any) -> list[str]:
    notes = []
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        notes.append("burned-in text, says the file: look at it, the text may name the patient")
    kinds = [str(kind).upper() for kind in dataset.get("ImageType", None) or []]
    if "DERIVED" in kinds:
        notes.append("derived image, says the file")
    if "SECONDARY" in kinds or str(dataset.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE):
        notes.append("secondary capture, not the detector's picture")
    return notes
