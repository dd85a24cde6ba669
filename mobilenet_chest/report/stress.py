"""What corruptions cost a run: its AUC under each of them, at each severity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.config.metrics import label
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Cell, Element, Folded, Paragraph, Table

SUMMARY = ("auc_mean", "auc_worst", "accuracy_mean", "auc_loss", "accuracy_loss")
"""Metrics of both halves, without their prefixes."""


def stress(run: RunDetails) -> list[Element]:
    """Return the summary of both halves of the families and, where the run has it, the table of all corruptions.

    It is empty for a run without stressed validation.
    """
    metrics = run.metrics
    if "stress_auc_mean" not in metrics:
        return []
    # the names of the held-out half are the same with "heldout_" before them
    headings: list[Cell] = ["families", *(label(f"stress_{name}").removeprefix("stress ") for name in SUMMARY)]
    halves = (("choosing", "stress"), ("held out", "heldout_stress"))
    rows: list[list[Cell]] = [
        [half, *(number(metrics.get(f"{prefix}_{name}"), 4) for name in SUMMARY)] for half, prefix in halves
    ]
    caption = f"Stressed copies of the {run.images_scored} of {run.name}, without TTA. Held-out families chose nothing."
    elements: list[Element] = [Table("stress-summary", caption, headings, rows)]
    if not run.stress_rows:
        return [
            *elements,
            Paragraph(
                "No table of single corruptions: pruned, of folds, or with evaluation.stress.table: false.",
                "soft",
            ),
        ]
    return [*elements, Folded("AUC under each corruption", [_by_corruption(run, run.stress_rows)])]


def _by_corruption(run: RunDetails, stored: Sequence[dict[str, Any]]) -> Table:
    severities = sorted({row["severity"] for row in stored if row["severity"]})
    cells = {(row["corruption"], row["severity"]): row for row in stored}
    clean = _auc(cells["clean", 0])
    rows: list[list[Cell]] = [
        [
            name,
            f"{row['family']}{', held out' if row['held_out'] else ''}",
            *(_auc(cells[name, severity]) for severity in severities),
        ]
        for (name, severity), row in cells.items()
        if severity == severities[0]
    ]
    caption = f"AUC of {run.name} by severity; clean images: {clean}. In brackets: 95% intervals (DeLong)."
    return Table("stress-corruptions", caption, ["corruption", "family", *map(str, severities)], rows, text_columns=2)


def _auc(row: dict[str, Any]) -> str:
    return with_interval(row["auc"], Interval(row["auc"], row["auc_low"], row["auc_high"]), digits=3)
