"""The test split is sealed: training and selection give the same numbers whatever the test rows are."""

from __future__ import annotations

import ast
import hashlib
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.experiments import SMALL_MODEL, tiny_fields
from helpers.stores import work_here, working_in
from mlflow import MlflowClient
from mlflow.entities import Run

import mobilenet_chest
from mobilenet_chest.combine.ablate import ablate
from mobilenet_chest.combine.baselines import baselines
from mobilenet_chest.combine.distill import distill
from mobilenet_chest.combine.ensemble import run_ensemble
from mobilenet_chest.combine.soup import soup
from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.dataset import load_test
from mobilenet_chest.errors import DataError
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.tracking import artifact_writer
from mobilenet_chest.tracking.artifacts import artifact, stored_predictions
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import find_study, search_runs, top_trials
from mobilenet_chest.tracking.store import all_experiment_ids
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.features import state_digest
from mobilenet_chest.two_stage import train

PACKAGE = Path(mobilenet_chest.__file__).parent

OPENERS = {"data/dataset.py", "selection/evaluate.py"}
"""The module that reads the test rows, and the only one that asks for them; promotion calls it."""

BLIND = (
    "combine/", "config/", "data/augment", "data/sampling", "evaluation/", "models/", "sweep/", "tracking/",
    "training/", "two_stage",
)  # fmt: skip
"""Beginnings of the paths of modules that train or select: they do not even name the split."""

TIMES = ("seconds", "per_second", "latency", "hours", "time")
"""Parts of the names of metrics that differ between any two trainings."""


def replace_rows(path: Path) -> None:
    """Replace the test rows by more rows with other pixels and labels."""
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
    """Overwrite the test arrays in the file, headers included."""
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
        "optimizer": {"batch_size": 16, "accumulation": 1},
        "stage2": {"epochs": 2, "lr": 2e-3},
        "evaluation": {"metric": "val_loss"},
        "tracking.keep_checkpoints": 2,
    }
    return parse(tiny_fields(data, SMALL_MODEL, fields, values))


@contextmanager
def separate_store(folder: Path, database: Path) -> Iterator[None]:
    """Use a store, a study's database and a cache of their own, so that no results of another file are found."""
    folder.mkdir()
    shutil.copy(database, folder / "mlflow.db")
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENET_CHEST_CACHE", str(folder / "cache"))
        patch.setattr(study_module, "run_workers", work_here)
        for draw in ("training_curves", "prediction_grid"):  # half of the time of trainings as small as these
            patch.setattr(artifact_writer, draw, lambda *given: given[-1].touch())
        yield


def run_everything(data: Path) -> list[dict[str, Any]]:
    """Train, sweep, confirm, average, teach and compare; return the results of every run."""
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
    return all_results()


def all_results() -> list[dict[str, Any]]:
    client = MlflowClient()
    runs = search_runs(client, all_experiment_ids(client), "")
    return [results(client, run) for run in sorted(runs, key=lambda run: int(run.info.start_time))]


def results(client: MlflowClient, run: Run) -> dict[str, Any]:
    """Return all results of a run that must be equal, bit for bit, in two trainings with the same numbers."""
    metrics = {
        name: [(point.step, point.value) for point in metric_history(client, run.info.run_id, name)]
        for name in sorted(metrics_of(run))
        if not any(part in name for part in TIMES)
    }
    result = {"kind": run.data.tags["kind"], "status": run.info.status, "metrics": metrics, "params": run.data.params}
    result |= {name: run.data.tags[name] for name in ("config_digest", "data_digest")}
    artifacts = {
        file.path
        for folder in ("predictions", "checkpoints")
        for file in client.list_artifacts(run.info.run_id, folder)
    }
    if "predictions/val.parquet" in artifacts:
        table = stored_predictions(client, run, "val")
        result["predictions"] = hashlib.sha256(table.to_numpy().tobytes()).hexdigest()
    if "checkpoints/best.pt" in artifacts:
        with artifact(client, run, "checkpoints/best.pt") as path:
            contents = checkpoint.load(path)
        result["weights"] = [state_digest(member["model"]) for member in contents.get("members", [contents])]
    return result | {"artifacts": sorted(artifacts)}


@pytest.fixture(scope="module")
def database(_empty_database: Path) -> Path:
    """A fresh MLflow database, to be copied."""
    return _empty_database


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_number_depends_on_the_test_rows(chest_file: Path, database: Path, tmp_path: Path) -> None:
    """Two files differ only in their test rows: one has other rows, the other has rows that cannot be read."""
    data, results = tmp_path / "chest.npz", []
    for change in (damage_rows, replace_rows):
        shutil.copy(chest_file, data)
        change(data)
        with separate_store(tmp_path / change.__name__, database):
            config = experiment(data).data
            if change is damage_rows:
                with pytest.raises(DataError):
                    load_test(config)
            else:
                assert load_test(config).digest != load_test(config.model_copy(update={"path": chest_file})).digest
            results.append(run_everything(data))
    kinds = {run["kind"] for run in results[0]}
    assert kinds == {"train", "study", "trial", "fold", "confirm", "soup", "ensemble"}
    assert sum("predictions" in run for run in results[0]) >= 12
    assert sum("weights" in run for run in results[0]) >= 10
    for first, second in zip(*results, strict=True):
        assert first == second


@pytest.mark.slow
def test_no_number_depends_on_there_being_test_rows(chest_file: Path, database: Path, tmp_path: Path) -> None:
    data, results = tmp_path / "chest.npz", []
    for change in (None, remove_rows):
        shutil.copy(chest_file, data)
        if change is not None:
            change(data)
        with separate_store(tmp_path / str(change), database):
            train(experiment(data), MlflowTracker())
            results += all_results()
    assert results[0] == results[1]


def test_only_evaluation_asks_for_the_test_rows() -> None:
    """No other module names the function that reads them; modules that train or select do not name the split at all."""
    asking, naming = set(), set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if "load_test" in {getattr(node, field, None) for field in ("id", "attr", "name")}:
                asking.add(place.as_posix())
            literal = isinstance(node, ast.Constant) and node.value == "test"
            if literal or (isinstance(node, ast.keyword) and node.arg == "test"):
                naming.add(place.as_posix())
    assert asking == OPENERS
    assert [place for place in sorted(naming) if place.startswith(BLIND)] == []
