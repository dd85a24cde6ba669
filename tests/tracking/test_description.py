"""What a run records of imported data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from helpers.pictures import class_folders

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.importing.importer import ImportOptions, import_pictures
from mobilenet_chest.tracking import description
from mobilenet_chest.tracking.description import run_inputs


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
