"""Another scanner of the phantom: repeatable, of other patients, and different in gain, noise and borders only."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet_chest.data.phantom import generate
from mobilenet_chest.data.phantom_sites import SITES, scanned
from mobilenet_chest.errors import DataError

FEW = {"train": 12, "val": 4}


def test_rows_of_each_site_in_turn() -> None:
    both, again = (generate(32, FEW, seed=3, sites=("A", "B")) for _ in range(2))
    assert all(np.array_equal(both[key], again[key]) for key in both)
    assert both["val_site"].tolist() == ["A", "B", "A", "B"]
    of_a = generate(32, FEW, seed=3)
    assert "train_site" not in of_a
    assert np.array_equal(both["train_images"][::2], of_a["train_images"][::2])
    assert np.array_equal(both["train_labels"], of_a["train_labels"])
    of_b = generate(32, FEW, seed=3, sites=("B",))
    assert np.array_equal(both["train_images"][1::2], of_b["train_images"][1::2])


def test_a_scanner_changes_gain_noise_and_borders() -> None:
    flat = np.full((4, 64, 64), 128, np.uint8)
    films = scanned(flat, [SITES["B"]] * 4, [np.random.default_rng(row) for row in range(4)])
    border = np.stack([films[:, :, 0], films[:, :, -1]])
    assert border.max() == 0  # two sides at least are closed
    middle = films[:, 16:48, 16:48].astype(float) / 255
    expected = 0.5 + 0.72 * ((128 / 255) ** 1.25 - 0.5) + 0.09
    assert middle.mean() == pytest.approx(expected, abs=0.005)
    noise = middle.std(axis=(1, 2))
    assert noise.min() > 0.004
    rows = middle - middle.mean(axis=(1, 2), keepdims=True)
    neighbours = (rows[:, :, 1:] * rows[:, :, :-1]).mean() / np.square(rows).mean()
    assert neighbours > 0.2  # the detector's blur makes the noise of neighbours alike


def test_site_a_is_the_phantom_itself() -> None:
    films = np.arange(2 * 16 * 16, dtype=np.uint8).reshape(2, 16, 16)
    assert np.array_equal(scanned(films, [SITES["A"]] * 2, [np.random.default_rng(0)] * 2), films)


@pytest.mark.parametrize(("sites", "names"), [(("C",), "'C'"), (("A", "A"), "A, A"), ((), "none")])
def test_wrong_sites(sites: tuple[str, ...], names: str) -> None:
    with pytest.raises(DataError, match=names):
        generate(32, FEW, sites=sites)
