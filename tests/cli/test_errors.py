"""One line and exit code 2 for wrong input, before anything is written."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from helpers.commands import Write, assert_refused, run

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.errors import DataError, MobilenetChestError, PromotionRefused, SealedError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MobilenetChestError("lost"), 1),
        (DataError("wrong"), 2),
        (PromotionRefused(["worse"]), 3),
        (SealedError("opened before"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, exit_codes():
        raise error
    captured = capsys.readouterr()
    assert (end.value.exit_code, captured.out, len(captured.err.splitlines())) == (code, "", 1)
    assert str(error) in captured.err


def test_any_other_error_is_a_mistake_of_ours() -> None:
    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError


def test_the_log_of_the_package_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with exit_codes():
        logging.getLogger("mobilenet_chest.sweep").info("trial 7 is queued again")
        logging.getLogger("mobilenet_chest.sweep").debug("not this")
        logging.getLogger("other").warning("nor this")
    assert capsys.readouterr().err == "trial 7 is queued again\n"


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
        ("none", "no row of 'train' is 'cardiomegaly'"),
        ("single", "no row of 'train' is 'pneumothorax'"),
    ],
)
def test_a_file_without_usable_rows(
    folder: Path, written: Write, damaged: dict[str, Path], command: str, kind: str, wants: str
) -> None:
    assert_refused(folder, command, written(), f"data.path={damaged[kind]}", wants=wants)
    assert_refused(folder, command, written(), f"data.path={damaged[kind]}", "--dry-run", wants=wants)


@pytest.mark.usefixtures("no_network")
def test_a_file_that_is_not_the_published_one(folder: Path, written: Write, tmp_path: Path, chest_file: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(chest_file, root / "chestmnist.npz")
    for command in ("train", "sweep"):
        line = assert_refused(
            folder, command, written(), "data.path=null", f"data.root={root}", wants="chestmnist.npz is not"
        )
        assert "md5 should be" in line


def test_a_tracking_server_that_does_not_answer(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hush@127.0.0.1:9")
    for command in (("train",), ("sweep",), ("train", "--dry-run"), ("sweep", "--dry-run")):
        line = assert_refused(
            folder, *command, written(), wants="no tracking server answers at http://ann:***@127.0.0.1:9"
        )
        assert "hush" not in line


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/sys takes no files, not even from root")
def test_a_folder_that_cannot_be_written(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir("/sys")
    for command, database in (("train", "mlflow.db"), ("sweep", "optuna.db")):
        for extra in ([], ["--dry-run"]):
            assert_refused(folder, command, path, *extra, wants=f"cannot write {database} in /sys")


def test_a_cache_that_cannot_be_written(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(folder / "file"))
    assert_refused(
        folder,
        "train",
        written(),
        wants="cannot be written (Not a directory); set MOBILENET_CHEST_CACHE to a folder that can",
    )


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
