"""``train`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.commands import ROOT, Write, contents, run, start


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


def test_a_diverged_training_is_exit_code_1(tracking: Path, written: Write) -> None:
    result = run("train", written(), "--json", "stage1.epochs=0", "stage2.lr=1e30")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "train_loss is " in result.stderr.splitlines()[-1]


def test_train_py_says_what_is_wrong_in_one_line(folder: Path, written: Write) -> None:
    result = start(ROOT / "train.py", written(), "data.image_size=0", cwd=folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == ("command line: data.image_size: must be greater than or equal to 16, not 0\n")
    assert contents(folder) == {}
