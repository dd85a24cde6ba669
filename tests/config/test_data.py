"""The section ``data``: the images, the two classes and the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import ClassGroup, DataConfig
from mobilenet_chest.config.data import CHEST


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"source_size": 32}, "28, 64, 128 or 224"),
        ({"dataset": "phantom", "path": "x.npz"}, "dataset 'phantom' is generated; remove path "),
        ({"fold": 1}, "fold 1 is not one of no folds; allowed: 0,"),
        ({"folds": 3, "fold": 3}, "fold 3 is not one of 3 folds; allowed: 0 to 2"),
        ({"classes": ["sick", "Sick"]}, "'sick' twice"),
        ({"classes": ["a / b", "c"]}, "'a / b'"),
        ({"classes": ["a", "b", "c"]}, "two classes are told apart, not 3"),
        ({"classes": ["a"]}, "two classes are told apart, not 1"),
        ({"classes": {"a": [], "b": [1]}}, "class 'a' needs labels"),
        ({"classes": {"a": None, "b": [1]}}, "not None"),
        ({"path": "x" * 300 + ".npz"}, "255 bytes"),
    ],
)
def test_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate(fields)
    assert part in str(caught.value)


def test_without_a_file_the_data_set_is_chestmnist() -> None:
    assert DataConfig().dataset == CHEST
    assert DataConfig().title == CHEST


def test_a_file_of_ones_own_is_called_by_its_name(tmp_path: Path) -> None:
    config = DataConfig(path=tmp_path / "cohort.npz")
    assert (config.dataset, config.title) == (None, "cohort")
    assert DataConfig(path=tmp_path / "cohort.npz", name="Ward 3").title == "Ward 3"


def test_a_class_of_several_labels() -> None:
    groups = DataConfig.model_validate({"classes": {"neg": ["a", 1], "pos": "c"}}).classes
    assert groups == (ClassGroup(name="neg", labels=("a", "1")), ClassGroup(name="pos", labels=("c",)))
    written = [{"name": "neg", "labels": ["a", 1]}, {"name": "pos", "labels": ["c"]}]  # as in a run's config.yaml
    assert DataConfig.model_validate({"classes": written}).classes == groups


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"fold_by": "site"}, "fold_by: site divides nothing without folds"),
        ({"fold_by": "site", "folds": 2, "split_seed": 1}, "split_seed 1 draws folds by chance"),
    ],
)
def test_folds_by_site_that_cannot_be(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate(fields)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "divided"), [({}, False), ({"folds": 3}, True), ({"split_seed": 0}, True), ({"fold": 0}, False)]
)
def test_rows_are_divided_by_folds_or_by_a_seed(fields: dict[str, Any], divided: bool) -> None:
    assert DataConfig.model_validate(fields).divided is divided
