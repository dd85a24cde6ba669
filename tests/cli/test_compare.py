"""What ``compare`` prints for people, and what for scripts."""

from __future__ import annotations

import ast
import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run, start

from mobilenet_chest.cli.compare import print_comparison
from mobilenet_chest.config import Config
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.selection.rows import REPORTED, Row
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

BASE = Row(
    "ours", "a" * 32, "run", "resnet50", 25_000_000, {"val_auc": 0.96, "val_accuracy": 0.9, "train_seconds": 60.0},
    "chestmnist 0123", {"speed_ratio": 1.0}, {"val_auc": Interval(0.96, 0.9312, 0.9777)}, best=True, tied=True,
)  # fmt: skip
OTHER = Row(
    "other", "b" * 32, "run", "mobilenet_v2", 3_000_000, {"val_auc": 0.95, "val_accuracy": 0.88},
    "chestmnist 0123", {"speed_ratio": 2.0, "val_auc": -0.01}, {"val_auc": Interval(0.95, 0.9188, 0.9712)},
    {"val_auc": PairedComparison(-0.01, -0.0212, 0.0034, 0.1234, 0.2468, "not inferior", True, 0.02)}, tied=True,
)  # fmt: skip
ELSEWHERE = Row(
    "elsewhere", "c" * 32, "run", "mobilenet_v2", 3_000_000, {"val_auc": 0.99}, "chestmnist 4567",
    {"speed_ratio": 0.5}, {}, comparable=False, reason="scored on other images than the baseline: 4567, not 0123",
)  # fmt: skip


def imported_by(*command: object, cwd: Path) -> list[str]:
    """Return which of the packages that take a second to import the command imports, in a process of its own."""
    slow = ("torch", "scipy.stats", "sklearn", "statsmodels", "matplotlib", "optuna")
    script = (
        "import sys\n"
        "from mobilenet_chest.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print([name for name in {slow} if name in sys.modules])\n"
    )
    result = start("-c", script, *command, cwd=cwd)
    assert result.returncode == 0, result.stderr
    names: list[str] = ast.literal_eval(result.stdout.splitlines()[-1])
    return names


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table in one part; ``test_tables.py`` has narrower ones."""
    monkeypatch.setenv("COLUMNS", "300")


def printed(
    capsys: pytest.CaptureFixture[str], rows: list[Row], metric: str | None = None, wide: bool = False
) -> list[str]:
    print_comparison(rows, metric, as_json=False, wide=wide)
    return capsys.readouterr().out.splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]


def test_figures_stand_with_their_intervals_and_ties_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, [BASE, OTHER])
    heading, first, second = (cells(lines[index]) for index in (1, 3, 4))
    assert heading == ["name", "model", "val AUC", "", "run"]
    assert first == ["ours", "resnet50", "0.9600 (0.931–0.978)", "best", "a" * 8]
    assert second == ["other", "mobilenet_v2", "0.9500 (0.919–0.971)", "tied", "b" * 8]
    assert [text.partition(":")[0] for text in lines[6:8]] == ["in brackets", "tied"]


def test_all_columns_are_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, [BASE, OTHER, REPORTED[0]], wide=True)
    heading, first, _, reported = (cells(lines[index]) for index in (1, 3, 4, 5))
    shown = dict(zip(heading, first, strict=True))
    assert (shown["val AUC"], shown["val accuracy"], shown["run"]) == ("0.9600 (0.931–0.978)", "0.9", "a" * 8)
    assert (shown["kind"], shown["parameters"], shown["training"]) == ("run", "25,000,000", "60 s")
    assert dict(zip(heading, reported, strict=True))["kind"] == "reported, not reproduced"


def test_stress_has_columns_where_a_row_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    stressed = replace(BASE, metrics=BASE.metrics | {"stress_auc_mean": 0.91, "heldout_stress_auc_mean": 0.88})
    lines = printed(capsys, [stressed, OTHER], wide=True)
    first, second = (dict(zip(cells(lines[1]), cells(lines[index]), strict=True)) for index in (3, 4))
    assert (first["stress AUC"], first["held-out stress AUC"]) == ("0.91", "0.88")
    assert (second["stress AUC"], "stress worst AUC" in second) == ("", False)


def test_reported_results_are_marked_and_have_their_accuracies(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, [BASE, REPORTED[0]])
    heading, first, reported = (cells(lines[index]) for index in (1, 3, 4))
    assert heading == ["name", "val AUC", "val accuracy", "TTA + threshold", "", "run"]
    assert first[1:3] == ["0.9600 (0.931–0.978)", "0.9"]
    assert reported == [REPORTED[0].name, "", "0.7475", "", "reported, not reproduced", ""]


def test_differences_stand_in_a_table_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, [BASE, OTHER, ELSEWHERE, *REPORTED], wide=True)
    (title,) = [index for index, text in enumerate(lines) if text == f"against ours, run {'a' * 8}"]
    table = [cells(lines[index]) for index in (title + 2, title + 4, title + 5)]
    assert table == [
        ["name", "run", "Δ AUC", "p", "", "Δ cross-fitted", "p", "", "speed ratio"],
        ["other", "b" * 8, "−0.0100 (−0.0212 to +0.0034)", "0.25", "not inferior within 0.02", "", "", "", "2"],
        ["elsewhere", "c" * 8, "", "", "", "", "", "", "0.5"],
    ]
    assert lines[-1] == (
        f"elsewhere, run {'c' * 8}, is not compared: scored on other images than the baseline: 4567, not 0123"
    )


def test_a_metric_that_was_asked_for_has_columns_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = PairedComparison(0.02, 0.0051, 0.0349, 0.004, 0.008, "worse", None)
    other = replace(
        OTHER,
        metrics=OTHER.metrics | {"val_brier": 0.09, "tta_gain": 0.005},
        intervals=OTHER.intervals | {"val_brier": Interval(0.09, 0.0712, 0.1149), "tta_gain": Interval(0, -0.01, 0.02)},
        differences=OTHER.differences | {"val_brier": drawn},
    )
    lines = printed(capsys, [BASE, other], "val_brier", wide=True)
    shown = dict(zip(cells(lines[1]), cells(lines[4]), strict=True))
    assert (shown["val_brier"], shown["TTA gain"]) == ("0.0900 (0.071–0.115)", "+0.0050 (−0.010 to +0.020)")
    (title,) = [index for index, text in enumerate(lines) if text.strip().startswith("against ours")]
    assert cells(lines[title + 2])[:8] == ["name", "run", "Δ val_brier", "p", "", "Δ AUC", "p", ""]
    assert cells(lines[title + 4])[2:5] == ["+0.0200 (+0.0051 to +0.0349)", "0.008", "worse"]


def test_unequal_choices_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = "chosen from 50 trials, the baseline from 1 trial: its metrics are optimistic"
    lines = printed(capsys, [BASE, replace(OTHER, selection=said)])
    assert lines[-1] == f"other, run {'b' * 8}: {said}"


def test_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([BASE, OTHER, ELSEWHERE], None, as_json=True)
    base, other, elsewhere = json.loads(capsys.readouterr().out)["rows"]
    assert base["intervals"] == {"val_auc": [0.9312, 0.9777]}
    assert (base["best"], base["tied"], base["comparable"], base["reason"]) == (True, True, True, None)
    assert other["differences"]["val_auc"] == {
        "value": -0.01, "low": -0.0212, "high": 0.0034, "p": 0.1234, "p_holm": 0.2468, "verdict": "not inferior",
        "not_inferior": True, "margin": 0.02,
    }  # fmt: skip
    assert (elsewhere["comparable"], elsewhere["reason"]) == (False, ELSEWHERE.reason)


def test_runs_against_one_of_them(tracking: Path, phantom_config: Callable[..., Config]) -> None:
    runs = [train(phantom_config({"seed": seed}), MlflowTracker(name=f"seed {seed}")).run_id for seed in (1, 2)]
    enabled = gc.isenabled()
    result = run("compare", "--baseline", str(runs[0]), "--margin", "0.05", "--json")
    assert result.exit_code == 0, result.output
    assert gc.isenabled() == enabled
    rows: list[dict[str, Any]] = json.loads(result.stdout)["rows"]
    assert [row["run_id"] for row in rows] == runs
    differences = rows[1]["differences"]
    assert set(differences) == {"val_auc", "val_accuracy_crossfit"}
    for metric, difference in differences.items():
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert difference["value"] == pytest.approx(rows[1]["metrics"][metric] - rows[0]["metrics"][metric], abs=1e-12)
        assert difference["not_inferior"] is (difference["verdict"] == "not inferior")
    assert f"against seed 1, run {str(runs[0])[:8]}" in run("compare", "--baseline", str(runs[0])).stdout
    assert imported_by("compare", "--baseline", runs[0], cwd=tracking) == []


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--margin", "0.01"), ["--margin 0.01", "--baseline"]),
        (("--margin", "2", "--baseline", "x"), ["--margin 2"]),
    ],
)
def test_a_margin_that_does_not_fit(tracking: Path, arguments: tuple[str, ...], names: list[str]) -> None:
    result = run("compare", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert all(name in result.stderr for name in names)
