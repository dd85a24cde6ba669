"""Each form of a request gives the images that the model takes; everything else is one line."""

from __future__ import annotations

import base64
import io
import itertools
import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from helpers.pictures import dicom, dicom_bytes, encoded, noise, raw_png
from numpy.typing import NDArray

from mobilenet_chest.data.dataset import resize
from mobilenet_chest.data.importing.limits import MAX_PIXELS
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.deploy.serving import request_pictures
from mobilenet_chest.deploy.serving.live_model import LiveModel
from mobilenet_chest.deploy.serving.request_pictures import MAX_IMAGES, from_body, from_invocation
from mobilenet_chest.errors import DataError

JSON = "application/json"
GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def model(channels: int = 1, preparation: Preparation | None = None) -> LiveModel:
    return cast(LiveModel, SimpleNamespace(channels=channels, image_size=16, preparation=preparation))


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def png(array: NDArray[Any] = GRAY) -> bytes:
    return encoded(array, "PNG")


def test_a_picture_keeps_its_size_where_the_model_says_nothing() -> None:
    (image,) = from_body(png(), "image/png", model())
    np.testing.assert_array_equal(image, GRAY)


def test_a_picture_is_prepared_as_those_of_the_training_file() -> None:
    (image,) = from_body(png(), "", model(preparation=Preparation(16)))
    assert image.shape == (16, 16)
    assert image.dtype == np.uint8


def test_a_gray_picture_for_a_colour_model() -> None:
    (image,) = from_body(png(), "image/png", model(channels=3))
    np.testing.assert_array_equal(image, np.repeat(GRAY[..., None], 3, axis=2))


def test_dicom_is_known_by_its_bytes() -> None:
    pixels = np.full((12, 10), 1000, np.uint16)
    (image,) = from_body(dicom_bytes(dicom(pixels, bits=12)), "application/octet-stream", model())
    assert image.shape == (12, 10)
    assert set(image.flat) == {round(1000 * 255 / 4095)}


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8), (3, 6, 8, 3)])
def test_an_array(shape: tuple[int, ...]) -> None:
    images = from_body(npy(np.full(shape, 7, np.uint8)), "application/x-npy", model())
    assert [image.shape for image in images] == [(6, 8)] * (1 if len(shape) == 2 else shape[0])
    assert all((image == 7).all() for image in images)


def test_pictures_in_base64() -> None:
    pictures = [base64.b64encode(png(GRAY + step)).decode() for step in (0, 1)]
    first, second = from_body(json.dumps({"images": pictures}).encode(), f"{JSON}; charset=utf-8", model())
    np.testing.assert_array_equal(first, GRAY)
    np.testing.assert_array_equal(second, GRAY + 1)


@pytest.mark.parametrize("field", ["inputs", "instances"])
def test_mlflows_form(field: str) -> None:
    images = from_invocation(json.dumps({field: [GRAY.tolist(), GRAY.tolist()]}).encode(), model())
    assert [image.dtype for image in images] == [np.dtype(np.uint8)] * 2
    np.testing.assert_array_equal(images[1], GRAY)


def test_a_large_picture_waits_as_small_as_the_model_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    film = noise(3, 40, 30)
    (whole,) = from_body(png(film), "", model())
    monkeypatch.setattr(request_pictures, "LARGEST_KEPT", 40 * 30 - 1)
    (gray,) = from_body(png(film), "", model())
    np.testing.assert_array_equal(gray, resize(torch.tensor(whole)[None, None], 16)[0, 0].numpy())
    (colour,) = from_body(npy(np.stack([film, film // 2, film], -1)[None]), "", model(channels=3))
    assert colour.shape == (16, 16, 3)
    np.testing.assert_array_equal(colour[..., 2], gray)


def test_the_pictures_of_a_request_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"images": [base64.b64encode(png()).decode()] * 2}).encode()
    assert len(from_body(body, JSON, model(preparation=Preparation(16)))) == 2
    monkeypatch.setattr(request_pictures, "MAX_REQUEST_PIXELS", 2 * GRAY.size - 1)
    with pytest.raises(DataError, match="image 1: more than"):
        from_body(body, JSON, model(preparation=Preparation(16)))


HUGE = raw_png(MAX_PIXELS, 2, 8, 0, b"")
LYING = npy(np.zeros((2, 3), np.uint8)).replace(b"(2, 3)", b"(9, 9)")


@pytest.mark.parametrize(
    ("body", "kind", "names"),
    [
        (b"", "", "empty"),
        (b"hello", "image/png", "not a picture"),
        (encoded(noise(0))[:200], "image/png", "damaged"),
        (HUGE, "image/png", "pixels"),
        (encoded(np.full((4, 4), 999, np.uint16), "PNG"), "image/png", "16-bit"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 20, "", "DICOM"),
        (npy(np.zeros((2, 4, 4))), "", "float64"),
        (npy(np.zeros((0, 4, 4), np.uint8)), "", "(0, 4, 4)"),
        (npy(np.zeros((2, 4, 4, 4), np.uint8)), "", "(2, 4, 4, 4)"),
        (npy(np.asfortranarray(np.zeros((4, 5), np.uint8))), "", "(4, 5)"),
        (npy(np.zeros((MAX_IMAGES + 1, 1, 1), np.uint8)), "", str(MAX_IMAGES)),
        (LYING, "", "(9, 9)"),
        (b"\x93NUMPY\x09\x00junk", "", ".npy"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, "", ".npy"),
        (b"\x93NUMPY\x01\x00\x40\x1f" + b"1+" * 3999 + b"1 ", "", ".npy"),
        (b"{", JSON, "JSON"),
        (b"[" * 100_000, JSON, "JSON"),
        (b"[]", JSON, "object"),
        (b"{}", JSON, "'images'"),
        (b'{"images": []}', JSON, "'images'"),
        (b'{"images": [3]}', JSON, "'images'"),
        (b'{"images": ["?"]}', JSON, "base64"),
        (b'{"images": ["aGVsbG8="]}', JSON, "image 0"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(body: bytes, kind: str, names: str) -> None:
    with pytest.raises(DataError) as refused:
        from_body(body, kind, model())
    assert names in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "none"),
        ({"dataframe_split": {}}, "dataframe_split"),
        ({"inputs": [[[1]]], "instances": [[[1]]]}, "inputs, instances"),
        ({"inputs": [[[0.5]]]}, "float values"),
        ({"inputs": [[[256]]]}, "0 to 255"),
        ({"inputs": [[["a"]]]}, "values"),
        ({"inputs": [[[1]], [[1, 2]]]}, "different sizes"),
        ({"inputs": []}, "no image"),
        ({"inputs": 7}, "no list"),
        ({"inputs": [[[1, True]]]}, "bool values"),
        ({"inputs": [[[1]], 2]}, "different sizes"),
        ({"inputs": ["x" * 100_000, *["y"] * 100_000]}, "str values"),
        ({"inputs": [1]}, "(1,)"),
        ({"inputs": [[[10**30]]]}, "0 to 255"),
    ],
)
def test_an_invocation_that_cannot_be_used_is_one_line(body: dict[str, Any], names: str) -> None:
    with pytest.raises(DataError) as refused:
        from_invocation(json.dumps(body).encode(), model())
    assert names in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
