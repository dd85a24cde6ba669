"""``data audit``, and what dry runs and runs say of the rows that ``data.drop_duplicates`` leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from mobilenet_chest.cli.commands import app
from mobilenet_chest.data import phantom
from mobilenet_chest.data.dataset import load_train_val


@pytest.fixture(autouse=True)
def _fresh_data_cache() -> Iterator[None]:
    yield
    load_train_val.cache_clear()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on phantom rows; two of train stand in val, one of train in test."""
    folder = tmp_path_factory.mktemp("copied")
    arrays = phantom.generate(32, {"train": 80, "val": 40, "test": 40})
    single = {
        split: np.flatnonzero((labels.sum(1) == 1) & labels[:, [1, 7]].any(1))
        for split, labels in ((split, arrays[f"{split}_labels"]) for split in ("train", "val", "test"))
    }
    for train, split, other in ((0, "val", 3), (1, "val", 5), (2, "test", 4)):
        for kind in ("images", "labels"):
            arrays[f"train_{kind}"][single["train"][train]] = arrays[f"{split}_{kind}"][single[split][other]]
    np.savez(folder / "chest.npz", **arrays)  # type: ignore[arg-type]
    fields: dict[str, Any] = {
        "name": "copied",
        "device": "cpu",
        "data": {
            "dataset": "chestmnist",
            "classes": ["cardiomegaly", "pneumothorax"],
            "path": str(folder / "chest.npz"),
            "image_size": 32,
        },
        "model": {"weights": "none", "hidden": []},
        "stage1": {"epochs": 1},
        "stage2": {"epochs": 0},
    }
    path = folder / "copied.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# --- drop_duplicates -----------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_is_left_out(copied: Path, tracking: Path) -> None:
    plain = json.loads(run("train", copied, "--dry-run", "--json").stdout)
    result = run("train", copied, "data.drop_duplicates=true", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert "dropped_duplicates" not in plain
    assert document["dropped_duplicates"] == 2  # that of test is not looked for: training never reads test
    assert sum(plain["rows"]["train"].values()) - sum(document["rows"]["train"].values()) == 2
    assert plain["rows"]["val"] == document["rows"]["val"]
    text = run("train", copied, "data.drop_duplicates=true", "--dry-run").stdout
    assert "left out of train as duplicates: 2" in text.splitlines()


def test_a_run_records_what_was_left_out(copied: Path, tracking: Path) -> None:
    result = run("train", copied, "data.drop_duplicates=true", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["metrics"]["dropped_duplicates"] == 2
