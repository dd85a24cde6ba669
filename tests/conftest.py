"""What the tests of all packages share: small data, small experiments, and an MLflow store of their own."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
import torch
from mlflow.store.db import utils

from mobilenet_chest import logs, processor
from mobilenet_chest.data import phantom

REAL_DATA = "MOBILENET_CHEST_REAL_DATA"

pytest_plugins = [
    "helpers.experiments",
    "helpers.plugin_files",
    "helpers.servers",
    "helpers.certificates",
    "helpers.browsers",
    "helpers.stores",
    "helpers.brightness",
    "helpers.sweeps",
    "helpers.whole_trials",
    "helpers.studies",
    "helpers.hostile",
    "helpers.outbox",
    "helpers.claims",
    "helpers.npz_files",
]
"""A module is named after those that it imports: pytest rewrites the assertions of what is not imported yet."""


def pytest_configure(config: pytest.Config) -> None:
    """MLflow's own models use a loader that SQLAlchemy 2.1 has deprecated, and say so when they are imported."""
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="session", autouse=True)
def _less_waiting() -> None:
    """Leave out what costs each of thousands of tests time and what none of them is about."""
    # SQLite need not wait for the disk: that matters where the power is cut, not where a process is killed
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _do_not_wait_for_the_disk)
    # MLflow would read its sixty files of migrations for each database anew
    utils._get_latest_schema_revision = cache(utils._get_latest_schema_revision)
    # who else is busy is found out for 0.75 s where somebody is
    processor.SAMPLE_SECONDS = 0.01
    # millions of objects of torch and MLflow were looked through again and again
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _do_not_wait_for_the_disk(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def waiting_for_the_disk() -> Iterator[None]:
    """SQLite as outside the tests."""
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _do_not_wait_for_the_disk)
    yield
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _do_not_wait_for_the_disk)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums in one order: the same bits on every machine with the same processor."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as wide as without a terminal, however wide the one is in which the tests run."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Undo what a command does to the package's logger, so that ``caplog`` sees the log of the next test."""
    logger = logging.getLogger(logs.LOGGER)
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # pytest would look through the folders of all tests before it gave one the next number
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def cache_folder(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache for each test: none finds what another has left, nor the user's own."""
    folder = next(_caches)
    folder.mkdir()
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # thousands of tests would fill the disk


@pytest.fixture(scope="session")
def chest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .npz in ChestMNIST's layout with 80, 40 and 40 phantom rows of 32 by 32 pixels."""
    path = tmp_path_factory.mktemp("chest") / "chest.npz"
    np.savez(path, **phantom.generate(32, {"train": 80, "val": 40, "test": 40}))
    return path


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database, made once: its migrations take seconds."""
    from mobilenet_chest.tracking.store import connect

    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        connect()
    return folder / "mlflow.db"


@pytest.fixture
def tracking(_empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MLflow store in ``tmp_path``, which becomes the working folder and is returned."""
    _without_mlflow_variables(monkeypatch)
    shutil.copyfile(_empty_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every HTTP request goes to a proxy that is not there, and torch.hub's folder is empty."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path / "hub")
    yield
    torch.hub.set_dir(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real .npz files, named by an environment variable; the project holds no copy of them."""
    folder = os.environ.get(REAL_DATA)
    if not folder:
        pytest.skip(f"{REAL_DATA} does not name a folder with real data")
    return Path(folder)


def _without_mlflow_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
