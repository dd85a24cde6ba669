"""Copies are found, nearly equal ones too, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mobilenet_chest.data import duplicates, phantom
from mobilenet_chest.data.duplicates import equal_groups, fingerprint, near_pairs, not_duplicated, thumbnails

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def films() -> Images:
    """300 different radiographs of 64 by 64 pixels."""
    return phantom.generate(64, {"train": 300})["train_images"]


def correlations(thumbs: Images) -> NDArray[np.float64]:
    """All of them, by numpy's own function."""
    return np.asarray(np.corrcoef(thumbs.astype(float)))


def jpeg(image: Images, quality: int) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


# --- exact ---------------------------------------------------------------------------------------------------------


def test_equal_images_stand_together(films: Images) -> None:
    order = [0, 1, 2, 1, 3, 0, 1]
    assert equal_groups([fingerprint(image) for image in films[order]]) == [[0, 5], [1, 3, 6]]
    assert equal_groups([fingerprint(image) for image in films]) == []


def test_one_gray_value_makes_another_image(films: Images) -> None:
    changed = films[0].copy()
    changed[40, 3] ^= 1
    assert fingerprint(changed) != fingerprint(films[0])


def test_what_is_in_another_split_or_repeated_is_no_original(films: Images) -> None:
    images, labels = films[[0, 1, 2, 1, 3, 3, 0, 4]], np.array([0, 1, 1, 1, 0, 1, 0, 1], np.uint8)
    kept = not_duplicated(images, labels, elsewhere=films[[4, 9]])
    # 3 has both labels: which is right is not for us to say
    assert kept.tolist() == [True, True, True, False, True, True, False, False]


# --- near ----------------------------------------------------------------------------------------------------------


def test_thumbnails_are_means_of_areas() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 56, 56), np.uint8)
    expected = images.reshape(3, 28, 2, 28, 2).mean((2, 4)).reshape(3, 784)
    assert np.abs(thumbnails(images) - expected).max() <= 0.5
    colour = np.stack([images, images, images], axis=-1)
    np.testing.assert_array_equal(thumbnails(colour), thumbnails(images))
    assert thumbnails(images[:, :28, :28]).tolist() == images[:, :28, :28].reshape(3, 784).tolist()


@pytest.mark.parametrize("least", [0.8, 0.85, 0.9])
def test_the_bound_misses_no_pair(films: Images, monkeypatch: pytest.MonkeyPatch, least: float) -> None:
    """The pairs are those of comparing all with all in full, in whatever blocks and however few components."""
    thumbs = thumbnails(films)
    every = np.triu(correlations(thumbs), 1)
    expected = np.argwhere(every >= least)
    assert len(expected) > 5
    for block, dimensions in ((4096, 64), (64, 64), (100, 3)):
        monkeypatch.setattr(duplicates, "BLOCK", block)
        monkeypatch.setattr(duplicates, "DIMENSIONS", dimensions)
        pairs, values = near_pairs(thumbs, least)
        np.testing.assert_array_equal(pairs, expected)
        np.testing.assert_allclose(values, every[tuple(expected.T)], atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 50),
        lambda image: (image * 0.8 + 30).astype(np.uint8),
        lambda image: (255 * (image / 255) ** 1.2).astype(np.uint8),
        lambda image: np.asarray(Image.fromarray(image).resize((48, 48)).resize((64, 64))),
        lambda image: image ^ (np.indices(image.shape).sum(0) % 2).astype(np.uint8),
    ],
    ids=["JPEG", "contrast", "gamma", "resized", "lowest bit"],
)
def test_changed_copies_are_found_and_nothing_else(films: Images, change: Callable[[Images], Images]) -> None:
    every = np.concatenate([films, np.stack([change(image) for image in films[:40]])])
    pairs, values = near_pairs(thumbnails(every))
    assert pairs.tolist() == [[number, number + 300] for number in range(40)]
    assert (values < 1 + 1e-5).all()


@pytest.mark.parametrize("count", [0, 1])
def test_no_pair_of_fewer_than_two(films: Images, count: int) -> None:
    pairs, values = near_pairs(thumbnails(films[:count]))
    assert (pairs.shape, values.shape) == ((0, 2), (0,))


def test_the_search_ends(films: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 50)
    pairs, values = near_pairs(np.repeat(thumbnails(films[:1]), 100, axis=0))
    assert (len(pairs), len(values)) == (50, 50)


@pytest.mark.parametrize(
    ("name", "images", "highest"), [("pneumoniamnist_28", 5827, 0.975), ("chestmnist_real_small_64", 143, 0.983)]
)
def test_real_radiographs_of_different_people_are_not_near(
    real_data: Path, name: str, images: int, highest: float
) -> None:
    path = real_data / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{real_data} has no {path.name}")
    with np.load(path) as file:
        every = np.concatenate([file[f"{split}_images"] for split in ("train", "val", "test")])
    prints = [fingerprint(image) for image in every]
    thumbs = thumbnails(every[np.unique(prints, return_index=True)[1]])
    assert len(thumbs) == images
    assert len(near_pairs(thumbs)[0]) == 0
    pairs, values = near_pairs(thumbs, 0.95)
    assert len(pairs) > 3
    assert values.max() < highest
