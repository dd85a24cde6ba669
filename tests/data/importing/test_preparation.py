"""From decoded pixels to rows, and the preparation as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from helpers.pictures import noise

from mobilenet_chest.data.conversion import depth
from mobilenet_chest.data.importing.pictures import Decoded
from mobilenet_chest.data.importing.preparation import Preparation, finish, shrink
from mobilenet_chest.errors import DataError


def test_json_round_trip() -> None:
    preparation = Preparation(64, "stretch", 3, 12, "percentile")
    assert Preparation.from_json(preparation.to_json()) == preparation


@pytest.mark.parametrize(
    "change",
    [
        {"size": 7}, {"size": "64"}, {"size": True}, {"size": 10**9}, {"fit": "crop"}, {"fit": []}, {"channels": 2},
        {"bits": 17}, {"bits": "12"}, {"window": "lung"}, {"extra": 1},
    ],
)  # fmt: skip
def test_values_that_are_not_allowed(change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Preparation.from_json(json.dumps({"size": 64} | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", "null", '{"fit": "stretch"}'])
def test_text_that_is_no_preparation(text: str) -> None:
    with pytest.raises(DataError):
        Preparation.from_json(text)


def test_pixels_of_the_right_size_are_unchanged() -> None:
    pixels = noise(0, 32, 32)
    row = Preparation(32).apply(Decoded(pixels, 8, ""))
    assert row.dtype == np.uint8
    np.testing.assert_array_equal(row, pixels)


def test_letterbox_keeps_the_shape_and_stretch_does_not() -> None:
    wide = np.full((40, 80), 200, np.uint8)
    boxed = shrink(wide, 20, "letterbox")
    assert boxed.shape == (20, 20)
    np.testing.assert_array_equal(boxed[5:15], 200)
    assert not boxed[:5].any()
    assert not boxed[15:].any()
    np.testing.assert_array_equal(shrink(wide, 20, "stretch"), np.full((20, 20), 200))


def test_resizing_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    small = shrink(stripes, 16, "stretch")
    assert abs(int(small[8, 8]) - 127) <= 12  # the mean of the stripes, neither black nor white


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_deep_picture_becomes_as_its_twin_of_eight_bits(bits: int) -> None:
    twin = noise(1, 60, 48)
    deep = np.rint(twin * (((1 << bits) - 1) / 255)).astype(np.uint16)
    preparation = Preparation(32, bits=bits)
    of_deep = preparation.apply(Decoded(deep, None, "")).astype(int)
    difference = np.abs(of_deep - preparation.apply(Decoded(twin, 8, "")))
    assert difference.max() <= 1


def test_channels() -> None:
    green = np.zeros((8, 8, 3), np.uint8)
    green[..., 1] = 255
    assert finish(green, 8, 1)[0, 0] == 150  # ITU-R 601
    assert finish(green, 8, 3).shape == (8, 8, 3)
    np.testing.assert_array_equal(finish(noise(0), 8, 3)[..., 2], noise(0))


def test_depth_of_a_set() -> None:
    assert [depth(value) for value in (255, 256, 2784, 4095, 4096, 44718)] == [8, 10, 12, 12, 14, 16]
