"""Unlabelled images against a run's validation rows: no label is read, nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run
from helpers.stores import Store

from mobilenet_chest.data.phantom import generate
from mobilenet_chest.errors import DataError
from mobilenet_chest.selection import kinds
from mobilenet_chest.selection.kinds import check_kind
from mobilenet_chest.selection.ledger import accesses


@pytest.fixture(autouse=True)
def _few_rows_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "LEAST_ROWS", 20)  # the store has 34 validation rows


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
    return path


def test_the_runs_own_test_images_without_opening_them(store: Store) -> None:
    before = store.run(store.single)
    found = check_kind(store.single, store.data, "test")
    assert (found.images, found.validation_rows) == (40, 34)
    assert set(found.found.as_before) == {"features", "probabilities"}
    assert all(0 < p.value <= 1 for p in found.found.as_before.values())
    after = store.run(store.single)
    assert accesses(store.client, after) == []
    assert after.data.tags == before.data.tags
    assert after.data.params == before.data.params


def test_labels_are_not_read(store: Store) -> None:
    images = generate(32, {"train": 0, "val": 0, "test": 30}, seed=9)["test_images"]
    plain = saved(store.folder / "plain.npz", test_images=images)
    damaged = saved(store.folder / "damaged.npz", test_images=images, test_labels=np.full(30, 0.5))
    assert check_kind(store.single, plain).found == check_kind(store.single, damaged).found


def test_what_is_printed(store: Store) -> None:
    images = generate(32, {"train": 0, "val": 0, "test": 40}, seed=9, sites=("B",))["test_images"]
    file = saved(store.folder / "b.npz", test_images=images)
    printed, document = run("data", "check", store.single, file), run("data", "check", store.single, file, "--json")
    found = json.loads(document.stdout)
    assert found["images"] == 40
    assert f"verdict: {found['found']['verdict']}\n" in printed.stdout
    assert printed.stdout.count("share of class 1 by") == 2


def test_files_that_cannot_be_checked(store: Store) -> None:
    folder, images = store.folder, np.zeros((30, 32, 32), np.uint8)
    with pytest.raises(DataError, match="no such file"):
        check_kind(store.single, folder / "gone.npz")
    with pytest.raises(DataError, match="has no val_images"):
        check_kind(store.single, saved(folder / "t.npz", test_images=images), "val")
    with pytest.raises(DataError, match="in train of"):
        check_kind(store.single, store.data)
    with pytest.raises(DataError, match="10 images are too few"):
        check_kind(store.single, saved(folder / "f.npz", test_images=images[:10]))
    with pytest.raises(DataError, match="0 images are too few"):
        check_kind(store.single, saved(folder / "e.npz", test_images=images[:0]))
    with pytest.raises(DataError, match="--size 32"):
        check_kind(store.single, saved(folder / "s.npz", test_images=images[:, :16]))
