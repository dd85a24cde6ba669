"""Options, data files and experiments of all cases, and the cache and MLflow store that a case runs in."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np

from mobilenet_chest.config import Config, DataConfig, parse
from mobilenet_chest.data import phantom
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import find_task
from mobilenet_chest.files import whole_file

CACHE = "MOBILENET_CHEST_CACHE"
CHEST_LABELS = 14
CLASSES = ("cardiomegaly", "pneumothorax")
ROOT = Path(__file__).resolve().parents[2]

Options = argparse.Namespace


@dataclass(frozen=True)
class Case:
    """One benchmark.

    Attributes:
        run: Measures, and returns what :func:`report` does; finished measurements are saved.
        about: What it measures, in a line.
        needs: Options without which it is skipped.
    """

    run: Callable[[Options, measure.SavedResults], measure.Json]
    about: str
    needs: tuple[str, ...] = ()


def report(rows: list[measure.Json], *notes: str, **more: Any) -> measure.Json:
    """Return the results of a case: rows of its table, notes below it, and further JSON values."""
    return {"rows": rows, "notes": list(notes), **more}


def data_file(options: Options, rows: int, val_rows: int, seed: int = 2024) -> Path:
    """Return a .npz with single-label rows of the two classes, from ``--data`` or of synthetic radiographs.

    Rows of real data are chosen by a seeded permutation; ``val_rows`` of 0 takes all validation rows.

    Raises:
        SystemExit: The data have fewer rows.
    """
    source = "phantom" if options.data is None else options.data.stem
    path = Path(options.scratch) / f"{source}-{options.stored_size}-{rows}-{val_rows}-{seed}.npz"
    if path.exists():
        return path
    if options.data is None:
        # about 85% of the synthetic rows carry one label alone
        arrays = phantom.generate(options.stored_size, {"train": rows * 2, "val": max(val_rows, 32) * 2}, seed=seed)
    else:
        with np.load(options.data) as file:
            arrays = {key: file[key] for key in file.files}
    dataset = dataset_of(arrays["train_labels"].shape[1])
    task = find_task(DataConfig(dataset=dataset, classes=_classes(dataset), path=str(path)), lambda: NpzFile(path))
    chosen_rows: dict[str, Any] = {}
    for split, count in (("train", rows), ("val", val_rows)):
        selected, _ = task.select(arrays[f"{split}_labels"])
        if len(selected) < count:
            raise SystemExit(
                f"{source}: {len(selected)} rows of '{split}' have one label of {task.members}; {count} are needed"
            )
        if options.data is not None:
            selected = np.random.default_rng(seed).permutation(selected)
        chosen = np.sort(selected[:count] if count else selected)
        chosen_rows |= {f"{split}_{part}": arrays[f"{split}_{part}"][chosen] for part in ("images", "labels")}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, **chosen_rows)
    return path


def dataset_of(label_columns: int) -> str:
    """Return the dataset whose layout has so many label columns."""
    return "chestmnist" if label_columns == CHEST_LABELS else "pneumoniamnist"


def _classes(dataset: str) -> tuple[str, str] | None:
    return CLASSES if dataset == "chestmnist" else None


def experiment(
    options: Options, path: Path, values: Mapping[str, Any], model: str = "mobilenet_v3_large", weights: str = "none"
) -> Config:
    """Return the source report's recipe on a file, on the CPU in float32, with ``{dotted path: value}`` on top.

    Args:
        options: ``--model``, ``--weights`` and ``--image-size`` are taken from it.
        path: From :func:`data_file`.
        values: A mapping as a value, such as the whole of ``search``, is taken as it is.
        model: Used without ``--model``.
        weights: Used without ``--weights``.
    """
    with np.load(path) as file:
        dataset = dataset_of(file["train_labels"].shape[1])
    fields: dict[str, Any] = {
        "name": "benchmark",
        "device": "cpu",
        "data": {
            "dataset": dataset,
            "classes": _classes(dataset),
            "path": str(path),
            "image_size": options.image_size,
        },
        "model": {"name": options.model or model, "weights": options.weights or weights},
        "optimizer": {"precision": "fp32"},
        "stage2": {"patience": None},
        "evaluation": {"metric": "val_auc"},
    }
    for dotted, value in values.items():
        section, _, leaf = dotted.partition(".")
        if leaf:
            fields.setdefault(section, {})[leaf] = value
        else:
            fields[section] = value
    return parse(fields)


def cheap_fields(options: Options) -> dict[str, Any]:
    """Return the cheaper fidelities of stage 2: ``--cheap``, or the first blocks frozen and the resolution rising."""
    if options.cheap is not None:
        return dict(options.cheap)
    size = options.image_size
    return {"stage2.unfreeze_from": 4, "stage2.resolutions": [size // 2, size * 3 // 4, size]}


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables of this process and its children for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def cache(folder: Path | str) -> Iterator[None]:
    """Put the cache in ``folder`` for the length of the block, or turn it ``off``."""
    with environment(**{CACHE: str(folder)}):
        yield


@contextmanager
def cold_cache() -> Iterator[Path]:
    """Use an empty cache, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as folder, cache(folder):
        yield Path(folder)
        gc.collect()  # arrays mapped from the folder must go before it


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """Use an MLflow store in ``folder`` as the working folder, and yield the address of Optuna's storage there."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with environment(MLFLOW_TRACKING_URI=f"sqlite:///{folder / 'mlflow.db'}"), contextlib.chdir(folder):
        yield f"sqlite:///{folder / 'optuna.db'}"
