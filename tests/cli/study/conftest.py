"""What the tests of ``study`` share: a stored study in the working folder, without a run in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.storage import DEFAULT
from mobilenet_chest.sweep.stored_study import open_or_create

SEARCH = {"stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True}}


@pytest.fixture
def study(folder: Path, phantom_config: Callable[..., Config]) -> Iterator[optuna.Study]:
    opened = open_or_create(phantom_config({"name": "tiny", "search": SEARCH, "study": {"trials": 20}}), DEFAULT)
    yield opened
    backend = getattr(opened._storage, "_backend", opened._storage)
    backend.remove_session()
    backend.engine.dispose()
