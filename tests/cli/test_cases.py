"""The cases of `../shared/cases`: what a command would find out later, ``--dry-run`` and ``doctor`` find out first."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from helpers.commands import run, start
from helpers.pictures import encoded
from helpers.servers import MlflowServer
from helpers.stores import SEARCHED, STUDY, Store, experiment
from PIL import Image

from mobilenet_chest.config import load
from mobilenet_chest.sweep.stored_study import open_or_create

pytestmark = pytest.mark.slow

STORAGE = "sqlite:///optuna.db"

HOME = str(Path.home())
"""The user's own; cases have another."""

OWN_NAMES = ("data.dataset=null", "data.classes=[healthy, sick]")
OWN_DATA = ("data.dataset=pneumoniamnist", "data.path=ok.npz", "model.weights=none")


@pytest.fixture
def cases(real_data: Path) -> Path:
    """The folder of cases, beside that of the real data."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no folder of cases at {folder}")
    return folder


@pytest.fixture
def case(cases: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what every case has: a small data file, a training and a sweep of it."""
    for path in (*cases.glob("*.yaml"), *cases.glob("*.npz")):
        shutil.copyfile(path, folder / path.name)
    monkeypatch.setenv("HOME", str(folder.parent))
    return cases


def problem(*arguments: object, code: int = 2) -> str:
    """Return the one line that refuses a command."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    (line,) = (text for text in result.stderr.splitlines() if not text.startswith("reading"))
    return line


def document(*arguments: object) -> Any:
    """Return the JSON of a dry run that found nothing."""
    result = run(*arguments, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def doctor(bad: str | None = None) -> str:
    """Return what the doctor says of a broken part; nothing else may be broken."""
    result = run("doctor")
    broken = [line for line in result.stdout.splitlines() if "│ BAD " in line]
    assert result.exit_code == (0 if bad is None else 1), result.output
    assert [line.split("│")[1].strip() for line in broken] == ([] if bad is None else [bad]), result.stdout
    return result.stdout


def batch_of_one(case: Path, folder: Path) -> None:
    assert "batch_size: 1" in problem("train", "tiny.yaml", "optimizer.batch_size=1", "--dry-run")
    assert document("train", "tiny.yaml", "optimizer.batch_size=2")["rows"]["train"]
    doctor()


def int_step(case: Path, folder: Path) -> None:
    for name, step in (("half", "0.5"), ("fraction", "2.5")):
        path = case / "int-step" / f"{name}.yaml"
        assert f"step {step} is not a whole number" in problem("sweep", path, "--dry-run")
    doctor()
    assert not (folder / "optuna.db").exists()


def long_names(case: Path, folder: Path) -> None:
    for field in ("tracking.experiment", "study.name", "name"):
        assert field in problem("sweep", "sweep.yaml", f"{field}={'x' * 600}", "--dry-run")
    doctor()


def optuna_schema(case: Path, folder: Path) -> None:
    open_or_create(load("sweep.yaml"), STORAGE)
    assert document("sweep", "sweep.yaml")["trials"] == 2
    with sqlite3.connect("optuna.db") as database:
        database.execute("update version_info set schema_version = 99")
        database.execute("update alembic_version set version_num = 'v9.0.0.a'")
    database.close()
    assert "pip install -U optuna" in problem("sweep", "sweep.yaml", "--dry-run")
    assert "pip install -U optuna" in doctor("study storage")


def storage_url_form(case: Path, folder: Path) -> None:
    open_or_create(load("sweep.yaml"), STORAGE)
    for address in (STORAGE, f"{STORAGE}?timeout=60", "sqlite+pysqlite:///optuna.db", f"sqlite:///{folder}/optuna.db"):
        changed = ("sweep", "sweep.yaml", "stage2.epochs=2", "--storage", address, "--dry-run")
        assert "exists with another search or experiment (different: stage2.epochs)" in problem(*changed)
        assert document("sweep", "sweep.yaml", "--storage", address)["trials"] == 2
    doctor()


def weights_of_torchvision(case: Path, folder: Path) -> None:
    state = torchvision.models.mobilenet_v3_small().state_dict()
    torch.save(state, "tv.pth")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, "dp.pth")
    for name in ("tv.pth", "dp.pth"):
        assert document("train", "tiny.yaml", f"model.weights={name}")["config"]["model"]["weights"] == name
    torch.save(torchvision.models.resnet18().state_dict(), "other.pth")
    assert "other.pth" in problem("train", "tiny.yaml", "model.weights=other.pth", "--dry-run")
    doctor()


def when_text_number(case: Path, folder: Path) -> None:
    for name, field, value in (("lr", "stage2.lr", 1e-3), ("quoted", "optimizer.batch_size", 16)):
        search = document("sweep", case / "when-text-number" / f"{name}.yaml", *OWN_DATA)["config"]["search"]
        assert search["model.dropout"]["when"] == {field: value}
        assert value in search[field]["choices"]
        assert type(search["model.dropout"]["when"][field]) is type(value)
    doctor()


def yaml_numbers(case: Path, folder: Path) -> None:
    texts = {
        "stage2: {epochs: 1:30}": "1:30", "seed: 010": "010", "model: {hidden: [0128, 064]}": "0128",
        "stage2: {epochs: yes}": "yes", "augment: {hflip: on}": "on",
    }  # fmt: skip
    for text, wanted in texts.items():
        (folder / "e.yaml").write_text(f"name: t\n{text}\n")
        assert wanted in problem("train", "e.yaml", "--dry-run")
    doctor()


def exif_rotation(case: Path, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for label in ("a", "b"):
        for number in range(8):
            path = folder / "films" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.radial_gradient("L").resize((64, 48 if number else 40)).rotate(number)
            path.write_bytes(encoded(picture, "JPEG", exif=exif))
    report = document("data", "import", "films", "--out", "films.npz", "--size", "28")
    assert report["sizes"] == {"48 × 64": 14, "40 × 64": 2}
    assert report["notes"] == {"turned upright by its EXIF orientation": 16}
    doctor()


CONVERTED = ("one_channel", "float01", "uint16", "onehot", "neglab", "floatlab", "nchw")
AS_THEY_ARE = ("ok", "rgb", "bool", "flatlab", "int64lab", "rect", "strlab", "notest")
OTHERS = {"three": "leave it out", "noval": "val_images", "othernames": "data import", "objlab": "astype(str)"}


def data_ways(case: Path, folder: Path) -> None:
    real = case.parent / "data" / "pneumoniamnist_28.npz"
    for script in ("make_data.py", "make_dcm.py"):
        made = start(case / "data-ways" / script, real, cwd=folder)
        assert made.returncode == 0, made.stderr
    for name in AS_THEY_ARE:
        rows = document("train", "tiny.yaml", f"data.path={name}.npz")["rows"]
        assert sum(rows["train"].values()) == 200
    for name in CONVERTED:
        line = problem("train", "tiny.yaml", f"data.path={name}.npz", *OWN_NAMES, "--dry-run")
        assert f"data import {folder / name}.npz --out {folder / name}-converted.npz --size 28" in line
        typed = shlex.split(line.partition("type: ")[2])[1:]
        assert sum(document(*typed)["counts"]["train"].values()) == 200
    assert "leave it out" in problem("train", "tiny.yaml", "data.path=onehot.npz", "--dry-run")
    for name, wanted in OTHERS.items():
        assert wanted in problem("train", "tiny.yaml", f"data.path={name}.npz", "--dry-run")
    for source in ("folder", "csv/labels.csv"):
        report = document("data", "import", source, "--out", "films.npz", "--size", "28")
        assert (report["rows"], report["counts"]["val"]) == (320, {"normal": 30, "pneumonia": 30})
    assert document("data", "import", "csv/labels.csv", "--out", "films.npz")["patients"]["train"] == 100
    assert "not in the folder of a class" in problem("data", "import", "dicom", "--out", "films.npz", "--dry-run")
    shutil.copytree("dicom", "films/a")
    shutil.copytree("dicom", "films/b")
    assert "the split test" in problem("data", "import", "films", "--out", "films.npz", "--dry-run")
    doctor()


RUNS: dict[str, Callable[[Path, Path], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        batch_of_one, int_step, long_names, optuna_schema, storage_url_form, weights_of_torchvision, when_text_number,
        yaml_numbers, exif_rotation, data_ways,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_case(case: Path, folder: Path, name: str) -> None:
    RUNS[name](case, folder)


def test_a_deleted_study_run(cases: Path, finished: Store, store: Store) -> None:
    """tests/faults/test_deleted_runs.py has the sweep that makes the run anew."""
    fields = experiment(finished.data, SEARCHED).resolved()
    Path("sweep.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    store.client.delete_run(store.study_run)
    assert document("sweep", "sweep.yaml")["trials"] == 0
    for command in (("compare", STUDY), ("promote", STUDY, "--dry-run")):
        assert f"mlflow runs restore --run-id {store.study_run}" in problem(*command)
    doctor()


def test_a_private_authority(
    case: Path, certificate: Path, mlflow_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client trusts it by a variable, and so does what asks the server before the client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server(certificate=certificate, environment={"HOME": HOME}).uri)
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in problem("sweep", "sweep.yaml", "--dry-run")
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in doctor("tracking store")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    assert document("sweep", "sweep.yaml")["trials"] == 2
    assert document("train", "tiny.yaml")["rows"]["train"]
    doctor()


def test_every_case_is_run(cases: Path) -> None:
    held = {entry.name for entry in os.scandir(cases) if entry.is_dir()}
    assert held == {*RUNS, "study-run-deleted", "tls-server"}
