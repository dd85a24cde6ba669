"""What scripts and people get from the commands: documents, exit codes, one line for every wrong input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.data.dataset import load_train_val

ROOT = Path(__file__).parents[1]
SEARCH = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _fresh_data_cache() -> Iterator[None]:
    yield
    load_train_val.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in which a tracking store would be made."""
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here / 'mlflow.db'}")
    return here


@pytest.fixture
def written(tmp_path: Path, chest_file: Path) -> Write:
    """Writes a tiny experiment, with fields replaced, outside the working folder; returns its path."""

    def write(name: str = "tiny.yaml", **changed: Any) -> Path:
        fields: dict[str, Any] = {
            "name": "tiny",
            "seed": 7,
            "device": "cpu",
            "data": {
                "dataset": "chestmnist",
                "classes": ["cardiomegaly", "pneumothorax"],
                "path": str(chest_file),
                "image_size": 32,
            },
            "model": {"weights": "none", "hidden": [8]},
            "optimizer": {"batch_size": 16},
            "stage1": {"epochs": 1},
            "stage2": {"epochs": 1, "lr": 1e-3},
            "search": SEARCH,
            "study": {"trials": 2, "pruner": "none"},
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(fields | changed), encoding="utf-8")
        return path

    return write


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, *arguments: str | Path, wants: str) -> str:
    """The one line that a wrong input gives; nothing may have been written."""
    before = contents(folder)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert wants in lines[0]
    assert contents(folder) == before
    return lines[0]


# --- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize(
    ("override", "wants"),
    [
        ("modle.name=densenet121", "command line: modle: unknown key; did you mean 'model'?"),
        ("stage2.lrr=1", "command line: stage2.lrr: unknown key; did you mean 'lr'?"),
        ("study.metric=val_acu", "unknown metric 'val_acu'; did you mean 'val_auc'?"),
        ("data.classes=[cardiomegly, pneumothorax]", "no label 'cardiomegly'; did you mean 'cardiomegaly'?"),
        ("search.stage2.lr={low: 1, high: 0.1}", "search.stage2.lr: low 1 is greater than high 0.1"),
        ("data.image_size=0", "command line: data.image_size: input should be greater than or equal to 16, not 0"),
        ("data.path=none.npz", "none.npz"),
        ("model.weights=none.pt", "none.pt"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, written: Write, command: str, override: str, wants: str) -> None:
    refused(folder, command, written(), override, wants=wants)


def test_an_unknown_key_in_the_file_names_the_file(folder: Path, written: Write) -> None:
    path = written(augmnt={"hflip": 0.1})
    line = refused(folder, "train", path, wants="augmnt: unknown key; did you mean 'augment'?")
    assert line.startswith(f"{path}: ")


def test_experiments_are_counted(folder: Path, written: Write) -> None:
    one, two = written("one.yaml"), written("two.yaml")
    refused(folder, "sweep", one, two, wants="one experiment file is needed, not 2: ")
    refused(folder, "train", one, two, wants="one experiment file is needed, not 2: ")
    refused(folder, "train", wants="one experiment file is needed, not 0")
    refused(folder, "train", "stage2.lr=1", wants="one experiment file is needed, not 0")
    for command in ("train", "sweep"):
        refused(folder, command, folder / "none.yaml", wants="none.yaml: no such experiment file")


@pytest.mark.parametrize("timeout", ["soon", "2", "h", "-1h", "2 h", "1e3s", "2w", ""])
def test_a_timeout_is_a_number_and_a_unit(folder: Path, written: Write, timeout: str) -> None:
    refused(folder, "sweep", written(), f"--timeout={timeout}", wants=f"--timeout {timeout}: ")


@pytest.fixture
def damaged(tmp_path: Path, chest_file: Path) -> dict[str, Path]:
    """Files that hold no usable rows, each in its own way."""
    with np.load(chest_file) as arrays:
        good = dict(arrays)
    whole = chest_file.read_bytes()
    made = {name: tmp_path / f"{name}.npz" for name in ("truncated", "objects", "none", "single", "text")}
    made["truncated"].write_bytes(whole[: len(whole) // 2])
    made["text"].write_text("no archive at all")
    objects = np.array([{"a": 1}] * len(good["train_labels"]), dtype=object)
    np.savez(made["objects"], **good | {"train_labels": objects})
    nothing = {f"{split}_labels": np.zeros_like(good[f"{split}_labels"]) for split in ("train", "val", "test")}
    np.savez(made["none"], **good | nothing)
    for labels in nothing.values():
        labels[:, 1] = 1
    np.savez(made["single"], **good | nothing)
    return made


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize(
    ("kind", "wants"),
    [
        ("truncated", "truncated.npz"),
        ("text", "text.npz"),
        ("objects", "'train_labels'"),
        ("none", "no row of 'train' is 'cardiomegaly' alone"),
        ("single", "no row of 'train' is 'pneumothorax' alone"),
    ],
)
def test_a_file_without_usable_rows(
    folder: Path, written: Write, damaged: dict[str, Path], command: str, kind: str, wants: str
) -> None:
    refused(folder, command, written(), f"data.path={damaged[kind]}", wants=wants)
    refused(folder, command, written(), f"data.path={damaged[kind]}", "--dry-run", wants=wants)


@pytest.mark.usefixtures("no_network")
def test_a_file_that_is_not_the_published_one(folder: Path, written: Write, tmp_path: Path, chest_file: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(chest_file, root / "chestmnist.npz")
    for command in ("train", "sweep"):
        line = refused(folder, command, written(), "data.path=null", f"data.root={root}", wants="chestmnist.npz is not")
        assert "md5 should be" in line


def test_a_tracking_server_that_does_not_answer(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hush@127.0.0.1:9")
    for command in (("train",), ("sweep",), ("train", "--dry-run"), ("sweep", "--dry-run")):
        line = refused(folder, *command, written(), wants="no tracking server answers at http://ann:***@127.0.0.1:9")
        assert "hush" not in line


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys takes no files, not even from root")
def test_a_folder_that_cannot_be_written(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir("/sys")
    for command, database in (("train", "mlflow.db"), ("sweep", "optuna.db")):
        for extra in ([], ["--dry-run"]):
            refused(folder, command, path, *extra, wants=f"cannot write {database} in /sys")


def test_a_storage_that_cannot_be_used(folder: Path, written: Write) -> None:
    for storage, wants in (
        ("mysql://ann:hush@127.0.0.1/x", "mysql://ann:***@127.0.0.1/x: trials can be claimed safely in"),
        ("optuna.db", "--storage optuna.db: not a database address"),
        (f"sqlite:///{folder / 'none' / 'optuna.db'}", "cannot write optuna.db"),
    ):
        refused(folder, "sweep", written(), "--storage", storage, wants=wants)


def test_a_study_of_another_search(folder: Path, written: Write) -> None:
    storage = optuna.storages.RDBStorage("sqlite:///optuna.db")
    optuna.create_study(study_name="tiny", storage=storage)
    optuna.create_study(study_name="other", storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    (folder / "optuna.db.lock").touch()
    refused(folder, "sweep", written(), wants="study 'tiny' exists with another search or experiment (different: ")
    refused(folder, "sweep", written(), "--study", "other", "--dry-run", wants="study 'other' exists with another")


def test_nothing_to_search(folder: Path, written: Write) -> None:
    refused(folder, "sweep", written(search={}), wants="tiny: nothing to search; add a search section, or use train.py")


@pytest.mark.parametrize("arguments", [("--trials", "0"), ("--workers", "0"), ("--trials", "many"), ("--nonsense",)])
def test_a_wrong_option(folder: Path, written: Write, arguments: tuple[str, ...]) -> None:
    result = run("sweep", written(), *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert arguments[0] in result.stderr
    assert contents(folder) == {}


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_commands_about_what_is_not_there(tracking: Path) -> None:
    for arguments in (
        ("evaluate", "none", "--split", "val"),
        ("compare", "none"),
        ("predict", "models:/none@champion", "none.npz", "--out", "none.csv"),
        ("data", "info", "chestmnst"),
        ("data", "info", "none.npz"),
        ("data", "fetch", "phantom"),
        ("data", "phantom", "--out", "none.txt"),
    ):
        result = run(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), (arguments, result.output)
        assert result.stdout == ""
    assert not (tracking / "none.csv").exists()


# MLflow's own remark on a model class without type hints, made when it is imported
@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_promoting_what_is_not_there(tracking: Path) -> None:
    result = run("promote", "none")
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "'none'" in result.stderr


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_combining_what_cannot_be_combined(tracking: Path, written: Write) -> None:
    file = written()
    for arguments, words in (
        (("ensemble", file), "an experiment file needs --seeds N or --folds N"),
        (("ensemble", file, "--seeds", "2", "--folds", "2"), "--seeds, --folds and --top exclude each other"),
        (("ensemble", file, file, "--seeds", "2"), "one experiment file is needed, not 2"),
        (("ensemble", file, "--folds", "40"), "data.folds: 40, but class 0 has"),
        (("ensemble", "none"), "no run, study or experiment 'none'"),
        (("ensemble", "none", "--top", "3"), "no study 'none'"),
        (("ensemble", "one", "two", "--top", "3"), "--top takes one study, not 2: one, two"),
        (("soup", "none"), "no run, study or experiment 'none'"),
        (("distill", file, "--teacher", "none"), "no run, study or experiment 'none'"),
        (("ablate", file, "--over", "augment.mixupp"), "did you mean 'augment.mixup'?"),
        (("ablate", file, "--over", "stage2.ema", "--seeds", "2", "--folds", "2"), "exclude each other"),
        (("ablate", file, "--over", "seed=3"), "runs on other rows or seeds have no pairs"),
        (("ablate", file, "--over", "stage2.ema=2"), "less than 1"),
        (("baselines", file, "--ensemble", "densenet121"), "a model and a number from 2 on"),
        (("baselines", file, "--ensemble", "densenet121=5"), "none of the experiments is of it"),
        (("baselines", "none.yaml"), "none.yaml: no such experiment file"),
        (("train", file, "loss.distill_weight=0.5"), "but there is no teacher"),
    ):
        result = run(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), (arguments, result.output)
        assert words in result.stderr
        assert result.stdout == ""
    assert not (tracking / "mlruns").exists()


# --- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_dry_run_writes_nothing(folder: Path, written: Write, command: str) -> None:
    path = written()
    result = run(command, path, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["rows"] == {
        "train": {"cardiomegaly": 22, "pneumothorax": 46},
        "val": {"cardiomegaly": 11, "pneumothorax": 23},
    }
    assert document["config"]["stage2"]["lr"] == 1e-3
    # 960 features, 8 hidden units, one logit
    assert document["parameters_stage1"] == 960 * 8 + 8 + 8 + 1
    assert document["parameters"] == 5_022_225 - 2_050_561 + document["parameters_stage1"]
    assert document.get("trials") == {"train": None, "sweep": 2}[command]
    assert contents(folder) == {}
    assert "confirmations" not in document
    text = run(command, path, "stage2.lr=2e-3", "--dry-run")
    assert text.exit_code == 0
    assert "train: 22 cardiomegaly, 46 pneumothorax" in text.stdout.splitlines()
    assert ("trials to come: 2 of 2" in text.stdout) == (command == "sweep")
    assert contents(folder) == {}


def test_a_dry_run_counts_what_a_confirmation_trains(folder: Path, written: Write) -> None:
    arguments = ("sweep", written(), "study.confirm={top: 3, seeds: 4}", "--dry-run")
    # of two trials, three cannot lead
    assert json.loads(run(*arguments, "--json").stdout)["confirmations"] == 8
    lines = run(*arguments).stdout.splitlines()
    assert lines[-1].endswith(": 8 (up to 3 trials, 4 new seeds each)")
    assert contents(folder) == {}


def test_a_training_in_json(tracking: Path, written: Write) -> None:
    result = run("train", written(), "--json", "stage2.lr=2e-3")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert set(document) == {"run_id", "status", "metrics", "intervals"}
    low, high = document["intervals"]["val_auc"]
    assert low <= document["metrics"]["val_auc"] <= high
    assert document["status"] == "finished"
    assert {"best_epoch", "threshold", "val_auc", "val_accuracy_crossfit", "train_seconds"} <= set(document["metrics"])
    assert [line.split("  ")[0] for line in result.stderr.splitlines() if line.startswith("epoch")] == [
        "epoch 1/2 stage 1",
        "epoch 2/2 stage 2",
    ]
    compared = run("compare", document["run_id"], "--json")
    (row,) = json.loads(compared.stdout)["rows"]
    assert {"name", "run_id", "kind", "model", "parameters", "metrics"} <= set(row)
    assert (row["run_id"], row["kind"], row["model"]) == (document["run_id"], "run", "mobilenet_v3_large")
    assert row["metrics"]["val_auc"] == document["metrics"]["val_auc"]


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_combinations_in_json(tracking: Path, written: Write) -> None:
    file = written(model={"name": "mobilenet_v3_small", "weights": "none", "hidden": [8]})

    def document(*arguments: str | Path) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    ensemble = document("ensemble", file, "--seeds", "2")
    assert set(ensemble) == {"run_id", "members", "metrics", "intervals"}
    assert len(ensemble["members"]) == 2
    rows = document("ablate", file, "--over", "stage2.ema=0.5", "--seeds", "2")["rows"]
    assert rows[0]["run_ids"] == ensemble["members"]  # trained once
    assert set(rows[1]["differences"]["val_auc"]) == {"mean", "low", "high", "each"}
    student = document("distill", file, "--teacher", ensemble["run_id"])
    assert student["teacher"] == ensemble["run_id"]
    soup = document("soup", ensemble["members"][0])
    assert soup["members"] == [ensemble["members"][0]]
    table = document("baselines", file)["rows"]
    assert table[0]["run_id"] == ensemble["members"][0]
    assert {"latency_1_ms", "latency_64_ms"} <= set(table[0]["metrics"])
    known = {row["run_id"] for row in document("compare")["rows"]}
    assert {ensemble["run_id"], soup["run_id"], student["run_id"], *rows[1]["run_ids"]} <= known
    assert "Δ val AUC" in run("ablate", file, "--over", "stage2.ema=0.5", "--seeds", "2").stdout


def test_a_diverged_training_is_exit_code_1(tracking: Path, written: Write) -> None:
    result = run("train", written(), "--json", "stage1.epochs=0", "stage2.lr=1e30")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "train_loss is " in result.stderr.splitlines()[-1]


def test_the_schema_is_json_schema() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)["properties"]) >= {"name", "data", "search", "study", "stage2"}


def test_data_commands(folder: Path) -> None:
    made = run("data", "phantom", "--out", "small.npz", "--size", "16")
    assert (made.exit_code, made.stdout) == (0, "small.npz\n")
    told = run("data", "info", "small.npz")
    assert [line.split(",")[0] for line in told.stdout.splitlines()] == [
        "train: 1200 rows",
        "val: 320 rows",
        "test: 400 rows",
    ]
    assert run("data", "info", "phantom").stdout.startswith("phantom: gray, multi-label, binary-class")


# --- real processes ------------------------------------------------------------------------------------------------


def test_cache_commands(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mobilenet_chest import cache

    def make(place: Path) -> dict[str, int]:
        cache.write(place / "bytes", [b"x" * 2_500_000])
        return {}

    assert run("cache", "ls").stdout.startswith("0 of 10000 MB used in ")
    cache.cached("features", "three images", {}, make, lambda place, known: None)
    listed = run("cache", "ls").stdout
    assert "three images" in listed
    assert "2.5" in listed
    assert "2 of 10000 MB used" in listed
    assert run("cache", "clear").stdout == "2 MB freed\n"
    assert run("cache", "clear").stdout == "0 MB freed\n"
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")
    assert run("cache", "ls").stdout == "the cache is off (MOBILENET_CHEST_CACHE=off)\n"
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(tmp_path))
    monkeypatch.setenv("MOBILENET_CHEST_CACHE_GB", "x")
    refusal = run("cache", "ls")
    assert refusal.exit_code == 2
    assert (
        refusal.stderr == "MOBILENET_CHEST_CACHE_GB: 'x' is not a number above 0; set the cache's size in gigabytes\n"
    )


def test_a_cache_that_cannot_be_written(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(folder / "file"))
    refused(
        folder,
        "train",
        written(),
        wants="cannot be written (Not a directory); set MOBILENET_CHEST_CACHE to a folder that can",
    )


def start(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow  # three interpreters that import torch, MLflow and Optuna, one after the other
def test_sweep_py_prints_one_document_and_goes_on(tracking: Path, written: Write) -> None:
    path = written()
    first = start(ROOT / "sweep.py", path, "--json", "--trials", "1", cwd=tracking)
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert {"study", "run_id", "trials", "best"} <= set(document)
    (trial,) = document["trials"]
    assert {"number", "state", "value", "run_id", "params"} <= set(trial)
    assert (document["study"], trial["number"], trial["state"]) == ("tiny", 0, "COMPLETE")
    assert list(trial["params"]) == ["stage2.lr"]
    assert document["best"] == {key: trial[key] for key in ("number", "value", "run_id", "params")}
    assert "Traceback" not in first.stderr
    # nothing is left to do: the same document again, from another front door
    again = start("-m", "mobilenet_chest", "sweep", path, "--json", "--trials", "1", cwd=tracking)
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_train_py_says_what_is_wrong_in_one_line(folder: Path, written: Write) -> None:
    result = start(ROOT / "train.py", written(), "data.image_size=0", cwd=folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == ("command line: data.image_size: input should be greater than or equal to 16, not 0\n")
    assert contents(folder) == {}


@pytest.mark.parametrize(
    "command",
    ["", "sweep", "train", "compare", "report", "promote", "evaluate", "predict", "schema", "doctor", "repair", "data",
     "data info", "data fetch", "data phantom", "sweep.py", "train.py"],
)  # fmt: skip
def test_help_answers_at_once(folder: Path, command: str) -> None:
    front = [ROOT / command] if command.endswith(".py") else ["-m", "mobilenet_chest", *command.split()]
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        result = start(*front, "--help", cwd=folder)
        best = min(best, time.perf_counter() - started)
        assert (result.returncode, result.stderr) == (0, "")
        assert "Usage: " in result.stdout
        if best < 0.5:
            break
    assert best < 0.5
