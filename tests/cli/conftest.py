"""What the tests of commands share: an empty working folder, and a tiny experiment file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.commands import Write
from helpers.experiments import tiny_fields

from mobilenet_chest.data.dataset import load_train_val

SEARCH = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.fixture(autouse=True)
def _fresh_data_cache() -> Iterator[None]:
    yield
    load_train_val.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in which a tracking store would be made."""
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here / 'mlflow.db'}")
    return here


@pytest.fixture
def written(tmp_path: Path, chest_file: Path) -> Write:
    """Writes a tiny experiment, with fields replaced, outside the working folder; returns its path."""

    def write(name: str = "tiny.yaml", **changed: Any) -> Path:
        model = {"weights": "none", "hidden": [8]}
        fields = tiny_fields(chest_file, {"model": model, "search": SEARCH, "study": {"trials": 2, "pruner": "none"}})
        path = tmp_path / name
        path.write_text(yaml.safe_dump(fields | changed), encoding="utf-8")
        return path

    return write
