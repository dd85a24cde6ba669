"""Dotted paths of fields."""

from __future__ import annotations

import pytest

from mobilenet_chest.config import OptimizerConfig, flatten, is_integer_field
from mobilenet_chest.config.paths import assign, is_number_field, overlap, paths_named, searchable_paths, section_at
from mobilenet_chest.config.search import ConfirmConfig, Distribution
from mobilenet_chest.errors import ConfigError


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": None, "g": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "f": None,
        "g": {},
    }


@pytest.mark.parametrize(
    ("path", "whole"),
    [("seed", True), ("optimizer.batch_size", True), ("stage2.patience", True), ("stage2.lr", False), ("a.b", False)],
)
def test_integer_fields(path: str, whole: bool) -> None:
    assert is_integer_field(path) is whole


def test_number_fields() -> None:
    assert [is_number_field(path) for path in ("stage2.lr", "optimizer.clip_norm", "seed", "loss.name")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_assigning_makes_the_sections_on_the_way() -> None:
    fields: dict[str, object] = {"name": "x", "stage2": {"lr": 1e-4}}
    assign(fields, "stage2.epochs", 3)
    assign(fields, "search.stage2.lr", {"low": 1})
    assign(fields, "study.confirm.top", 2)
    assert fields == {
        "name": "x",
        "stage2": {"lr": 1e-4, "epochs": 3},
        "search": {"stage2.lr": {"low": 1}},
        "study": {"confirm": {"top": 2}},
    }


def test_nothing_is_assigned_below_a_value() -> None:
    with pytest.raises(ConfigError, match=r"'name\.first=3': 'name' "):
        assign({"name": "x"}, "name.first", 3)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("stage2.lr", "stage2.lr", True), ("stage2.lr", "stage2", True), ("stage2", "stage2.lr", True),
        ("stage2.lr", "stage2.lr_decay", False), ("", "stage2", False), ("stage1", "stage2.lr", False),
    ],
)  # fmt: skip
def test_paths_overlap_where_one_contains_the_other(first: str, second: str, expected: bool) -> None:
    assert overlap(first, second) is expected


def test_sections_by_their_names() -> None:
    assert section_at(["optimizer"]) is OptimizerConfig
    assert section_at(["study", "confirm"]) is ConfirmConfig
    assert section_at(["search", "stage2.lr"]) is Distribution
    assert section_at(["search"]) is section_at(["stage2", "lr"]) is section_at(["nothing"]) is None


def test_a_sweep_searches_what_one_training_is_made_of() -> None:
    paths = searchable_paths()
    assert {"seed", "stage2.lr", "model.dropout", "evaluation.metric", "augment.crop.scale"} <= set(paths)
    assert not {"augment.crop", "compress.parent", "compress.target", "compress.target.flops"} & set(paths)
    assert not any(path.split(".")[0] in {"name", "study", "search", "gates", "tracking", "device"} for path in paths)


def test_fields_of_one_name_in_all_sections() -> None:
    assert paths_named("lr") == ["stage1.lr", "stage2.lr"]
    assert paths_named("top") == ["study.confirm.top"]
    assert paths_named("data") == ["data"]
    assert paths_named("nothing") == []
