"""The selection of a file is decoded once, and never taken for that of another file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.data import dataset
from mobilenet_chest.data.dataset import TrainVal, load_test, load_train_val, stored_validation_images
from mobilenet_chest.errors import DataError

Make = Callable[..., Config]


def loaded(config: Config) -> TrainVal:
    """As a new process would."""
    load_train_val.cache_clear()
    return load_train_val(config.data)


@pytest.fixture
def own_file(chest_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.npz"
    path.write_bytes(chest_file.read_bytes())
    return path


def test_the_second_start_decodes_nothing(
    phantom_config: Make, own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = phantom_config({"data.path": str(own_file)})
    first = loaded(config)

    def fails(*arguments: object) -> object:
        raise AssertionError("decoded again")

    monkeypatch.setattr(dataset, "_read_split", fails)
    second = loaded(config)
    for split, other in ((first.train, second.train), (first.val, second.val)):
        assert torch.equal(split.images, other.images)
        assert torch.equal(split.labels, other.labels)
        assert (split.rows == other.rows).all()
        assert split.digest == other.digest
        assert (split.images.dtype, split.rows.dtype) == (torch.uint8, np.int64)
    assert first.digest == second.digest
    assert [entry.kind for entry in cache.entries()] == ["data", "data"]


def test_with_the_cache_and_without_it_all_is_the_same(
    phantom_config: Make, own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = phantom_config({"data.path": str(own_file), "data.image_size": 20})
    loaded(config)
    stored = loaded(config)
    monkeypatch.setenv(cache.FOLDER_VARIABLE, cache.OFF)
    plain = loaded(config)
    assert torch.equal(stored.train.images, plain.train.images)
    assert stored.digest == plain.digest


def test_a_file_that_has_changed_is_read_again(phantom_config: Make, own_file: Path) -> None:
    config = phantom_config({"data.path": str(own_file)})
    first = loaded(config)
    with np.load(own_file) as file:
        arrays = dict(file)
    before = own_file.stat()
    np.savez(own_file, **arrays | {"train_images": 255 - arrays["train_images"]})
    assert own_file.stat().st_size == before.st_size
    os.utime(own_file, ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    second = loaded(config)
    assert second.digest != first.digest
    assert torch.equal(second.train.images, 255 - first.train.images)
    assert second.val.digest == first.val.digest


def test_another_size_or_another_pair_is_another_selection(phantom_config: Make, own_file: Path) -> None:
    config = phantom_config({"data.path": str(own_file)})
    assert loaded(config).train.images.shape == (68, 1, 32, 32)
    assert loaded(phantom_config({"data.path": str(own_file), "data.image_size": 16})).train.images.shape[-1] == 16
    swapped = {"data.path": str(own_file), "data.classes": ["pneumothorax", "cardiomegaly"]}
    assert torch.equal(loaded(phantom_config(swapped)).train.labels, 1 - loaded(config).train.labels)


def test_a_file_that_is_gone_is_missed(phantom_config: Make, own_file: Path) -> None:
    config = phantom_config({"data.path": str(own_file)})
    loaded(config)
    own_file.unlink()
    with pytest.raises(DataError, match="does not exist"):
        loaded(config)


def test_the_phantom_is_generated_once(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def generate(size: int) -> bytes:
        made.append(size)
        return phantom_bytes(size)

    phantom_bytes = dataset._phantom_bytes
    monkeypatch.setattr(dataset, "_phantom_bytes", generate)
    fields = {"dataset": "phantom", "classes": ["cardiomegaly", "pneumothorax"], "source_size": 28, "image_size": 28}
    first, second = loaded(phantom_config({"data": fields})), loaded(phantom_config({"data": fields}))
    assert set(made) == {28}
    count = len(made)
    assert torch.equal(first.train.images, second.train.images)
    loaded(phantom_config({"data": fields}))
    assert len(made) == count


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
