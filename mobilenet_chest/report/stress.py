"""What corruptions cost a run: its AUC, and what becomes of its abstention, under each of them at each severity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.config.metrics import label
from mobilenet_chest.evaluation.intervals import Interval, logged_intervals
from mobilenet_chest.evaluation.stress import FIGURES
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Cell, Element, Folded, Paragraph, Table

KEPT = ("kept, mean", "kept, least", "broken")
"""Columns of a class in the table of abstention."""


def stress(run: RunDetails) -> list[Element]:
    """Return the summary of both halves of the families and, where the run has it, the table of all corruptions.

    It is empty for a run without stressed validation.
    """
    metrics, ends = run.metrics, logged_intervals(run.metrics)
    if "stress_auc_mean" not in metrics:
        return []
    # the names of the held-out half are the same with "heldout_" before them
    headings: list[Cell] = ["families", *(label(f"stress_{name}").removeprefix("stress ") for name in FIGURES)]
    halves = (("choosing", "stress"), ("held out", "heldout_stress"))
    rows: list[list[Cell]] = [
        [half, *(with_interval(metrics.get(f"{prefix}_{name}"), ends.get(f"{prefix}_{name}"), 4) for name in FIGURES)]
        for half, prefix in halves
    ]
    caption = (
        f"Stressed copies of the {run.images_scored} of {run.name}, without TTA. Held-out families chose nothing. In "
        "brackets: 95% intervals (bootstrap of images)."
    )
    elements: list[Element] = [Table("stress-summary", caption, headings, rows)]
    if not run.stress_rows:
        return [
            *elements,
            Paragraph(
                "No table of single corruptions: pruned, of an early version, or with evaluation.stress.table: false.",
                "soft",
            ),
        ]
    elements.append(Folded("AUC under each corruption", [_by_corruption(run, run.stress_rows)]))
    return [*elements, *_abstention(run, [row for row in run.stress_rows if row["severity"]])]


def _by_corruption(run: RunDetails, stored: Sequence[dict[str, Any]]) -> Table:
    clean = next(_auc(row) for row in stored if not row["severity"])
    caption = f"AUC of {run.name} by severity; clean images: {clean}. In brackets: 95% intervals (DeLong)."
    return _severities("stress-corruptions", caption, [row for row in stored if row["severity"]], _auc)


def _severities(
    key: str, caption: str, stored: Sequence[dict[str, Any]], cell: Callable[[dict[str, Any]], str]
) -> Table:  # fmt: skip
    """Return a table with a row for each corruption and a column for each severity."""
    severities = sorted({row["severity"] for row in stored})
    rows: dict[str, list[Cell]] = {}
    for row in sorted(stored, key=lambda row: row["severity"]):
        first: list[Cell] = [row["corruption"], f"{row['family']}{', held out' if row['held_out'] else ''}"]
        rows.setdefault(row["corruption"], first).append(cell(row))
    return Table(key, caption, ["corruption", "family", *map(str, severities)], list(rows.values()), text_columns=2)


def _abstention(run: RunDetails, stored: Sequence[dict[str, Any]]) -> list[Element]:
    """Return what becomes of the promise that the registered model's abstention makes: a row for each severity, and
    all corruptions on request."""
    if not stored or stored[0].get("promised") is None:
        why = "its table is of an early version, or a class has too few images for a promise"
        return [Paragraph(f"Nothing is known of abstention under stress: {why}.", "soft")]
    promised = stored[0]["promised"]
    rows: list[list[Cell]] = []
    for severity in sorted({row["severity"] for row in stored}):
        at = [row for row in stored if row["severity"] == severity]
        kept = [cell for label in (0, 1) for cell in _kept(at, label)]
        referred = sum(row["referred"] for row in at) / len(at)
        rows.append([str(severity), *kept, f"{referred:.3f}"])
    broken = sum(bool(_broken(row)) for row in stored)
    caption = (
        f"Abstention of {run.name} under stress. The rule is made from the clean validation images, and promises that "
        f"at least {promised:.2f} of each class keep their class. It is broken, with its whole 95% interval, in "
        f"{broken} of {len(stored)} cases"
    )
    class0, class1 = run.classes
    headings: list[Cell] = [
        "severity",
        *(f"{class0} {what}" for what in KEPT),
        *(f"{class1} {what}" for what in KEPT),
        "referred, mean",
    ]
    each = f"Shares of {class0} / {class1} whose answer keeps their class, for which it is broken; share referred"
    return [
        Table("stress-abstention", caption, headings, rows),
        Folded("Abstention under each corruption", [_severities("stress-promises", each, stored, _promise)]),
    ]


def _kept(rows: Sequence[dict[str, Any]], label: int) -> list[Cell]:
    """Return the cells of :data:`KEPT`."""
    least = min(rows, key=lambda row: float(row[f"kept_{label}"]))
    mean = sum(row[f"kept_{label}"] for row in rows) / len(rows)
    broken = sum(label in _broken(row) for row in rows)
    return [f"{mean:.3f}", f"{_share(least, label)}, {least['corruption']}", f"{broken} of {len(rows)}"]


def _broken(row: dict[str, Any]) -> list[int]:
    """Return the classes for which the promise is broken: the interval of what is kept lies below it."""
    return [label for label in (0, 1) if row[f"kept_{label}_high"] < row["promised"]]


def _share(row: dict[str, Any], label: int) -> str:
    value, low, high = (row[f"kept_{label}{end}"] for end in ("", "_low", "_high"))
    return with_interval(value, Interval(value, low, high), digits=3)


def _promise(row: dict[str, Any]) -> str:
    names = " and ".join(map(str, _broken(row)))
    broken = f", broken for {names}" if names else ""
    return f"{row['kept_0']:.2f} / {row['kept_1']:.2f}{broken}; {row['referred']:.2f}"


def _auc(row: dict[str, Any]) -> str:
    return with_interval(row["auc"], Interval(row["auc"], row["auc_low"], row["auc_high"]), digits=3)
