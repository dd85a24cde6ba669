"""Predicting rows of the sealed test split is an access to it, and goes on record."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.registry import Promoted
from mlflow import MlflowClient

from mobilenet_chest import logs
from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.predict import predict_files
from mobilenet_chest.registry.sealed_rows import SealedRows
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.ledger import find_accesses

MODEL = "models:/tiny@champion"


@pytest.fixture
def sealed(promoted: Promoted) -> SealedRows:
    client = MlflowClient()
    return SealedRows(client, digests.find_version(client, MODEL))


def of_run(promoted: Promoted) -> list[Access]:
    return find_accesses(MlflowClient(), promoted[1].run_id)


def test_a_file_with_the_test_rows(promoted: Promoted, tmp_path: Path) -> None:
    store, promotion = promoted
    before = of_run(promoted)
    predict_files(MODEL, store.data, tmp_path / "out.csv")
    *earlier, last = of_run(promoted)
    assert earlier == before
    assert (last.run_id, last.again) == (promotion.run_id, True)
    assert last.who is not None
    assert last.who.endswith("predict")


def test_some_rows_in_another_file(promoted: Promoted, sealed: SealedRows) -> None:
    file = NpzFile(promoted[0].data)
    train, test = file.rows("train", np.arange(9)), file.rows("test", np.array([3, 5]))
    before = len(of_run(promoted))
    sealed.check(train)
    sealed.check(train[:, :16])
    assert sealed.count == 0
    assert len(of_run(promoted)) == before
    sealed.check(np.concatenate([train, test[:1]]))
    sealed.check(test)
    assert sealed.count == 3
    assert len(of_run(promoted)) == before + 1  # one access, however many batches


@pytest.mark.parametrize("colour", [False, True])
def test_gray_rows_stored_or_given_as_colour(promoted: Promoted, sealed: SealedRows, colour: bool) -> None:
    path = promoted[0].data
    rows = NpzFile(path).rows("test", np.arange(2))
    given = np.repeat(rows[..., None], 3, axis=3)
    if colour:  # the file's rows are, and the images are gray
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        np.savez(path, **(arrays | {"test_images": np.repeat(arrays["test_images"][..., None], 3, axis=3)}))
        given = rows
    sealed.check(given)
    assert sealed.count == 2


def test_a_downloaded_file(promoted: Promoted, sealed: SealedRows, monkeypatch: pytest.MonkeyPatch) -> None:
    path = promoted[0].data
    rows = NpzFile(path).rows("test", np.arange(2))
    downloaded = path.rename(path.with_name("pneumoniamnist_64.npz"))
    data = DataConfig(dataset="pneumoniamnist", source_size=64, root=downloaded.parent)

    def config(*_: object) -> SimpleNamespace:
        return SimpleNamespace(data=data)

    monkeypatch.setattr("mobilenet_chest.registry.sealed_rows.run_config", config)
    sealed.check(rows)
    assert sealed.count == 2


def test_without_the_data_file_nothing_can_be_compared_and_it_says_so(
    promoted: Promoted, sealed: SealedRows, caplog: pytest.LogCaptureFixture
) -> None:
    images = NpzFile(promoted[0].data).rows("test", np.arange(2))
    before = len(of_run(promoted))
    promoted[0].data.unlink()
    caplog.set_level(logging.WARNING, logs.LOGGER)
    sealed.check(images)
    sealed.check(images)
    assert sealed.count == 0
    assert len(of_run(promoted)) == before
    (record,) = caplog.records
    assert str(promoted[0].data) in record.getMessage()
