"""What a run records when it is made: its parameters, and where imported data are from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from helpers.pictures import class_folders

from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.tracking import description
from mobilenet_chest.tracking.description import run_inputs, run_params


def test_the_source_of_imported_pictures(tmp_path: Path, phantom_config: Callable[..., Config]) -> None:
    films = class_folders(tmp_path / "films", 10, ("normal", "pneumonia"))
    import_pictures(films, tmp_path / "films.npz", ImportOptions(28), workers=1)
    config = phantom_config(
        {"data.dataset": "pneumoniamnist", "data.classes": None, "data.path": str(tmp_path / "films.npz")}
    )
    train, val = run_inputs(config, load_train_val(config.data))["inputs"]
    for item in (train, val):
        source = json.loads(item["source"])
        assert source["uri"] == str(tmp_path / "films.npz")
        assert source["import"]["source"] == str(films)
        assert source["import"]["options"]["size"] == 28
        assert len(source["import"]["digest"]) == 64


def test_data_that_were_not_imported_say_nothing(phantom_config: Callable[..., Config]) -> None:
    config = phantom_config({})
    (item, _) = run_inputs(config, load_train_val(config.data))["inputs"]
    assert set(json.loads(item["source"])) == {"uri"}
    assert description.MOST_ORIGIN < 65_535


def test_parameters_are_what_differs_from_the_defaults() -> None:
    assert run_params(parse({"name": "one"})) == {}
    changed = parse({"name": "one", "seed": 7, "model": {"hidden": [8, 4]}, "loss": {"name": "focal"}})
    assert run_params(changed) == {"seed": "7", "model.hidden": "[8, 4]", "loss.name": "focal"}


def test_a_searched_field_is_a_parameter_at_its_default_too() -> None:
    config = parse({"name": "one", "seed": 7})
    assert list(run_params(config, ["model.dropout", "loss.name"]).items()) == [
        ("model.dropout", str(config.model.dropout)), ("loss.name", config.loss.name), ("seed", "7")
    ]  # fmt: skip


def test_the_first_fold_is_a_parameter() -> None:
    assert run_params(parse({"name": "one", "data": {"folds": 3}})) == {"data.folds": "3", "data.fold": "0"}


def test_a_study_has_its_space_without_what_nobody_gave() -> None:
    search = {
        "model.dropout": {"low": 0, "high": 0.6},
        "loss.name": {"choices": ["bce", "focal"]},
        "loss.focal_gamma": {"low": 1, "high": 3, "log": True, "when": {"loss.name": "focal"}},
    }
    assert run_params(parse({"name": "one", "search": search})) == {
        "search.model.dropout.low": "0.0", "search.model.dropout.high": "0.6",
        "search.loss.name.choices": '["bce", "focal"]',
        "search.loss.focal_gamma.low": "1.0", "search.loss.focal_gamma.high": "3.0",
        "search.loss.focal_gamma.log": "true", "search.loss.focal_gamma.when.loss.name": "focal",
    }  # fmt: skip
