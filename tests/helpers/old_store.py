"""A store that the code of commit 3ed54fa made, built again from text.

The texts are dumps of the two databases and a description of the artifacts. The networks of that store were trained
with a frozen backbone, so nearly every tensor in a checkpoint is still the seeded initial value; the description names
those and holds the bytes of all others.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mobilenet_chest.config import load
from mobilenet_chest.data import phantom
from mobilenet_chest.models.zoo import build_model

TEXTS = Path(__file__).parents[1] / "compatibility" / "store_3ed54fa"

STUDY_RUN, SINGLE = "e588d0c13666448ab7cc5adea11facb0", "cf2459475a6f49b09ba46fd2463205f0"


def build(folder: Path) -> Path:
    """Write the store into ``folder``; returns the experiment file of its study."""
    np.savez(folder / "chest.npz", **phantom.generate(32, {"train": 80, "val": 40, "test": 40}))
    for name in ("mlflow", "optuna"):
        database = sqlite3.connect(folder / f"{name}.db")
        database.executescript(_text(f"{name}.sql", folder))
        database.close()
    for run_id, files in json.loads(_text("artifacts.json", folder)).items():
        artifacts = folder / "mlruns" / "1" / run_id / "artifacts"
        artifacts.mkdir(parents=True)
        config = artifacts / "config.yaml"
        config.write_text(files.pop("config.yaml"), encoding="utf-8")
        for path, contents in files.items():
            file = artifacts / path
            file.parent.mkdir(exist_ok=True)
            if file.suffix == ".parquet":
                _predictions(contents).to_parquet(file, index=False)
            else:
                _save(file, _decoded(contents, _initial_state(config)))
    return folder / "mlruns" / "1" / STUDY_RUN / "artifacts" / "config.yaml"


def expected() -> dict[str, Any]:
    """Return what the old code said of the store: metrics by run, and the study's trials once it had finished them."""
    return dict(json.loads((TEXTS / "expected.json").read_text(encoding="utf-8")))


def _text(name: str, folder: Path) -> str:
    return (TEXTS / name).read_text(encoding="utf-8").replace("{folder}", str(folder))


def _predictions(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(columns).astype({"row": np.int64, "label": np.uint8})


def _initial_state(config: Path) -> dict[str, Tensor]:
    experiment = load(config)
    torch.manual_seed(experiment.seed)
    return build_model(experiment.model, 1).state_dict()


def _decoded(value: Mapping[str, Any], initial: Mapping[str, Tensor]) -> Any:
    match value:
        case {"initial": name}:
            return initial[name].clone()
        case {"tensor": text, "dtype": dtype, "shape": shape}:
            contents = bytearray(base64.b64decode(text))
            kind = getattr(torch, dtype)
            return (torch.frombuffer(contents, dtype=kind) if contents else torch.empty(0, dtype=kind)).reshape(shape)
        case {"mapping": pairs}:
            return {key: _decoded(inner, initial) for key, inner in pairs}
        case {"sequence": values}:
            return [_decoded(inner, initial) for inner in values]
        case {"value": plain}:
            return plain
    raise AssertionError(f"no value is described like this: {value}")


def _save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a checkpoint as the old code wrote it: format 2, with the digest that it computed."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(f"tensor {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Mapping):
            digest.update(f"mapping {len(value)}".encode())
            for key, inner in value.items():
                digest.update(repr(key).encode())
                add(inner)
        elif isinstance(value, list):
            digest.update(f"sequence {len(value)}".encode())
            for inner in value:
                add(inner)
        else:
            digest.update(repr(value).encode())

    add(contents)
    torch.save({"format": 2, "digest": digest.hexdigest(), **contents}, path)
