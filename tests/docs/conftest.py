"""The settings in which examples of the manual run."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.examples import Setting
from helpers.manual import ROOT
from helpers.pictures import class_folders
from helpers.shell import run_line
from helpers.stores import Store, copied, working_in
from mlflow import MlflowClient

from mobilenet_chest.config import load
from mobilenet_chest.data import phantom
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

EXPERIMENT = """\
name: small
seed: 7
data: {dataset: chestmnist, classes: [cardiomegaly, pneumothorax], path: mine.npz, image_size: 32}
model: {name: "timm:mobilenetv2_050", weights: none, hidden: [16]}
optimizer: {batch_size: 16, accumulation: 1}
stage1: {epochs: 12, lr: 1.0e-2}
stage2: {epochs: 2, batchnorm: frozen}
evaluation: {metric: val_auc}
search:
  stage2.lr: {low: 3.0e-4, high: 3.0e-3, log: true}
study: {trials: 3, pruner: none}
"""


@pytest.fixture(scope="session")
def easy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file whose classes differ by a gradient under noise: a tiny network learns it within seconds."""
    arrays, generator = phantom.generate(32, {"train": 240, "val": 120, "test": 120}), np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 32)[None, :, None]
    for split in ("train", "val", "test"):
        sign = arrays[f"{split}_labels"][:, 7] * 2.0 - 1.0
        strength = sign * 60 + generator.normal(size=len(sign)) * 40
        images = arrays[f"{split}_images"] + strength[:, None, None] * ramp
        arrays[f"{split}_images"] = np.clip(images, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("easy") / "mine.npz"
    np.savez(path, **arrays)
    return path


def _make_folder(folder: Path, data: Path, database: Path) -> None:
    """Fill a working folder: data, pictures, an experiment, an empty MLflow database, and the repository's top."""
    folder.mkdir()
    shutil.copy(data, folder / "mine.npz")
    shutil.copy(database, folder / "mlflow.db")
    (folder / "small.yaml").write_text(EXPERIMENT, encoding="utf-8")
    class_folders(folder / "films", 20)
    (folder / "films" / "sick" / "020.png").write_bytes(b"damaged")
    for name in ("sweep.py", "train.py", "experiments"):
        (folder / name).symlink_to(ROOT / name)


@contextmanager
def _two_cores() -> Iterator[None]:
    """Let processes started within see two cores: each of two workers has one thread, and their sums one order."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture(scope="session")
def manual_store(tmp_path_factory: pytest.TempPathFactory, easy_file: Path, _empty_database: Path) -> Store:
    """A study of three trials, one epoch of stage 1 as a single training, and one that was interrupted."""
    folder = tmp_path_factory.mktemp("manual") / "store"
    _make_folder(folder, easy_file, _empty_database)
    with working_in(folder), _two_cores(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENET_CHEST_CACHE", str(folder / ".cache"))
        run_line("python sweep.py small.yaml --workers 2")  # one thread each
        # so short that it is worse beyond doubt: a verdict at its edge would be another one on another processor
        short = ["name=frozen", "stage1.epochs=1", "stage1.lr=6e-4", "stage2.epochs=0"]
        frozen = train(load(Path("small.yaml"), short), MlflowTracker(name="frozen"))

        def stop(epoch: int, _record: object) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        interrupted = MlflowTracker(name="small")
        with pytest.raises(KeyboardInterrupt):
            train(load(Path("small.yaml"), ["seed=8"]), interrupted, stop)
        client = MlflowClient()
        (experiment,) = client.search_experiments(filter_string="name = 'small'")
        runs = client.search_runs([experiment.experiment_id])
    study = next(run.info.run_id for run in runs if run.data.tags.get("kind") == "study")
    trials = sorted(
        (run for run in runs if run.data.tags.get("kind") == "trial"), key=lambda run: run.data.tags["trial"]
    )
    assert len(trials) == 3
    best = max(range(3), key=lambda number: metrics_of(trials[number])["val_auc"])
    assert metrics_of(trials[best])["val_auc"] > 0.9
    ids = tuple(run.info.run_id for run in trials)
    return Store(folder, study, ids, best, str(frozen.run_id), str(interrupted.run_id))


def _copied(store: Store, folder: Path) -> Store:
    """Return a copy of a store whose study continues: its experiment names the copied data."""
    copy = copied(store, folder)
    with closing(sqlite3.connect(folder / "optuna.db")) as database, database:
        for table in ("study_user_attributes", "trial_user_attributes"):
            paths = str(store.folder), str(folder)
            database.execute(f"UPDATE {table} SET value_json = replace(value_json, ?, ?)", paths)
    return copy


@pytest.fixture(scope="session")
def manual_promoted(manual_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same store with its study promoted."""
    store = _copied(manual_store, tmp_path_factory.mktemp("manual_promoted") / "store")
    with working_in(store.folder):
        assert "champion of 'small' is version 1" in run_line("mobilenet-chest promote small")
    return store


@pytest.fixture
def prepare(
    request: pytest.FixtureRequest, tmp_path: Path, _empty_database: Path
) -> Iterator[Callable[[str], Setting]]:
    """Return the maker of settings; the one made last is the working folder until the test ends.

    ``empty`` has no runs. ``store`` has a finished study ``small`` (best run: BEST_RUN_ID; another: OTHER_RUN_ID), a
    single training ``frozen`` (RUN_ID) and an interrupted one (INTERRUPTED_ID). In ``promoted`` the study is promoted.
    All have ``mine.npz``, ``small.yaml``, and ``sweep.py``, ``train.py`` and ``experiments`` of the repository.
    """
    with ExitStack() as stack:
        numbers = iter(range(100))

        def make(name: str) -> Setting:
            stack.close()
            folder, names = tmp_path / f"setting{next(numbers)}", {}
            if name == "empty":
                _make_folder(folder, request.getfixturevalue("easy_file"), _empty_database)
            elif name in ("store", "promoted"):
                original: Store = request.getfixturevalue(f"manual_{name}")
                store = _copied(original, folder)
                names = {
                    "BEST_RUN_ID": store.trials[store.best],
                    "OTHER_RUN_ID": store.trials[store.best - 1],
                    "INTERRUPTED_ID": store.interrupted,
                    "RUN_ID": store.single,
                }
            else:
                raise ValueError(f"no setting '{name}'; allowed: empty, store, promoted")
            stack.enter_context(working_in(folder))
            stack.enter_context(_two_cores())
            cache = stack.enter_context(pytest.MonkeyPatch.context())
            cache.setenv("MOBILENET_CHEST_CACHE", str(folder / ".cache"))
            return Setting(folder, names)

        yield make
