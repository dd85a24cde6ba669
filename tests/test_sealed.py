"""The test split is sealed: whatever trains or selects gives the same numbers whatever the test rows are."""

from __future__ import annotations

import ast
import hashlib
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

import mobilenet_chest
from mobilenet_chest.combine.ablate import ablate
from mobilenet_chest.combine.baselines import baselines
from mobilenet_chest.combine.distill import distill
from mobilenet_chest.combine.ensemble import run_ensemble
from mobilenet_chest.combine.soup import soup
from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.dataset import load_test, load_train_val
from mobilenet_chest.errors import DataError
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.sweep.local_workers import Job, work
from mobilenet_chest.tracking import MlflowTracker, artifact_writer
from mobilenet_chest.tracking.artifacts import artifact, stored_predictions
from mobilenet_chest.tracking.runs import find_study, search_runs, top_trials
from mobilenet_chest.tracking.store import all_experiment_ids
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.features import state_digest
from mobilenet_chest.two_stage import train

PACKAGE = Path(mobilenet_chest.__file__).parent

OPENERS = {"data/dataset.py", "selection/evaluate.py"}
"""Where the test rows are read from the file, and the one place that asks for them; promotion goes through it."""

UNKNOWING = (
    "combine/", "config/", "data/augment", "data/sampling", "evaluation/", "models/", "stages", "sweep/", "tracking/",
    "training/", "two_stage",
)  # fmt: skip
"""Beginnings of the names of modules that train or select."""

TIMES = ("seconds", "per_second", "latency", "hours", "time")
"""Parts of names of figures that no two trainings have in common."""


def replace_rows(path: Path) -> None:
    """Other pixels, other labels, and more rows."""
    rng = np.random.default_rng(1)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    images = rng.integers(0, 256, (70, *arrays["test_images"].shape[1:]), np.uint8)
    labels = np.eye(14, dtype=np.uint8)[rng.choice([1, 7], 70)]
    np.savez(path, **arrays | {"test_images": images, "test_labels": labels})


def remove_rows(path: Path) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith("test_")}
    np.savez(path, **arrays)


def damage_rows(path: Path) -> None:
    """Overwrite what the file holds of the test split, headers and all."""
    content = bytearray(path.read_bytes())
    for member in zipfile.ZipFile(path).infolist():
        if member.filename.startswith("test_"):
            name, extra = struct.unpack_from("<HH", content, member.header_offset + 26)
            start = member.header_offset + 30 + name + extra
            content[start : start + member.compress_size] = b"\xff" * member.compress_size
    path.write_bytes(content)


def experiment(data: Path, **values: Any) -> Config:
    fields: dict[str, Any] = {
        "name": "sealed",
        "seed": 3,
        "device": "cpu",
        "data": {"dataset": "chestmnist", "classes": ["cardiomegaly", "pneumothorax"], "path": str(data),
                 "image_size": 32},
        "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
        "optimizer": {"batch_size": 16, "accumulation": 1},
        "stage1": {"epochs": 1},
        "stage2": {"epochs": 2, "lr": 2e-3},
        "evaluation": {"metric": "val_loss"},
        "tracking": {"keep_checkpoints": 2},
    }  # fmt: skip
    return parse(fields | values)


@contextmanager
def apart(folder: Path, database: Path) -> Iterator[None]:
    """A store, a study's database and a cache of their own: nothing of another file's results can be found."""
    folder.mkdir()
    shutil.copy(database, folder / "mlflow.db")
    load_train_val.cache_clear()
    _artifact_repos_cache.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("MOBILENET_CHEST_CACHE", str(folder / "cache"))
        patch.setattr(study_module, "run_workers", _work_here)
        for draw in ("training_curves", "prediction_grid"):  # half of the time of trainings as small as these
            patch.setattr(artifact_writer, draw, lambda *given: given[-1].touch())
        yield
    load_train_val.cache_clear()
    _artifact_repos_cache.clear()


def _work_here(job: Job, *_: object, **__: object) -> None:
    work(replace(job, threads=1))


def everything(data: Path) -> list[dict[str, Any]]:
    """Train, sweep, confirm, average, teach, compare; what each run has left."""
    config = experiment(data)
    train(config, MlflowTracker())
    for study in (
        {"name": "holdout", "trials": 2, "confirm": {"top": 1, "seeds": 2}},
        {"name": "kfold", "trials": 1, "resampling": "kfold", "folds": 2},
        {"name": "reshuffle", "trials": 1, "resampling": "reshuffle"},
    ):
        common = {"sampler": "random", "pruner": "none", "metric": "val_loss", "direction": "minimize"}
        search = {"stage2.lr": {"low": 1e-4, "high": 4e-4, "log": True}}
        run_sweep(experiment(data, study=common | study, search=search))
    client = MlflowClient()
    best = top_trials(client, find_study(client, "holdout"), 2)
    soup(best)
    ensemble = run_ensemble(best)
    distill(config, ensemble.run_id)
    ablate(config, [{"stage2.ema": 0.5}], seeds=1)
    baselines([config], {})
    return everything_left()


def everything_left() -> list[dict[str, Any]]:
    client = MlflowClient()
    runs = search_runs(client, all_experiment_ids(client), "")
    return [left(client, run) for run in sorted(runs, key=lambda run: int(run.info.start_time))]


def left(client: MlflowClient, run: Run) -> dict[str, Any]:
    """Everything of a run that two trainings with the same numbers have in common, bit for bit."""
    metrics = {
        name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        for name in sorted(run.data.metrics)
        if not any(part in name for part in TIMES)
    }
    found = {"kind": run.data.tags["kind"], "status": run.info.status, "metrics": metrics, "params": run.data.params}
    found |= {name: run.data.tags[name] for name in ("config_digest", "data_digest")}
    there = {
        file.path
        for folder in ("predictions", "checkpoints")
        for file in client.list_artifacts(run.info.run_id, folder)
    }
    if "predictions/val.parquet" in there:
        table = stored_predictions(client, run, "val")
        found["predictions"] = hashlib.sha256(table.to_numpy().tobytes()).hexdigest()
    if "checkpoints/best.pt" in there:
        with artifact(client, run, "checkpoints/best.pt") as path:
            contents = checkpoint.load(path)
        found["weights"] = [state_digest(member["model"]) for member in contents.get("members", [contents])]
    return found | {"artifacts": sorted(there)}


@pytest.fixture(scope="module")
def database(_empty_database: Path) -> Path:
    """A fresh MLflow database, to be copied."""
    return _empty_database


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_number_depends_on_the_test_rows(chest_file: Path, database: Path, tmp_path: Path) -> None:
    """Two files that differ in their test rows alone: one has others, in the other they cannot be read."""
    data, found = tmp_path / "chest.npz", []
    for change in (damage_rows, replace_rows):
        shutil.copy(chest_file, data)
        change(data)
        with apart(tmp_path / change.__name__, database):
            config = experiment(data).data
            if change is damage_rows:
                with pytest.raises(DataError):
                    load_test(config)
            else:
                assert load_test(config).digest != load_test(config.model_copy(update={"path": chest_file})).digest
            found.append(everything(data))
    kinds = {run["kind"] for run in found[0]}
    assert kinds == {"train", "study", "trial", "fold", "confirm", "soup", "ensemble"}
    assert sum("predictions" in run for run in found[0]) >= 12
    assert sum("weights" in run for run in found[0]) >= 10
    for one, other in zip(*found, strict=True):
        assert one == other


def test_no_number_depends_on_there_being_test_rows(chest_file: Path, database: Path, tmp_path: Path) -> None:
    data, found = tmp_path / "chest.npz", []
    for change in (None, remove_rows):
        shutil.copy(chest_file, data)
        if change is not None:
            change(data)
        with apart(tmp_path / str(change), database):
            train(experiment(data), MlflowTracker())
            found += everything_left()
    assert found[0] == found[1]


def test_only_evaluation_asks_for_the_test_rows() -> None:
    """Nobody else names the function that reads them, and what trains or selects does not name the split at all."""
    asking, naming = set(), set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if "load_test" in {getattr(node, field, None) for field in ("id", "attr", "name")}:
                asking.add(place.as_posix())
            spoken = isinstance(node, ast.Constant) and node.value == "test"
            if spoken or (isinstance(node, ast.keyword) and node.arg == "test"):
                naming.add(place.as_posix())
    assert asking == OPENERS
    assert [place for place in sorted(naming) if place.startswith(UNKNOWING)] == []
