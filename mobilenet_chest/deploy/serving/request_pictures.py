"""The images of a request: pictures, DICOM, arrays, or MLflow's JSON, decoded within limits.

Nothing in a request names a file or an address. The size of a picture is checked before its pixels are decoded.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.data.dataset import resize
from mobilenet_chest.data.importing.dicom import decode_dicom
from mobilenet_chest.data.importing.limits import MAX_PIXELS
from mobilenet_chest.data.importing.pictures import Decoded, decode_picture
from mobilenet_chest.data.importing.preparation import Window, finish
from mobilenet_chest.data.importing.unreadable import Unreadable
from mobilenet_chest.data.npz_archive import BAD_HEADER, npy_header
from mobilenet_chest.deploy.serving.live_model import LiveModel
from mobilenet_chest.errors import DataError

MAX_IMAGES = 256
"""Images of one request."""

MAX_REQUEST_PIXELS = MAX_PIXELS
"""Pixels of all pictures of a request together: a few bytes may unpack to many."""

LARGEST_KEPT = 1 << 22
"""Pixels of an image that may wait as it is; a larger one is resized as the model does it, while it is decoded."""

NPY_MAGIC = b"\x93NUMPY"

DICOM_MAGIC = 128, b"DICM"
"""Place and bytes by which a DICOM file is known."""


def from_body(body: bytes, kind: str, model: LiveModel) -> list[NDArray[np.uint8]]:
    """Return the images of ``POST /predict`` as the model takes them, uint8 (h, w) or (h, w, 3) each.

    Args:
        body: A picture (PNG, JPEG, TIFF, BMP, WebP, DICOM); an ``.npy`` of uint8 (h, w), (n, h, w) or (n, h, w, 3); or
            JSON ``{"images": [...]}`` of pictures in base64.
        kind: Its content type. Only JSON must be named; what other bytes are, they say themselves.
        model: What the images are for.

    Raises:
        DataError: The body is none of these, or one of its pictures cannot be used.
    """
    if not body:
        raise DataError("an empty body; send a picture, an .npy, or JSON with the field 'images'")
    if _is_json(kind):
        return _pictures({f"image {number}": picture for number, picture in enumerate(_base64_images(body))}, model)
    if body.startswith(NPY_MAGIC):
        return from_array(_npy(body), model)
    return _pictures({"the body": body}, model)


def from_invocation(body: bytes, model: LiveModel) -> list[NDArray[np.uint8]]:
    """Return the images of MLflow's form ``{"inputs": [...]}`` or ``{"instances": [...]}``.

    Raises:
        DataError: The JSON has another form, or its values are no whole numbers from 0 to 255.
    """
    document = _json(body)
    names = [name for name in ("inputs", "instances") if name in document]
    if len(names) != 1:
        raise DataError(f"the fields {', '.join(document) or 'none'}; give 'inputs' or 'instances': a list of images")
    _check_numbers(document[names[0]], names[0])
    try:
        values = np.asarray(document[names[0]])
    except ValueError as error:
        raise DataError(f"{names[0]}: images of different sizes; send them one by one") from error
    if not values.size:
        raise DataError(f"{names[0]}: no image; give a list of images")
    if values.dtype.kind not in "iu" or not 0 <= values.min() <= values.max() <= 255:
        raise DataError(f"{names[0]}: {values.dtype} values; give whole numbers from 0 to 255")
    return from_array(values.astype(np.uint8), model)


def fields(body: bytes, kind: str, names: tuple[str, ...]) -> list[str | None]:
    """Return fields of a body that is a JSON object; ``None`` for those that it lacks, and for other bodies.

    Raises:
        DataError: It is no JSON object, or a field is no text.
    """
    if not _is_json(kind):
        return [None for _ in names]
    document = _json(body)
    values = [document.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if value is not None and not isinstance(value, str):
            raise DataError(f"{name}: {type(value).__name__}; give text")
    return values


def from_array(images: NDArray[Any], model: LiveModel) -> list[NDArray[np.uint8]]:
    """Return images of an array with the model's channels.

    Raises:
        DataError: It is not uint8 (h, w), (n, h, w) or (n, h, w, 3), holds none, or more than :data:`MAX_IMAGES`.
    """
    if images.ndim == 2:
        images = images[None]
    fits = images.dtype == np.uint8 and (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3))
    if not fits or not images.size:
        raise DataError(f"an array of {images.dtype} {images.shape}; give uint8 (n, h, w) or (n, h, w, 3)")
    _check_count(len(images))
    return [_bounded(_with_channels(image, model.channels), model) for image in images]


def _check_numbers(images: Any, name: str) -> None:
    """See that nested lists hold whole numbers: of one long text among short ones, numpy makes an array of long texts.

    Raises:
        DataError: Something else is there.
    """
    if not isinstance(images, list):
        raise DataError(f"{name}: no list; give a list of images")
    values, first = images, images
    while first and isinstance(first := first[0], list):
        if not all(isinstance(value, list) for value in values):
            raise DataError(f"{name}: images of different sizes; send them one by one")
        values = [*chain.from_iterable(values)]
    kinds = set(map(type, values)) - {int}
    if kinds:
        raise DataError(f"{name}: {kinds.pop().__name__} values; give whole numbers from 0 to 255")


def _pictures(pictures: dict[str, bytes], model: LiveModel) -> list[NDArray[np.uint8]]:
    """Return decoded pictures; the keys are what they are called."""
    preparation, images, pixels = model.preparation, [], 0
    for name, contents in pictures.items():
        try:
            decoded = _decoded(contents, "voi" if preparation is None else preparation.window)
            pixels += math.prod(decoded.pixels.shape[:2])
            if pixels > MAX_REQUEST_PIXELS:
                raise Unreadable(f"more than {MAX_REQUEST_PIXELS / 1e6:.0f} million pixels in a request")
            if preparation is not None:
                images.append(preparation.apply(decoded))
            else:
                images.append(_bounded(finish(decoded.pixels, decoded.depth(None), model.channels), model))
        except Unreadable as error:
            raise DataError(f"{name}: {error}") from error
    return images


def _bounded(image: NDArray[np.uint8], model: LiveModel) -> NDArray[np.uint8]:
    if math.prod(image.shape[:2]) <= LARGEST_KEPT:
        return image
    channels_first = torch.tensor(image).reshape(*image.shape[:2], -1).permute(2, 0, 1)
    (small,) = resize(channels_first[None], model.image_size).permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(small.reshape(*small.shape[:2], *image.shape[2:]))


def _decoded(contents: bytes, window: Window) -> Decoded:
    start, magic = DICOM_MAGIC
    if contents[start : start + len(magic)] == magic:
        return decode_dicom(contents, window)
    return decode_picture(contents)


def _base64_images(body: bytes) -> list[bytes]:
    images = _json(body).get("images")
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise DataError("JSON needs the field 'images': a list of pictures in base64")
    _check_count(len(images))
    try:
        return [base64.b64decode(image, validate=True) for image in images]
    except binascii.Error as error:
        raise DataError(f"images: not base64 ({error})") from error


def _is_json(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() == "application/json"


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise DataError("the body is no JSON object")
    return document


def _npy(body: bytes) -> NDArray[np.uint8]:
    file = io.BytesIO(body)
    try:
        shape, by_columns, dtype = npy_header(file)
    except BAD_HEADER as error:
        raise DataError(f"an .npy whose header cannot be read ({type(error).__name__})") from error
    values = body[file.tell() :]
    # the header's claim is compared with what came before memory is taken for it
    if dtype != np.uint8 or by_columns or min(shape, default=0) < 1 or math.prod(shape) != len(values):
        raise DataError(f"an .npy of {dtype} {shape} with {len(values)} bytes; give uint8 (n, h, w) or (n, h, w, 3)")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _check_count(images: int) -> None:
    if images > MAX_IMAGES:
        raise DataError(f"{images} images; send at most {MAX_IMAGES} at once")


def _with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    if channels == 1 and image.ndim == 3:
        return np.asarray(Image.fromarray(image).convert("L"))
    if channels == 3 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return image
