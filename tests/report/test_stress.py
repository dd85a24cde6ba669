"""The part of the page about stressed copies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from mobilenet_chest.evaluation.stress import stress_metrics, stress_row
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Folded, Paragraph, Table
from mobilenet_chest.report.stress import stress

LABELS = np.array([0, 0, 1, 1], np.uint8)
LOGITS = np.array([-1.0, 2.0, 1.0, 3.0])


def run(metrics: dict[str, float], rows: tuple[dict[str, Any], ...]) -> RunDetails:
    details = SimpleNamespace(
        name="quick", metrics=metrics, images_scored="4 validation images", stress_rows=rows, classes=("well", "ill")
    )
    return cast(RunDetails, details)


def test_a_run_without_stress_has_no_such_part() -> None:
    assert stress(run({"val_auc": 0.9}, ())) == []


def test_both_halves_and_every_corruption() -> None:
    metrics = {
        "stress_auc_mean_low": 0.5,
        "stress_auc_mean_high": 0.8125,
        **stress_metrics("stress", LABELS, LOGITS[None], LOGITS),
        **stress_metrics("heldout_stress", LABELS, -LOGITS[None], LOGITS),
    }
    rows = [stress_row(LABELS, LOGITS, LOGITS, "clean", 0, "clean", False)]
    for name, family, held_out in (("jpeg", "compression", True), ("crop", "field", False)):
        rows += [stress_row(LABELS, LOGITS, LOGITS, name, severity, family, held_out) for severity in (1, 2)]
    summary, folded, few = stress(run(metrics, tuple(rows)))
    assert isinstance(few, Paragraph)  # four images promise nothing
    assert isinstance(summary, Table)
    assert [row[0] for row in summary.rows] == ["choosing", "held out"]
    assert [row[1] for row in summary.rows] == ["0.7500 (0.500–0.812)", "0.2500"]
    assert isinstance(folded, Folded)
    (table,) = folded.contents
    assert isinstance(table, Table)
    assert [row[:2] for row in table.rows] == [["jpeg", "compression, held out"], ["crop", "field"]]
    assert all(len(row) == len(table.headings) == 4 for row in table.rows)
    assert str(table.rows[0][2]).startswith("0.750 (0.")


def test_a_stopped_run_says_why_there_is_no_table() -> None:
    metrics = stress_metrics("stress", LABELS, LOGITS[None], LOGITS)
    summary, why = stress(run(metrics, ()))
    assert isinstance(summary, Table)
    assert isinstance(why, Paragraph)


def test_a_promise_that_a_shift_breaks_is_counted_and_named() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 100)
    clean = np.random.default_rng(0).normal(size=200) * 2 + np.where(labels == 1, 2.0, -2.0)
    metrics = stress_metrics("stress", labels, clean[None], clean)
    rows = [stress_row(labels, clean, clean, "clean", 0, "clean", False)]
    for name, shift in (("gamma", 1.0), ("jpeg", 0.0)):
        rows += [stress_row(labels, clean + shift * (severity - 1), clean, name, severity, "tone", False)
                 for severity in (1, 2, 3)]  # fmt: skip
    *_, table, folded = stress(run(metrics, tuple(rows)))
    assert isinstance(table, Table)
    assert table.headings[:4] == ["severity", "well kept, mean", "well kept, least", "well broken"]
    assert [row[3] for row in table.rows] == ["0 of 2", "1 of 2", "1 of 2"]
    assert [row[6] for row in table.rows] == ["0 of 2"] * 3
    least = min((row for row in rows if row["severity"] == 3), key=lambda row: row["kept_0"])
    assert str(table.rows[2][2]).startswith(f"{least['kept_0']:.3f} (")
    assert str(table.rows[2][2]).endswith(", gamma")
    assert isinstance(folded, Folded)
    (every,) = folded.contents
    assert isinstance(every, Table)
    assert [row[0] for row in every.rows] == ["gamma", "jpeg"]
    assert "broken for 0;" in str(every.rows[0][4])
    assert all("broken" not in str(cell) for cell in every.rows[1])
