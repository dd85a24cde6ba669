"""What a file says of each row besides its image and label: patients, and any other key of a split."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import DataError


def file_with(**columns: NDArray[Any]) -> NpzFile:
    """Of four rows."""
    buffer = io.BytesIO()
    labels = np.zeros((4, 1), np.uint8)
    np.savez(buffer, train_images=np.zeros((4, 3, 3), np.uint8), train_labels=labels, **columns)  # type: ignore[arg-type]
    return NpzFile(buffer)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([3, 1, 3, -2], np.int16), np.array([3, 1, 3, -2])),
        (np.array([True, False, True, True]), np.array([1, 0, 1, 1])),
        (np.array(["F", "M", "", "Ünbekannt"]), np.array(["F", "M", "", "Ünbekannt"])),
        (np.array(["a", "bc", "d", "e"], ">U2"), np.array(["a", "bc", "d", "e"])),
    ],
)
def test_a_value_of_each_row(stored: NDArray[Any], expected: NDArray[Any]) -> None:
    column = file_with(train_sex=stored).column("train", "sex")
    np.testing.assert_array_equal(column, expected)
    assert column.dtype.kind in "iU"


@pytest.mark.parametrize("name", ["patient", "patients"])
def test_patients_have_either_name(name: str) -> None:
    patients = file_with(**{f"train_{name}": np.array(["p1", "p1", "p2", "p3"])}).patients("train")
    assert patients is not None
    assert patients.tolist() == ["p1", "p1", "p2", "p3"]


def test_patients_that_are_not_there() -> None:
    assert file_with(val_patient=np.arange(4)).patients("train") is None


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.zeros(4), "values of type float64, not integers of 64 bits at most, or text"),
        (np.zeros(4, np.uint64), "values of type uint64, not integers of 64 bits at most"),
        (np.array([b"F"] * 4), "values of type |S1, not integers"),
        (np.zeros(3, np.int64), "shape (3,), but 'train_labels' has 4 rows"),
        (np.array([["F"], ["M"], ["F"], ["M"]]), "shape (4, 1), but 'train_labels' has 4 rows"),
        (np.array(["F", None, "M", "M"], object), "Python objects"),
        (np.full(4, 0x110000, np.uint32).view("<U1"), "text with numbers that are no characters"),
    ],
)
def test_values_of_another_layout(stored: NDArray[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        file_with(train_sex=stored).column("train", "sex")
    assert f"'train_sex' has {words}" in str(caught.value)


def test_a_key_that_is_not_there() -> None:
    with pytest.raises(DataError, match="has no 'train_sex'"):
        file_with().column("train", "sex")


def test_text_without_room_for_a_character() -> None:
    buffer = io.BytesIO()
    header = b"{'descr': '<U0', 'fortran_order': False, 'shape': (4,), }\n"
    np.savez(buffer, train_images=np.zeros((4, 3, 3), np.uint8), train_labels=np.zeros((4, 1), np.uint8))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("train_sex.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(DataError, match="'train_sex' .*<U0"):
        NpzFile(buffer).column("train", "sex")


def test_all_images_of_a_split_in_pieces() -> None:
    images = np.random.default_rng(1).integers(0, 256, (90, 128, 128), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, val_images=images, val_labels=np.zeros((90, 1), np.uint8))
    pieces = list(NpzFile(buffer).chunks("val"))
    assert [start for start, _ in pieces] == [0, 64]
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), images)
