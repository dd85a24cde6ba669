"""``ablate``: its table, and options that do not fit together."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import Write, assert_one_line, run

from mobilenet_chest.cli import ablate as module
from mobilenet_chest.combine.ablate import ABLATION_METRICS, STRESS_METRICS, AblationRow, MeanDifference

METRICS = dict.fromkeys(ABLATION_METRICS, 0.95)
BASELINE = AblationRow({}, METRICS, {}, 1.0, ("a", "b"))


def choice(difference: MeanDifference) -> AblationRow:
    return AblationRow({"stage2.ema": 0.5}, METRICS, dict.fromkeys(ABLATION_METRICS, difference), 1.25, ("c", "d"))


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[0] == "│"]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[AblationRow]:
    """What the trainings are said to give, in a wide terminal."""
    given = [BASELINE]
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(module.ablation, "ablate", lambda *arguments: given)
    return given


def test_differences_have_their_intervals(folder: Path, written: Write, engine: list[AblationRow]) -> None:
    engine.append(choice(MeanDifference(-0.01, -0.02, 0.005, (-0.02, 0.0))))
    result = run("ablate", written(), "--over", "stage2.ema=0.5", "--seeds", "2")
    first, second = rows(result.stdout)
    assert first[1:] == ["0.9500", "", "", "", "1.00"]
    assert second[1:] == ["0.9500", *["−0.0100 (−0.0200 to +0.0050)"] * 3, "1.25"]
    assert "stage2.ema" in second[0]


def test_stress_metrics_have_columns_of_their_own(folder: Path, written: Write, engine: list[AblationRow]) -> None:
    stress = dict.fromkeys(STRESS_METRICS, 0.8)
    engine[0] = replace(BASELINE, metrics=METRICS | stress)
    plain = choice(MeanDifference(-0.01, -0.02, 0.005, (-0.02, 0.0)))
    gained = dict.fromkeys(STRESS_METRICS, MeanDifference(0.05, 0.04, 0.06, (0.05, 0.05)))
    engine.append(replace(plain, metrics=METRICS | stress, differences={**plain.differences, **gained}))
    _, second = rows(run("ablate", written(), "--over", "stage2.ema=0.5", "--seeds", "2").stdout)
    assert second[5:] == [*["+0.0500 (+0.0400 to +0.0600)"] * 2, "1.25"]


def test_a_single_pair_has_no_interval(folder: Path, written: Write, engine: list[AblationRow]) -> None:
    engine.append(choice(MeanDifference(0.01, math.nan, math.nan, (0.01,))))
    arguments = ("ablate", written(), "--over", "stage2.ema=0.5", "--seeds", "1")
    assert rows(run(*arguments).stdout)[1][2] == "+0.0100"
    document = json.loads(run(*arguments, "--json").stdout)["rows"]
    assert document[1]["differences"]["val_auc"] == {"mean": 0.01, "low": None, "high": None, "each": [0.01]}


@pytest.mark.parametrize(
    ("over", "more", "names"),
    [
        ("augment.mixupp", [], "'augment.mixup'"),
        ("stage2.ema", ["--seeds", "2", "--folds", "2"], "--seeds and --folds"),
        ("seed=3", [], "seed"),
        ("stage2.ema=2", [], "stage2.ema"),
    ],
)
def test_choices_that_cannot_be(tracking: Path, written: Write, over: str, more: list[str], names: str) -> None:
    assert_one_line("ablate", written(), "--over", over, *more, wants=names)
