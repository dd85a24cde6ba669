"""``baselines``: its table, and arguments that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import Write, assert_one_line, run

from mobilenet_chest.cli import baselines as module
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.selection.compare import REPORTED, Row

OURS = Row(
    "ours", "a" * 32, "run", "resnet50", 25_000_000,
    {"val_auc": 0.96, "train_seconds": 60.0, "latency_1_ms": 12.5, "latency_64_ms": 250.0},
    "chestmnist 0123", {"speed_ratio": 2.0}, {"val_auc": Interval(0.96, 0.9312, 0.9777)},
)  # fmt: skip


def test_a_row_for_each_model(folder: Path, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(module, "train_all", lambda configs, ensembles, display: [OURS, REPORTED[0]])
    lines = [line for line in run("baselines", written()).stdout.splitlines() if line.startswith("│")]
    ours, reported = ([cell.strip() for cell in line.strip("│").split("│")] for line in lines)
    assert ours == [
        "ours", "run", "resnet50", "25,000,000", "", "", "0.9600 (0.931–0.978)", "60 s", "2", "12.5", "250"
    ]  # fmt: skip
    assert reported[:2] == [REPORTED[0].name, "reported, not reproduced"]
    first, _ = json.loads(run("baselines", written(), "--json").stdout)["rows"]
    assert (first["run_id"], first["intervals"]) == ("a" * 32, {"val_auc": [0.9312, 0.9777]})


def test_without_files_the_reports_table_is_trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], dict[str, int]]] = []

    def train_all(configs: list[object], ensembles: dict[str, int], display: object) -> list[Row]:
        asked.append(([config.model.name for config in configs], ensembles))  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(module, "train_all", train_all)
    assert run("baselines", "--json").exit_code == 0
    ((models, ensembles),) = asked
    assert models[0] == "mobilenet_v3_large"
    assert {"densenet121", "resnet50"} <= set(models)
    assert ensembles == {"densenet121": 5}


@pytest.mark.parametrize("text", ["densenet121", "densenet121=1", "densenet121=x"])
def test_an_ensemble_is_a_model_and_a_number(tracking: Path, written: Write, text: str) -> None:
    assert_one_line("baselines", written(), "--ensemble", text, wants=f"--ensemble {text}")


def test_what_is_not_there(tracking: Path, written: Write) -> None:
    assert_one_line("baselines", "none.yaml", wants="none.yaml")
    assert_one_line("baselines", written(), "--ensemble", "densenet121=5", wants="densenet121")
