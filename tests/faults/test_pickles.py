"""Pickles and YAML tags in files that users are given: each would leave a canary behind if it were run."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.hostile import Bomb, is_live

from mobilenet_chest.config import Config, load, to_yaml
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import ConfigError, DataError, WeightsError
from mobilenet_chest.models.weights import load_state_dict
from mobilenet_chest.training import checkpoint

Make = Callable[..., Config]


@pytest.fixture(params=["bomb.pt", "bare.pt", "bomb.pth"])
def pickled(request: pytest.FixtureRequest, canary: Path, tmp_path: Path) -> Path:
    """A checkpoint with a bomb in it: in torch's zip format, or as a bare pickle."""
    path = tmp_path / request.param
    contents = {"format": checkpoint.FORMAT, "model": {"weight": torch.zeros(2)}, "history": Bomb(canary)}
    if "bare" in path.name:
        path.write_bytes(pickle.dumps(contents))
    else:
        torch.save(contents, path)
    is_live(canary, lambda: torch.load(path, weights_only=False))
    return path


def test_a_checkpoint(pickled: Path) -> None:
    with pytest.raises(DataError, match=re.escape(pickled.name)):
        checkpoint.load(pickled)


def test_weights(pickled: Path) -> None:
    with pytest.raises(WeightsError, match=re.escape(pickled.name)):
        load_state_dict(pickled)


def test_weights_named_by_an_experiment(
    pickled: Path, tracking: Path, phantom_config: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    experiment = tracking / "tiny.yaml"
    experiment.write_text(to_yaml(phantom_config({"model.hidden": [8]})), encoding="utf-8")
    result = run("train", str(experiment), f"model.weights={pickled}")
    assert result.exit_code == 2
    assert f"{pickled}: " in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("key", ["train_images", "train_labels", "train_patients"])
def test_objects_in_an_npz(key: str, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    arrays: dict[str, Any] = {"train_images": np.zeros((1, 8, 8), np.uint8), "train_labels": np.zeros((1, 1), np.uint8)}
    np.savez(path, **(arrays | {key: np.array([Bomb(canary)], dtype=object)}))
    is_live(canary, lambda: np.load(path, allow_pickle=True)[key])
    file = NpzFile(path)
    with pytest.raises(DataError, match=key):
        file.patients("train") if key == "train_patients" else file.rows("train", np.arange(1))
    result = run("data", "info", str(path))
    assert "Traceback" not in result.output


def test_objects_in_an_npy(canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npy"
    np.save(path, np.array([Bomb(canary)], dtype=object))
    is_live(canary, lambda: np.load(path, allow_pickle=True))
    result = run("predict", "models:/any@champion", str(path), "--out", str(tmp_path / "out.csv"))
    assert result.exit_code == 2
    assert path.name in result.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir ['{canary}']",
        "!!python/object/new:os.mkdir ['{canary}']",
        "!!python/name:os.mkdir",
    ],
)
def test_a_yaml_tag(value: str, canary: Path, tmp_path: Path) -> None:
    path, value = tmp_path / "bomb.yaml", value.format(canary=canary)
    path.write_text(f"name: {value}\n")
    with pytest.raises(ConfigError, match=r"bomb\.yaml: .*python/"):
        load(path)
    path.write_text("name: fine\n")
    with pytest.raises(ConfigError, match="name=!!python"):
        load(path, [f"name={value}"])
    for command in (("sweep",), ("train",), ("ablate", "--over", f"stage2.lr={value}")):
        extra = [] if command[0] == "ablate" else [f"name={value}"]
        result = run(command[0], str(path), *extra, *command[1:])
        assert result.exit_code == 2
        assert "Traceback" not in result.output
