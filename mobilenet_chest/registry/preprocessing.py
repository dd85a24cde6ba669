"""Pictures of any size to the images that an exported classifier takes. It needs numpy alone: copy it beside the model.

A picture is first prepared as ``mobilenet-chest import`` does it (the file's metadata say so under ``preparation``), in
Pillow's integers: columns first, then rows. Then it is resized to the network's size in floating point, as training
does it.
"""

import json

import numpy as np

PRECISION = 22
"""Bits after the point of Pillow's weights."""


def prepare(pixels, metadata):  # type: ignore[no-untyped-def]
    """Return the image that a classifier takes, uint8 (1, channels, size, size).

    Args:
        pixels: uint8 (h, w), or (h, w, 3) for colour. Pictures of more than 8 bits must be scaled before.
        metadata: Those of the model's file as ONNX Runtime gives them (text by name), or of ``metadata.json``.
    """
    size, channels = int(metadata["image_size"]), int(metadata["channels"])
    image = np.asarray(pixels)
    if image.dtype != np.uint8 or image.ndim < 2 or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"expected uint8 (h, w) or (h, w, 3), got {image.dtype} {image.shape}")
    if "preparation" in metadata:
        stored = metadata["preparation"]
        preparation = json.loads(stored) if isinstance(stored, str) else stored
        image = _fitted(image, preparation["size"], preparation["fit"] == "letterbox")
    if channels == 1 and image.ndim == 3:  # ITU-R 601
        image = ((image.astype(np.int64) @ np.array([19595, 38470, 7471]) + 0x8000) >> 16).astype(np.uint8)
    if channels == 3 and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.shape[:2] != (size, size):
        columns, rows = _weights(image.shape[1], size), _weights(image.shape[0], size)
        scaled = _applied(_applied(image.astype(np.float64), columns, 1), rows, 0)
        image = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[None, None] if channels == 1 else image.transpose(2, 0, 1)[None])


def _fitted(image, size, letterbox):  # type: ignore[no-untyped-def]
    """Resize to a square in Pillow's integers; a letterbox keeps the shape and is black at the sides."""
    height, width = image.shape[:2]
    longer = max(height, width)
    rows, columns = (max(1, round(n * size / longer)) if letterbox else size for n in (height, width))
    for axis, n in ((1, columns), (0, rows)):
        if image.shape[axis] != n:
            fixed = _weights(image.shape[axis], n) * (1 << PRECISION)
            fixed = np.trunc(fixed + np.copysign(0.5, fixed))
            sums = _applied(image.astype(np.float64), fixed, axis) + (1 << (PRECISION - 1))  # exact in float64
            image = np.floor(sums / (1 << PRECISION)).clip(0, 255).astype(np.uint8)
    square = np.zeros((size, size, *image.shape[2:]), np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    square[top : top + rows, left : left + columns] = image
    return square


def _applied(image, weights, axis):  # type: ignore[no-untyped-def]
    return np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)


def _weights(length, wanted):  # type: ignore[no-untyped-def]
    """Return the weights (wanted, length) of a bicubic filter that is as wide as a new pixel: it is antialiased."""
    scale = length / wanted
    wide = max(scale, 1.0)
    weights = np.zeros((wanted, length))
    for place in range(wanted):
        centre = (place + 0.5) * scale
        first, end = max(int(centre - 2 * wide + 0.5), 0), min(int(centre + 2 * wide + 0.5), length)
        row = [_cubic((x - centre + 0.5) * (1 / wide)) for x in range(first, end)]
        weights[place, first:end] = np.array(row) / np.cumsum(row)[-1]  # added in this order, as Pillow does
    return weights


def _cubic(x):  # type: ignore[no-untyped-def]
    """Return Keys' cubic of a = -0.5."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0
