"""A store with a finished tiny sweep, a training and an interrupted one: made once, and copied for each test."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from helpers.experiments import SMALL_MODEL, tiny_fields
from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.files import write_whole
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.registry.promotion import Promotion
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.sweep.local_workers import Job, work
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

STUDY, EXPERIMENT, NAME = "dropout-study", "tiny-runs", "tiny"

SEARCHED: dict[str, Any] = {
    "search": {"model.dropout": {"choices": [0.2, 0.6]}},
    "study": {"name": STUDY, "trials": 2, "sampler": "grid", "pruner": "none"},
}
"""What makes a sweep of the tiniest experiment: that of the store."""

Result = TypeVar("Result")

# the columns of MLflow's database that hold paths
PATH_COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
}


@dataclass(frozen=True)
class Store:
    """An MLflow store with finished runs, and the data file they were made from."""

    folder: Path
    study_run: str
    trials: tuple[str, ...]
    best: int
    single: str
    interrupted: str
    single_seed: int = 0

    @property
    def data(self) -> Path:
        """The .npz file that every run of the store was trained on."""
        return self.folder / "chest.npz"

    @property
    def client(self) -> MlflowClient:
        """A client of the store that the environment names."""
        return MlflowClient()

    def run(self, run_id: str) -> Run:
        """Return a run, freshly read."""
        return self.client.get_run(run_id)

    def config(self, values: dict[str, Any] | None = None) -> Config:
        """Return the experiment of the interrupted training."""
        return experiment(self.data, values)

    @property
    def single_config(self) -> Config:
        """The experiment of the single training."""
        return self.config({"seed": self.single_seed})


def experiment(data: Path, values: dict[str, Any] | None = None) -> Config:
    """Return the tiniest experiment on ``data``; ``values`` replaces sections, or fields by dotted path."""
    fields = {
        "name": NAME,
        "seed": 11,
        "optimizer": {"batch_size": 16, "accumulation": 1},
        "stage2": {"epochs": 5, "lr": 2e-3},
        "tracking.experiment": EXPERIMENT,
        "tracking.keep_checkpoints": 1,
    }
    return parse(tiny_fields(data, SMALL_MODEL, fields, values or {}))


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make ``folder`` the working folder and its database the store, and forget all data that was read before."""
    load_train_val.cache_clear()
    # MLflow caches by run id where artifacts are, and copies of a run share its id
    _artifact_repos_cache.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("MLFLOW_"):
                patch.delenv(name)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield
    load_train_val.cache_clear()
    _artifact_repos_cache.clear()


def copied(store: Store, target: Path) -> Store:
    """Copy a store to another folder, with every path in it changed to the copy."""
    shutil.copytree(store.folder, target, copy_function=_link_checkpoints, dirs_exist_ok=True)
    old, new = str(store.folder), str(target)
    for config in target.glob("mlruns/**/config.yaml"):
        config.write_text(config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    database = sqlite3.connect(target / "mlflow.db")
    for table, columns in PATH_COLUMNS.items():
        for column in columns:
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    database.commit()
    database.close()
    return replace(store, folder=target)


def _link_checkpoints(source: str, target: str) -> str:
    """Copy a file, or link one that is large and never written again."""
    if source.endswith((".pt", ".pt2")):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


def work_here(job: Job, *_: object, **__: object) -> None:
    """Run a sweep's work in this process and on one thread, in place of its workers."""
    work(replace(job, threads=1))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Result]) -> Result:
    """Make a folder once for all processes of this test run, and return what ``make`` returned for it.

    No test writes to the folder: each has a copy.
    """
    own = factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, result = root / name, root / f"{name}.pickle"
    with FileLock(root / f"{name}.lock"):
        if not result.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_whole(result, pickle.dumps(make(folder)))
    made: Result = pickle.loads(result.read_bytes())
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path, chest_file: Path) -> Store:
    """The original: a study of two trials, a worse single training, and one interrupted after its second epoch."""
    return made_once(tmp_path_factory, "finished", lambda folder: _finished(folder, _empty_database, chest_file))


def _finished(folder: Path, empty_database: Path, chest_file: Path) -> Store:
    shutil.copy(empty_database, folder / "mlflow.db")
    data = folder / "chest.npz"
    shutil.copy(chest_file, data)
    torch.set_num_threads(1)
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "run_workers", work_here)
        sweep = run_sweep(experiment(data, SEARCHED))
        assert sweep.best.value is not None
        single_seed = _worse_seed(data, sweep.best.value)
        single = train(experiment(data, {"seed": single_seed}), MlflowTracker(name="single"))

        def stop(epoch: int, _record: object) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        tracker = MlflowTracker(name="interrupted")
        with pytest.raises(KeyboardInterrupt):
            train(experiment(data), tracker, stop)
    assert single.run_id is not None
    assert tracker.run_id is not None
    trials = tuple(str(trial.run_id) for trial in sweep.trials)
    return Store(folder, sweep.run_id, trials, sweep.best.number, single.run_id, tracker.run_id, single_seed)


def _worse_seed(data: Path, value: float) -> int:
    """Return the first seed with which a training is worse: which one it is differs by processor, as rounding does."""
    return next(seed for seed in range(12, 40) if train(experiment(data, {"seed": seed})).metrics["val_auc"] < value)


@pytest.fixture
def store(finished: Store, tmp_path: Path) -> Iterator[Store]:
    """A copy of the finished runs for one test, with its folder as the working folder."""
    copy = copied(finished, tmp_path / "store")
    with working_in(copy.folder):
        yield copy


@pytest.fixture(scope="session")
def promoted_original(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Promotion]:
    """A copy in which the study was promoted, once for all tests, as packing takes a while."""

    def make(folder: Path) -> tuple[Store, Promotion]:
        copy = copied(finished, folder)
        with working_in(copy.folder):
            return copy, promote(STUDY)

    return made_once(tmp_path_factory, "promoted", make)


@pytest.fixture
def promoted(promoted_original: tuple[Store, Promotion], tmp_path: Path) -> Iterator[tuple[Store, Promotion]]:
    """A copy of the store with the promoted study, for one test."""
    original, promotion = promoted_original
    copy = copied(original, tmp_path / "promoted")
    with working_in(copy.folder):
        yield copy, promotion


@pytest.fixture(scope="session")
def _eight(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path, chest_file: Path) -> Store:
    return made_once(tmp_path_factory, "eight", lambda folder: _eight_runs(folder, _empty_database, chest_file))


def _eight_runs(folder: Path, empty_database: Path, chest_file: Path) -> Store:
    shutil.copy(empty_database, folder / "mlflow.db")
    shutil.copy(chest_file, folder / "chest.npz")
    torch.set_num_threads(1)
    with working_in(folder):
        # exported sixteen times: the fewest layers
        model = {"name": "timm:test_efficientnet", "weights": "none", "hidden": [8]}
        values = {"model": model, "stage2": {"epochs": 1, "lr": 2e-3}}
        seeds = (20, 21, 22, 23, 24, 25, 26, 28)  # no two of them are equally good
        done = [train(experiment(folder / "chest.npz", {**values, "seed": seed}), MlflowTracker()) for seed in seeds]
    scores = {str(run.run_id): run.metrics["val_auc"] for run in done}
    assert len(set(scores.values())) == 8
    return Store(folder, "", tuple(sorted(scores, key=scores.__getitem__)), 7, "", "")


@pytest.fixture
def runs(_eight: Store, tmp_path: Path) -> Iterator[list[str]]:
    """Eight finished trainings in a store of their own, in ascending order of validation AUC."""
    copy = copied(_eight, tmp_path / "eight")
    with working_in(copy.folder):
        yield list(copy.trials)


@pytest.fixture
def rewrite_data(store: Store) -> Callable[..., None]:
    """Return a function that replaces arrays of the store's data file, or removes those that are ``None``."""
    import numpy as np

    def rewrite(**changes: Any) -> None:
        with np.load(store.data) as file:
            arrays = {key: file[key] for key in file.files} | changes
        np.savez(store.data, **{key: value for key, value in arrays.items() if value is not None})
        load_train_val.cache_clear()

    return rewrite
