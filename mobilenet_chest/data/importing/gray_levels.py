"""Gray levels of a DICOM picture: stored bits, modality LUT, window (DICOM PS3.3 C.7.6.3, C.11.1, C.11.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.importing.preparation import Window
from mobilenet_chest.data.importing.unreadable import Unreadable

PERCENTILES = (0.5, 99.5)
"""Gray range of the window ``percentile``."""

_BLOCK = 1 << 20
"""Pixels whose gray levels are computed at once."""


def gray_pixels(dataset: Any, window: Window, inverted: bool) -> tuple[NDArray[np.uint16], str]:
    """Return gray levels, uint16 (rows, columns) from 0 to 65535, and how their range was found.

    Args:
        dataset: With one sample for each pixel; its claims about sizes are checked.
        window: The file's VOI window, percentiles of its values, or its stored bits.
        inverted: The smallest value is white.

    Raises:
        Unreadable: Its tables or its rescaling make no sense.
    """
    raw = _raw_pixels(dataset)
    limits = _percentiles(raw, dataset) if window == "percentile" else None
    pixels, how = np.empty(raw.shape, np.uint16), ""
    step = max(1, _BLOCK // raw.shape[1])
    for top in range(0, len(raw), step):  # floats of a whole film would take many times its memory
        stored = _stored_values(raw[top : top + step], dataset)
        level, how = _levels(stored, dataset, window, limits)
        level = 1 - level if inverted else level
        if (padding := _padding(stored, dataset)) is not None:
            level[padding] = 0
        pixels[top : top + step] = np.rint(level * 65535)
    return pixels, how


def _raw_pixels(dataset: Any) -> NDArray[Any]:
    """Return the pixels with all allocated bits, (rows, columns)."""
    shape = int(dataset.Rows), int(dataset.Columns)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        raw: NDArray[Any] = dataset.pixel_array
        if raw.shape != shape:
            raise Unreadable(f"DICOM whose pixels have the shape {raw.shape}")
        return raw
    # pydicom's array lacks the upper bits where the stored ones do not begin at bit 0
    words = np.dtype("u1" if int(dataset.BitsAllocated) == 8 else f"{_byte_order(dataset)}u2")
    return np.frombuffer(dataset.PixelData, words, shape[0] * shape[1]).reshape(shape)


def _stored_values(raw: NDArray[Any], dataset: Any) -> NDArray[np.int32]:
    """Return the stored bits of pixels; the bits beside them may hold overlays."""
    bits = int(dataset.BitsStored)
    values = (raw.astype(np.int32) >> (int(dataset.HighBit) + 1 - bits)) & ((1 << bits) - 1)
    if int(dataset.PixelRepresentation) == 1:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return np.asarray(values, dtype=np.int32)


def _percentiles(raw: NDArray[Any], dataset: Any) -> tuple[float, float]:
    """Return the gray range of a film's own values, without its padding, by counting them."""
    counts = np.zeros(1 << 17, np.int64)
    step = max(1, _BLOCK // raw.shape[1])
    for top in range(0, len(raw), step):
        stored = _stored_values(raw[top : top + step], dataset)
        counts += np.bincount(stored.ravel() + (1 << 16), minlength=len(counts))
    stored = (np.flatnonzero(counts) - (1 << 16)).astype(np.int32)
    padding = _padding(stored, dataset)
    if padding is not None and not padding.all():
        stored = stored[~padding]
    values, *_ = _modality(stored, dataset)
    low, high = np.percentile(values, PERCENTILES, weights=counts[stored + (1 << 16)], method="inverted_cdf")
    return float(low), float(high)


def _padding(stored: NDArray[np.int32], dataset: Any) -> NDArray[np.bool_] | None:
    """Return which pixels are outside the film, where the file says it."""
    value = dataset.get("PixelPaddingValue", None)
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    return (stored >= low) & (stored <= high)


def _levels(
    stored: NDArray[np.int32], dataset: Any, window: Window, limits: tuple[float, float] | None
) -> tuple[NDArray[np.float32], str]:  # fmt: skip
    """Return gray levels from 0 to 1, and how they were found; ``limits`` is the range of the window percentile."""
    values, low, high = _modality(stored, dataset)
    if limits is not None:
        return _linear(values, *limits), "window of its percentiles"
    if window == "voi":
        if dataset.get("VOILUTSequence"):
            looked_up, top = _table(values, dataset.VOILUTSequence[0], dataset)
            return _linear(looked_up, 0, top), "VOI LUT of the file"
        centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
        if centre is not None and width is not None and np.isfinite([centre, width]).all() and width > 0:
            return _windowed(values, centre, width, str(dataset.get("VOILUTFunction", "LINEAR"))), "window of the file"
    return _linear(values, low, high), "range of its stored bits"


def _modality(stored: NDArray[np.int32], dataset: Any) -> tuple[NDArray[np.float32], float, float]:
    """Return values after the modality LUT, and the smallest and largest that stored bits can give."""
    bits, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation) == 1
    first = -(1 << (bits - 1)) if signed else 0
    if dataset.get("ModalityLUTSequence"):
        looked_up, top = _table(stored, dataset.ModalityLUTSequence[0], dataset)
        return looked_up, 0.0, top
    slope, intercept = _first(dataset.get("RescaleSlope")), _first(dataset.get("RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise Unreadable(f"DICOM with a rescale slope of {slope} and intercept of {intercept}")
    ends = sorted((first * slope + intercept, (first + (1 << bits) - 1) * slope + intercept))
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept), ends[0], ends[1]


def _byte_order(dataset: Any) -> str:
    return "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"


def _table(values: NDArray[Any], item: Any, dataset: Any) -> tuple[NDArray[np.float32], float]:
    """Return values looked up in a LUT, and the largest that it may hold (PS3.3 C.11.1.1).

    pydicom's own function wraps indices at 256 in a table of 8 bits.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 1 << 16
    if first > 0x7FFF and int(dataset.PixelRepresentation) == 1:  # a signed number read as an unsigned one
        first -= 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        entries = np.frombuffer(data, f"{_byte_order(dataset)}u2" if len(data) >= 2 * count else "u1")
    else:
        entries = np.asarray(data, dtype=np.uint16)
    if not 8 <= bits <= 16 or entries.size < count:
        raise Unreadable(f"DICOM with a table of {entries.size} entries where {count} of {bits} bits are stated")
    place = np.clip(np.rint(values).astype(np.int64) - first, 0, count - 1)
    return entries[place].astype(np.float32), float((1 << bits) - 1)


def _first(value: Any) -> float | None:
    """Return the first of several values; files offer several windows."""
    if value is None or value == "":
        return None
    many = not isinstance(value, str | int | float) and hasattr(value, "__len__")
    if many and len(value) == 0:
        return None
    return float(value[0] if many else value)


def _windowed(values: NDArray[np.float32], centre: float, width: float, function: str) -> NDArray[np.float32]:
    """Apply a VOI window (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values.astype(np.float64) - centre) / width, -700, 700)
        return (1 / (1 + np.exp(exponent))).astype(np.float32)
    if function == "LINEAR_EXACT":
        return _linear(values, centre - width / 2, centre + width / 2)
    return _linear(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _linear(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    if high <= low:  # a window of one value, or a blank picture
        return (values > low).astype(np.float32)
    return ((values.astype(np.float32) - np.float32(low)) / np.float32(high - low)).clip(0, 1)
