"""The selection of a file is decoded once, and never taken for that of another file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.npz_files import loaded

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.data import dataset
from mobilenet_chest.errors import DataError

Make = Callable[..., Config]


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
