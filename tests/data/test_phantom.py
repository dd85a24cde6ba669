"""The phantom is well formed, repeatable, and neither trivial nor open to a shortcut."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mobilenet_chest.data.phantom import CARDIOMEGALY, EFFUSION, PNEUMOTHORAX, ROWS, SPLITS, generate
from mobilenet_chest.errors import DataError

Bytes = NDArray[np.uint8]
FEW = {"train": 40, "val": 12, "test": 6}


@pytest.fixture(scope="module")
def defaults() -> dict[str, Bytes]:
    return generate()


@pytest.fixture(scope="module")
def few() -> dict[str, Bytes]:
    return generate(rows=FEW, seed=5)


def two_classes(arrays: Mapping[str, Bytes], split: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Flattened pixels (n, size²) and "is pneumothorax" (n,) of the rows that the single-label filter keeps."""
    labels = arrays[f"{split}_labels"]
    keep = (labels.sum(axis=1) == 1) & (labels[:, [CARDIOMEGALY, PNEUMOTHORAX]].sum(axis=1) == 1)
    images = arrays[f"{split}_images"][keep]
    return images.reshape(len(images), -1).astype(np.float64), labels[keep, PNEUMOTHORAX] == 1


def same(left: Mapping[str, Bytes], right: Mapping[str, Bytes]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def test_default_layout_is_that_of_a_medmnist_file(defaults: dict[str, Bytes]) -> None:
    assert set(defaults) == {f"{split}_{what}" for split in SPLITS for what in ("images", "labels")}
    for split in SPLITS:
        images, labels = defaults[f"{split}_images"], defaults[f"{split}_labels"]
        assert images.shape == (ROWS[split], 64, 64)
        assert labels.shape == (ROWS[split], 14)
        assert images.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) == {0, 1}


@pytest.mark.parametrize(
    ("split", "cardiomegaly", "pneumothorax"), [("train", 330, 690), ("val", 88, 184), ("test", 110, 230)]
)
def test_rows_of_each_class_after_the_filter(
    defaults: dict[str, Bytes], split: str, cardiomegaly: int, pneumothorax: int
) -> None:
    _, is_pneumothorax = two_classes(defaults, split)
    assert np.bincount(is_pneumothorax).tolist() == [cardiomegaly, pneumothorax]


@pytest.mark.parametrize("split", SPLITS)
def test_rows_that_the_filter_must_drop(defaults: dict[str, Bytes], split: str) -> None:
    labels = defaults[f"{split}_labels"]
    blocks = ROWS[split] // 40
    counts = labels.sum(axis=1)
    of_classes = labels[:, [CARDIOMEGALY, PNEUMOTHORAX]]
    assert np.sum(counts == 0) == blocks
    assert np.sum((counts == 1) & (of_classes.sum(axis=1) == 0)) == 2 * blocks
    assert np.sum(counts == 2) == 3 * blocks
    assert np.sum(of_classes.sum(axis=1) == 2) == blocks
    assert np.sum((labels[:, CARDIOMEGALY] == 1) & (labels[:, EFFUSION] == 1)) == blocks


def test_classes_are_mixed_along_the_rows(defaults: dict[str, Bytes]) -> None:
    _, is_pneumothorax = two_classes(defaults, "train")
    runs = np.diff(np.flatnonzero(np.diff(is_pneumothorax.astype(np.int8))))
    assert runs.max() < 25


def test_every_image_is_exposed_within_the_range(defaults: dict[str, Bytes]) -> None:
    for split in SPLITS:
        images = defaults[f"{split}_images"]
        assert images.std(axis=(1, 2)).min() > 25
        assert np.mean(images == 255) < 0.05
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_same_seed_gives_the_same_pixels(few: dict[str, Bytes]) -> None:
    assert same(few, generate(rows=FEW, seed=5))


def test_another_seed_gives_other_pixels(few: dict[str, Bytes]) -> None:
    other = generate(rows=FEW, seed=6)
    for split in SPLITS:
        differ = np.any(few[f"{split}_images"] != other[f"{split}_images"], axis=(1, 2))
        assert differ.all()
    assert not np.array_equal(few["train_labels"], other["train_labels"])


def test_splits_are_different_patients(few: dict[str, Bytes]) -> None:
    first = [few[f"{split}_images"][0] for split in SPLITS]
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], first[2])


def test_fewer_rows_are_a_prefix_of_more(few: dict[str, Bytes]) -> None:
    # 17 ends within both a chunk of 16 images and a block of 40 labels.
    less = generate(rows={"train": 17, "test": 1}, seed=5)
    assert len(less["train_images"]) == 17
    for key, array in less.items():
        assert np.array_equal(array, few[key][: len(array)])


def test_a_split_left_out_is_empty() -> None:
    arrays = generate(28, {"val": 2})
    assert arrays["train_images"].shape == (0, 28, 28)
    assert arrays["train_labels"].shape == (0, 14)
    assert arrays["val_images"].shape == (2, 28, 28)


@pytest.mark.parametrize("size", [28, 128, 224])
def test_other_sizes_show_the_same_patient(size: int) -> None:
    small = generate(16, {"train": 8}, seed=5)["train_images"].astype(np.float64)
    other = generate(size, {"train": 8}, seed=5)["train_images"]
    assert other.shape == (8, size, size)
    nearest_pixel = (np.arange(16) * 2 + 1) * size // 32
    sampled = other[:, nearest_pixel][:, :, nearest_pixel].astype(np.float64)
    alike = [np.corrcoef(sampled[i].ravel(), small[i].ravel())[0, 1] for i in range(8)]
    strangers = [np.corrcoef(sampled[i].ravel(), small[i - 1].ravel())[0, 1] for i in range(8)]
    assert min(alike) > 0.7
    assert np.mean(alike) > np.mean(strangers) + 0.2


@pytest.mark.parametrize("c", [1e-4, 1e-3, 1e-2])
def test_pixels_alone_are_hard_for_a_linear_model(defaults: dict[str, Bytes], c: float) -> None:
    train, val = two_classes(defaults, "train"), two_classes(defaults, "val")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)).fit(*train)
    assert 0.55 < roc_auc_score(val[1], model.decision_function(val[0])) < 0.85


def test_exposure_does_not_give_the_class_away(defaults: dict[str, Bytes]) -> None:
    for split in SPLITS:
        pixels, is_pneumothorax = two_classes(defaults, split)
        for statistic in (pixels.mean(axis=1), pixels.std(axis=1)):
            auc = roc_auc_score(is_pneumothorax, statistic)
            assert max(auc, 1 - auc) < 0.65


@pytest.mark.parametrize(
    ("size", "rows", "seed", "message"),
    [
        (15, {"train": 1}, 0, "phantom size 15 is out of range; allowed: 16 to 512"),
        (513, {"train": 1}, 0, "phantom size 513 is out of range; allowed: 16 to 512"),
        (64, {"vall": 1}, 0, "unknown phantom split 'vall'; allowed: train, val, test; did you mean 'val'?"),
        (64, {"val": -1}, 0, "phantom rows of split 'val' are -1; allowed: 0 or more"),
        (64, {"val": 1}, -3, "phantom seed -3 is negative; allowed: 0 or more"),
    ],
)
def test_bad_arguments_are_named_in_one_line(size: int, rows: dict[str, int], seed: int, message: str) -> None:
    with pytest.raises(DataError) as caught:
        generate(size, rows, seed)
    assert str(caught.value) == message
