"""The scan of a split: brightness, contrast, thumbnails and damage, for the rows asked for."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.data import npz
from mobilenet_chest.data.audit_scan import Scan, scan_split
from mobilenet_chest.data.duplicates import fingerprint, thumbnails
from mobilenet_chest.data.npz import NpzFile

SIDE = 32


def noise(rows: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 255, (rows, SIDE, SIDE), np.uint8)


def scanned(images: NDArray[np.uint8], rows: list[int] | None = None) -> Scan:
    buffer = io.BytesIO()
    np.savez(buffer, train_images=images, train_labels=np.zeros((len(images), 1), np.uint8))
    return scan_split(NpzFile(buffer), "train", np.array(range(len(images)) if rows is None else rows, np.intp))


@pytest.mark.parametrize("chunk_bytes", [1, 3 * SIDE * SIDE, 1 << 20])
def test_what_is_kept_of_each_image(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(npz, "CHUNK_BYTES", chunk_bytes)
    images, rows = noise(10), [1, 2, 5, 9]
    scan = scanned(images, rows)
    assert scan.fingerprints == [fingerprint(images[row]) for row in rows]
    assert np.array_equal(scan.thumbs, thumbnails(images[rows]))
    np.testing.assert_allclose(scan.brightness, images[rows].mean((1, 2)))
    np.testing.assert_allclose(scan.contrast, images[rows].std((1, 2)))
    assert scan.damage == {}


def test_no_rows() -> None:
    scan = scanned(noise(3), [])
    assert (scan.fingerprints, scan.thumbs.shape, scan.brightness.shape, scan.damage) == ([], (0, 784), (0,), {})


def test_each_kind_of_damage_by_its_position() -> None:
    images = noise(7)
    images[1] = 100
    images[2, SIDE // 2 :] = 7
    images[3] = np.where(images[3] > 100, 255, images[3])
    images[4] = 0  # saturated, too, but blank says more
    images[5, : SIDE // 2] = 7  # dark above is no sign of a file that ends early
    assert scanned(images).damage == {1: "blank", 2: "cut off", 3: "saturated", 4: "blank"}
    assert scanned(images, [0, 2, 4, 6]).damage == {1: "cut off", 2: "blank"}
