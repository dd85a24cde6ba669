"""Rows of train and val: divided into folds or by a seed, with their patients, without copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.npz_files import loaded

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_test, stored_validation_images
from mobilenet_chest.errors import DataError

Make = Callable[..., Config]


# --- folds ---------------------------------------------------------------------------------------------------------


def test_folds_of_train_and_val_together(phantom_config: Make, own_file: Path) -> None:
    """Every row is validated on once; rows, images and labels go together; val's rows are counted on from train's."""
    plain = loaded(phantom_config({"data.path": str(own_file)}))
    with np.load(own_file) as file:
        in_train = len(file["train_labels"])
    rows = np.concatenate([plain.train.rows, plain.val.rows + in_train])
    images = torch.cat([plain.train.images, plain.val.images])
    labels = torch.cat([plain.train.labels, plain.val.labels])
    held_out = []
    digests = {plain.digest}
    for fold in range(3):
        data = loaded(phantom_config({"data.path": str(own_file), "data.folds": 3, "data.fold": fold}))
        assert sorted([*data.train.rows, *data.val.rows]) == rows.tolist()
        for split in (data.train, data.val):
            where = np.searchsorted(rows, split.rows)
            assert torch.equal(split.images, images[where])
            assert torch.equal(split.labels, labels[where])
        held_out += data.val.rows.tolist()
        digests |= {data.digest, data.train.digest, data.val.digest}
    assert sorted(held_out) == rows.tolist()
    assert len(digests) == 10


def test_a_split_by_seed_is_as_large_as_the_file_has_it(phantom_config: Make, own_file: Path) -> None:
    """All rows are of one side, the same for the same seed, and images and labels go with them, stored ones too."""
    fields = {"data.path": str(own_file)}
    plain = loaded(phantom_config(fields))
    with np.load(own_file) as file:
        in_train, stored = len(file["train_labels"]), np.concatenate([file["train_images"], file["val_images"]])
    rows = np.concatenate([plain.train.rows, plain.val.rows + in_train])
    images = torch.cat([plain.train.images, plain.val.images])
    digests = {plain.digest}
    for seed in range(3):
        config = phantom_config(fields | {"data.split_seed": seed})
        data, again = loaded(config), loaded(config)
        assert (len(data.val), data.digest) == (len(plain.val), again.digest)
        assert sorted([*data.train.rows, *data.val.rows]) == rows.tolist()
        assert set(data.val.rows) & set(plain.train.rows)
        assert torch.equal(data.val.images, images[np.searchsorted(rows, data.val.rows)])
        assert np.array_equal(stored_validation_images(config.data, data.val.rows), stored[data.val.rows])
        folds = [
            loaded(phantom_config(fields | {"data.split_seed": seed, "data.folds": 2, "data.fold": f})) for f in (0, 1)
        ]
        assert sorted([*folds[0].val.rows, *folds[1].val.rows]) == rows.tolist()
        digests |= {data.digest, data.val.digest, folds[0].digest, folds[1].digest}
    assert len(digests) == 13


def test_folds_keep_patients_together(phantom_config: Make, own_file: Path) -> None:
    with np.load(own_file) as file:
        arrays = dict(file)
    random = np.random.default_rng(2)
    counts = [len(arrays[f"{split}_labels"]) for split in ("train", "val")]
    patients = [random.integers(0, 30, count) for count in counts]
    arrays |= {"train_patients": patients[0], "val_patients": patients[1].astype(np.int16)}
    np.savez(own_file, **arrays)
    everyone = np.concatenate(patients)
    for fold in range(3):
        data = loaded(phantom_config({"data.path": str(own_file), "data.folds": 3, "data.fold": fold}))
        assert set(everyone[data.train.rows]).isdisjoint(everyone[data.val.rows])
        assert len(data.val) > 10
    data = loaded(phantom_config({"data.path": str(own_file), "data.split_seed": 5}))
    assert set(everyone[data.train.rows]).isdisjoint(everyone[data.val.rows])


def test_every_row_has_its_patient(phantom_config: Make, own_file: Path) -> None:
    """In the cache or not, divided again or as the file has them, with and without copies."""
    with np.load(own_file) as file:
        arrays = dict(file)
    arrays["train_images"][3] = arrays["val_images"][2]  # a copy to be dropped, if its row is one of the wanted
    counts = {split: len(arrays[f"{split}_labels"]) for split in ("train", "val", "test")}
    names = {split: np.array([f"{split} {row // 2}" for row in range(count)]) for split, count in counts.items()}
    np.savez(own_file, **arrays, **{f"{split}_patient": values for split, values in names.items()})
    fields = {"data.path": str(own_file)}
    for _ in range(2):
        data = loaded(phantom_config(fields | {"data.drop_duplicates": True}))
        for split, rows in (("train", data.train), ("val", data.val)):
            assert rows.patients is not None
            assert rows.patients.tolist() == names[split][rows.rows].tolist()
    tested = load_test(phantom_config(fields).data)
    assert tested.patients is not None
    assert tested.patients.tolist() == names["test"][tested.rows].tolist()
    everyone = np.concatenate([names["train"], names["val"]])
    for anew in ({"data.folds": 3}, {"data.split_seed": 4}):
        held_out = loaded(phantom_config(fields | anew)).val
        assert held_out.patients is not None
        assert held_out.patients.tolist() == everyone[held_out.rows].tolist()


def test_without_patients_there_are_none(phantom_config: Make, own_file: Path) -> None:
    for anew in ({}, {"data.folds": 3}):
        data = loaded(phantom_config({"data.path": str(own_file)} | anew))
        assert data.train.patients is None
        assert data.val.patients is None


def test_folds_keep_patients_with_names_together(phantom_config: Make, own_file: Path) -> None:
    with np.load(own_file) as file:
        arrays = dict(file)
    names = np.array([f"patient {number // 4}" for number in range(80)])
    np.savez(own_file, **arrays, train_patient=names, val_patient=names[::-1][:40])
    everyone = np.concatenate([names, names[::-1][:40]])
    data = loaded(phantom_config({"data.path": str(own_file), "data.folds": 3}))
    assert set(everyone[data.train.rows]).isdisjoint(everyone[data.val.rows])
    assert set(everyone[data.train.rows]) | set(everyone[data.val.rows]) == set(names)


def test_patients_of_one_split_alone(phantom_config: Make, own_file: Path) -> None:
    with np.load(own_file) as file:
        arrays = dict(file)
    np.savez(own_file, **arrays, train_patients=np.arange(len(arrays["train_labels"])))
    loaded(phantom_config({"data.path": str(own_file)}))  # without folds nobody asks
    for how in ({"data.folds": 3}, {"data.split_seed": 1}):
        with pytest.raises(DataError, match="train_patient"):
            loaded(phantom_config({"data.path": str(own_file)} | how))


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        (np.zeros((4, 1), np.int64), "shape (4, 1), but 'train_labels' has 80 rows"),
        (np.zeros(80), "values of type float64, not integers of 64 bits at most, or text"),
    ],
)
def test_patients_of_another_layout(phantom_config: Make, own_file: Path, patients: np.ndarray, words: str) -> None:
    with np.load(own_file) as file:
        np.savez(own_file.with_name("new.npz"), **file, train_patients=patients, val_patients=np.arange(40))
    with pytest.raises(DataError) as caught:
        loaded(phantom_config({"data.path": str(own_file.with_name("new.npz")), "data.folds": 3}))
    assert f"'train_patients' has {words}" in str(caught.value)


# --- duplicates ----------------------------------------------------------------------------------------------------


@pytest.fixture
def copied_file(own_file: Path) -> Path:
    """Of train's single-label rows the 1st is in val, the 3rd is the 2nd again, the 5th the 4th with another label."""
    with np.load(own_file) as file:
        arrays = dict(file)
    rows = {}
    for split in ("train", "val"):
        flags = arrays[f"{split}_labels"]
        rows[split] = np.flatnonzero((flags.sum(1) == 1) & flags[:, [1, 7]].any(1))
    train, labels = arrays["train_images"], arrays["train_labels"]
    first, second, third, fourth, fifth = rows["train"][:5]
    train[first] = arrays["val_images"][rows["val"][7]]
    train[third], labels[third] = train[second], labels[second]
    train[fifth], labels[fifth] = train[fourth], 0
    labels[fifth, 8 - np.flatnonzero(labels[fourth])] = 1
    np.savez(own_file, **arrays)
    return own_file


@pytest.mark.parametrize("size", [32, 48])
def test_training_rows_that_are_copies_are_left_out(phantom_config: Make, copied_file: Path, size: int) -> None:
    fields = {"data.path": str(copied_file), "data.image_size": size}
    whole = loaded(phantom_config(fields))
    data = loaded(phantom_config(fields | {"data.drop_duplicates": True}))
    assert (whole.dropped, data.dropped) == (0, 2)
    assert whole.train.rows.tolist()[:1] + whole.train.rows.tolist()[2:3] == sorted(
        set(whole.train.rows) - set(data.train.rows)
    )
    kept = np.isin(whole.train.rows, data.train.rows)
    assert torch.equal(data.train.images, whole.train.images[kept])
    assert torch.equal(data.train.labels, whole.train.labels[kept])
    assert data.val.digest == whole.val.digest
    assert data.val.rows.tolist() == whole.val.rows.tolist()
    assert data.train.digest != whole.train.digest
    assert data.digest != whole.digest


def test_copies_are_left_out_of_train_however_it_is_divided(phantom_config: Make, copied_file: Path) -> None:
    fields = {"data.path": str(copied_file), "data.folds": 3, "data.drop_duplicates": True}
    dropped = 0
    for fold in range(3):
        data = loaded(phantom_config(fields | {"data.fold": fold}))
        val = {image.tobytes() for image in data.val.images.numpy()}
        assert val.isdisjoint(image.tobytes() for image in data.train.images.numpy())
        dropped += data.dropped
    assert dropped >= 3  # each of three pairs in one fold at least


def test_without_copies_nothing_changes(phantom_config: Make, own_file: Path) -> None:
    fields = {"data.path": str(own_file)}
    data = loaded(phantom_config(fields | {"data.drop_duplicates": True}))
    assert (data.dropped, data.digest) == (0, loaded(phantom_config(fields)).digest)


def test_a_class_of_copies_alone(phantom_config: Make, own_file: Path) -> None:
    with np.load(own_file) as file:
        arrays = dict(file)
    train = arrays["train_labels"]
    train[:] = 0
    train[:, 7] = 1
    heart = np.flatnonzero((arrays["val_labels"].sum(1) == 1) & (arrays["val_labels"][:, 1] == 1))[0]
    train[:2] = arrays["val_labels"][heart]
    arrays["train_images"][:2] = arrays["val_images"][heart]
    np.savez(own_file, **arrays)
    config = phantom_config({"data.path": str(own_file), "data.drop_duplicates": True})
    with pytest.raises(DataError, match="data.drop_duplicates: .*'cardiomegaly'"):
        loaded(config)


def test_what_is_left_out_of_pneumoniamnist(phantom_config: Make, real_data: Path) -> None:
    """Eight images of validation are in train, two of them twice; sixteen of train are there a second time."""
    path = real_data / "pneumoniamnist_28.npz"
    if not path.exists():
        pytest.skip(f"{real_data} has no {path.name}")
    fields = {"dataset": "pneumoniamnist", "path": str(path), "image_size": 28, "drop_duplicates": True}
    data = loaded(phantom_config({"data": fields}))
    assert (data.dropped, len(data.train), len(data.val)) == (10 + 16, 4708 - 26, 524)
