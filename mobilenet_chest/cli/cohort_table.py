"""What ``compare --cohort`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mobilenet_chest.cli.format import interval_ends, line, out, print_json
from mobilenet_chest.cli.tables import ID, Table
from mobilenet_chest.config.formats import signed_interval, with_interval
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.selection.cohort_compare import CohortRow

SCORES = {
    "auc_tta": "AUC", "accuracy_tta_threshold": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity",
}  # fmt: skip
"""Metrics that are shown, with the names above their columns."""


def print_cohort_rows(cohort: str, rows: Sequence[CohortRow], as_json: bool) -> None:
    """Print a row for each run on a cohort, how far it is from validation, and its differences to the baseline."""
    if as_json:
        documents = [asdict(row) | {"intervals": interval_ends(row.intervals)} for row in rows]
        print_json({"cohort": cohort, "rows": documents})
        return
    names = ["name", ID]
    table = Table([*names, *SCORES.values()], left=names, title=f"cohort {cohort}, with 95% intervals", key=2)
    apart = Table([*names, "Δ AUC", "Δ accuracy"], left=names, title=f"cohort {cohort} minus validation", key=2)
    for row in rows:
        table.add_row(
            row.name, short_id(row.run_id),
            *(with_interval(row.metrics.get(score), row.intervals.get(score), 3) for score in SCORES),
        )  # fmt: skip
        cells = (row.from_validation.get(score) for score in ("auc_tta", "accuracy_tta_threshold"))
        apart.add_row(
            row.name,
            short_id(row.run_id),
            *("" if cell is None else signed_interval(cell.value, cell) for cell in cells),
        )
    out.print(table)
    out.print(apart)
    if any(row.differences for row in rows):
        _print_differences(rows[0], rows[1:])


def _print_differences(base: CohortRow, others: Sequence[CohortRow]) -> None:
    headings = ["name", ID, "Δ AUC", "p", "", "Δ accuracy", "p", ""]
    title = f"against {base.name}, run {short_id(base.run_id)}, on the same images"
    table = Table(headings, left=("name", ID, ""), title=title, key=2, group=3)
    for row in others:
        cells = list[str]()
        for comparison in row.differences.values():
            cells += [signed_interval(comparison.value, comparison), f"{comparison.p_holm:.2g}", comparison.verdict]
        table.add_row(row.name, short_id(row.run_id), *cells)
    out.print(table)
    line("p tests for no difference (paired DeLong, exact McNemar), Holm-corrected over the rows")
