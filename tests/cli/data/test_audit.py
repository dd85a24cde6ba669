"""``data audit``, and what dry runs and runs say of the rows that ``data.drop_duplicates`` leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.commands import run

from mobilenet_chest.data import phantom


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on phantom rows; two of train stand in val, one of train in test."""
    folder = tmp_path_factory.mktemp("copied")
    arrays = phantom.generate(32, {"train": 80, "val": 40, "test": 40})
    single = {
        split: np.flatnonzero((labels.sum(1) == 1) & labels[:, [1, 7]].any(1))
        for split, labels in ((split, arrays[f"{split}_labels"]) for split in ("train", "val", "test"))
    }
    for train, split, other in ((0, "val", 3), (1, "val", 5), (2, "test", 4)):
        for kind in ("images", "labels"):
            arrays[f"train_{kind}"][single["train"][train]] = arrays[f"{split}_{kind}"][single[split][other]]
    np.savez(folder / "chest.npz", **arrays)  # type: ignore[arg-type]
    fields: dict[str, Any] = {
        "name": "copied",
        "device": "cpu",
        "data": {
            "dataset": "chestmnist",
            "classes": ["cardiomegaly", "pneumothorax"],
            "path": str(folder / "chest.npz"),
            "image_size": 32,
        },
        "model": {"weights": "none", "hidden": []},
        "stage1": {"epochs": 1},
        "stage2": {"epochs": 0},
    }
    path = folder / "copied.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


# --- drop_duplicates -----------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_is_left_out(copied: Path, tracking: Path) -> None:
    plain = json.loads(run("train", copied, "--dry-run", "--json").stdout)
    result = run("train", copied, "data.drop_duplicates=true", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert "dropped_duplicates" not in plain
    assert document["dropped_duplicates"] == 2  # that of test is not looked for: training never reads test
    assert sum(plain["rows"]["train"].values()) - sum(document["rows"]["train"].values()) == 2
    assert plain["rows"]["val"] == document["rows"]["val"]
    text = run("train", copied, "data.drop_duplicates=true", "--dry-run").stdout
    assert "left out of train as duplicates: 2" in text.splitlines()


def test_a_run_records_what_was_left_out(copied: Path, tracking: Path) -> None:
    result = run("train", copied, "data.drop_duplicates=true", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["metrics"]["dropped_duplicates"] == 2


# --- data audit ----------------------------------------------------------------------------------------------------


def test_an_audit_in_json(copied: Path) -> None:
    result = run("data", "audit", copied, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [[image["split"] for image in group] for group in document["exact_copies"]] == [
        ["train", "val"], ["train", "val"], ["train", "test"]
    ]  # fmt: skip
    assert document["near_copies"] == []
    assert document["splits"]["val"]["rows"] == {"cardiomegaly": 11, "pneumothorax": 23}
    assert [finding["severity"] for finding in document["findings"]] == ["serious", "serious", "note", "note"]


def test_an_audit_for_people(copied: Path) -> None:
    result = run("data", "audit", copied)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    at = lines.index("serious: 2 images of val are in train as well, pixel for pixel (2 rows there)")
    assert [line.startswith("  train ") for line in lines[at + 1 : at + 4]] == [True, True, False]
    assert "note: data.drop_duplicates=true leaves 2 rows of train out" in lines
    assert "no problems found in these data" not in lines


def test_an_audit_without_an_experiment(copied: Path) -> None:
    classes, path = "data.classes=[cardiomegaly, pneumothorax]", f"data.path={copied.with_name('chest.npz')}"
    result = run("data", "audit", classes, path, "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["exact_copies"]) == 3


def test_patients_from_a_table(copied: Path, tmp_path: Path) -> None:
    lines = [
        f"{split},{row},{row}" for split, count in (("train", 80), ("val", 40), ("test", 40)) for row in range(count)
    ]
    (tmp_path / "people.csv").write_text("\n".join(["split,row,patient", *lines]), encoding="utf-8")
    result = run("data", "audit", copied, "--groups-from", tmp_path / "people.csv", "--json")
    assert result.exit_code == 0, result.output
    assert [shared["splits"] for shared in json.loads(result.stdout)["patients_shared"]] == [
        ["train", "val"], ["train", "test"], ["val", "test"]
    ]  # fmt: skip


def test_long_lists_are_cut_short_for_people(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (12, 20, 20), np.uint8)
    labels = np.arange(12)[:, None].astype(np.uint8) % 2
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=labels, val_images=images, val_labels=labels)
    lines = run("data", "audit", "data.dataset=pneumoniamnist", f"data.path={tmp_path / 'own.npz'}").stdout.splitlines()
    at = lines.index("serious: 12 images of val are in train as well, pixel for pixel (12 rows there)")
    assert lines[at + 6] == "  and 7 more; --json has all"


@pytest.mark.parametrize(
    ("arguments", "wants"),
    [
        (["a.yaml", "b.yaml"], "one experiment file is audited at a time, not 2: a.yaml, b.yaml"),
        (["no.yaml"], "no.yaml: no such experiment file"),
        (["data.datset=phantom"], "command line: data.datset: unknown key; did you mean 'dataset'?"),
        (["data.dataset=pneumoniamnist", "data.path=/no/file.npz"], "/no/file.npz does not exist; set data.path"),
        (["data.dataset=phantom"], "phantom has 14 labels; set data.classes"),
    ],
)
def test_wrong_input(arguments: list[str], wants: str) -> None:
    result = run("data", "audit", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert wants in result.stderr
    assert len(result.stderr.splitlines()) == 1
