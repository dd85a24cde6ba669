"""The test split is sealed: whatever trains or selects gives the same numbers whatever the test rows are."""

from __future__ import annotations

import ast
import hashlib
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
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
from mobilenet_chest.combine.ensemble import of_runs
from mobilenet_chest.combine.soup import soup
from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.dataset import load_test, load_train_val
from mobilenet_chest.errors import DataError
from mobilenet_chest.selection.runs import find_study, stored_predictions, top_trials
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.sweep.workers import Job, work
from mobilenet_chest.tracking import MlflowTracker, keeper
from mobilenet_chest.tracking.reading import artifact
from mobilenet_chest.tracking.store import all_experiment_ids
from mobilenet_chest.tracking.study_run import search_all
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.features import state_digest
from mobilenet_chest.two_stage import train

PACKAGE = Path(mobilenet_chest.__file__).parent

OPENERS = {"data/dataset.py", "selection/evaluate.py"}
"""Where the test rows are read from the file, and the one place that asks for them; promotion goes through it."""

Original = tuple[Path, list[dict[str, Any]]]
"""A data file, and what each run that was made of it has left."""

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
            patch.setattr(keeper, draw, lambda *given: given[-1].touch())
        yield
    load_train_val.cache_clear()
    _artifact_repos_cache.clear()


def _work_here(job: Job, *_: object, **__: object) -> None:
    work(replace(job, threads=1))


def everything(data: Path) -> list[dict[str, Any]]:
    """Train, sweep, average, teach, compare; what each run has left."""
    config = experiment(data)
    train(config, MlflowTracker())
    study = {"name": "sealed", "trials": 2, "sampler": "random", "pruner": "none", "metric": "val_loss",
             "direction": "minimize"}  # fmt: skip
    run_sweep(experiment(data, study=study, search={"stage2.lr": {"low": 1e-4, "high": 4e-4, "log": True}}))
    client = MlflowClient()
    best = top_trials(client, find_study(client, "sealed"), 2)
    soup(best)
    ensemble = of_runs(best)
    distill(config, ensemble.run_id)
    ablate(config, [{"stage2.ema": 0.5}], seeds=1)
    baselines([config], {})
    return everything_left()


def everything_left() -> list[dict[str, Any]]:
    client = MlflowClient()
    runs = search_all(client, all_experiment_ids(client), "")
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
    if run.data.tags["kind"] == "study":
        return found
    table = stored_predictions(client, run, "val")
    with artifact(client, run, "checkpoints/best.pt") as path:
        contents = checkpoint.load(path)
    weights = [member["model"] for member in contents.get("members", [contents])]
    return found | {
        "predictions": hashlib.sha256(table.to_numpy().tobytes()).hexdigest(),
        "weights": [state_digest(state) for state in weights],
    }


@pytest.fixture(scope="module")
def database(_empty_database: Path) -> Path:
    """A fresh MLflow database, to be copied."""
    return _empty_database


@pytest.fixture(scope="module")
def original(chest_file: Path, database: Path, tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A file, and what is made of it."""
    folder = tmp_path_factory.mktemp("sealed")
    data = Path(shutil.copy(chest_file, folder / "chest.npz"))
    with apart(folder / "original", database):
        return data, everything(data)


@pytest.mark.slow
@pytest.mark.parametrize("change", [replace_rows, damage_rows])
def test_no_number_depends_on_the_test_rows(
    change: Callable[[Path], None], original: Original, chest_file: Path, database: Path, tmp_path: Path
) -> None:
    data, expected = original
    shutil.copy(chest_file, data)
    change(data)
    assert {run["kind"] for run in expected} == {"train", "study", "trial", "soup", "ensemble"}
    with apart(tmp_path / "changed", database):
        config = experiment(data).data
        if change is replace_rows:
            assert load_test(config).digest != load_test(config.model_copy(update={"path": chest_file})).digest
        else:
            with pytest.raises(DataError):
                load_test(config)
        found = everything(data)
    assert len(found) == len(expected)
    for run, before in zip(found, expected, strict=True):
        assert run == before


@pytest.mark.slow
def test_no_number_depends_on_there_being_test_rows(
    original: Original, chest_file: Path, database: Path, tmp_path: Path
) -> None:
    data, expected = original
    shutil.copy(chest_file, data)
    remove_rows(data)
    with apart(tmp_path / "changed", database):
        train(experiment(data), MlflowTracker())
        assert everything_left() == expected[:1]


def test_only_evaluation_asks_for_the_test_rows() -> None:
    """Nobody else names the function that reads them, or asks a reader for the split by its name."""
    asking = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {getattr(node, field, None) for field in ("id", "attr", "name")}
            called = isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2]
            given = [one.value for one in getattr(node, "args", []) if isinstance(one, ast.Constant)] if called else []
            # of a card's figures, and of promotion's call, the test split is the name of what was asked for already
            named = called not in (False, "figures", "evaluate_run") and "test" in given
            if "load_test" in names or named:
                asking.add(path.relative_to(PACKAGE).as_posix())
    assert asking == OPENERS
