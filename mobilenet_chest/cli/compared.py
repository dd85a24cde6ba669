"""What ``compare`` prints: figures with their intervals, and what can be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from mobilenet_chest.cli.output import duration, ends, line, number, out, print_json, with_interval

if TYPE_CHECKING:
    from mobilenet_chest.evaluation.paired import PairedComparison
    from mobilenet_chest.selection.compare import Row

FIGURES = {
    "val AUC": "val_auc", "val accuracy": "val_accuracy", "cross-fitted": "val_accuracy_crossfit",
    "TTA + threshold": "val_accuracy_tta_threshold",
}  # fmt: skip


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as JSON documents have them."""
    return {"rows": [asdict(row) | {"intervals": ends(row.intervals)} for row in rows]}


def comparison(rows: Sequence[Row], metric: str | None, as_json: bool) -> None:
    """Rows of ``compare``; reported figures say so.

    Args:
        rows: In their order.
        metric: The one that was asked for.
        as_json: One JSON document instead.
    """
    if as_json:
        print_json(document(rows))
        return
    if not rows:
        line("no finished runs yet; start with: python sweep.py")
        return
    figures = FIGURES | ({metric: metric} if metric and metric not in FIGURES.values() else {})
    headings = ["name", "kind", "model", "parameters", *figures, "threshold", "TTA gain", "training", "", "run"]
    table = Table()
    for heading in headings:
        justify = "left" if heading in ("name", "kind", "model", "", "run") else "right"
        table.add_column(heading, justify=justify, no_wrap=heading == "run")  # type: ignore[arg-type]
    for row in rows:
        m = row.metrics
        table.add_row(
            escape(row.name),
            "reported, not reproduced" if row.kind == "reported" else row.kind,
            row.model,
            "" if row.parameters is None else f"{row.parameters:,}",
            *(with_interval(m.get(name), row.intervals.get(name)) for name in figures.values()),
            number(m.get("threshold")),
            with_interval(m.get("tta_gain"), row.intervals.get("tta_gain")),
            duration(m["train_seconds"]) if "train_seconds" in m else "",
            "best" if row.best else "tied" if row.tied else "",
            row.run_id or "",
        )
    out.print(table)
    if any(row.intervals for row in rows):
        line("in brackets: 95% intervals")
    if any(row.tied for row in rows):
        line("tied: its AUC cannot be told from the best one's on these images")
    if any(row.baseline for row in rows):
        _against(rows[0], [row for row in rows[1:] if row.kind != "reported"], metric)


def _against(base: Row, others: Sequence[Row], metric: str | None) -> None:
    table = Table(title=f"against {escape(base.name)}, run {base.run_id}")
    names = {"val_auc": "AUC", "val_accuracy_crossfit": "cross-fitted"}
    if metric:
        names = {metric: metric} | names
    columns = [heading for name in names.values() for heading in (f"Δ {name}", "p", "")]
    for heading in ("name", *columns, "speed ratio", "run"):
        justify = "left" if heading in ("name", "", "run") else "right"
        table.add_column(heading, justify=justify, no_wrap=heading == "run")  # type: ignore[arg-type]
    for row in others:
        cells = [cell for name in names for cell in _verdict(row.differences.get(name))]
        table.add_row(escape(row.name), *cells, number(row.baseline.get("speed_ratio")), row.run_id or "")
    out.print(table)
    if any(row.differences for row in others):
        line("p: of no difference, by DeLong's and McNemar's test on the same images, or the paired bootstrap; Holm's "
             "correction for all rows")  # fmt: skip
    for row in others:
        if not row.comparable:
            line(f"{row.name}, run {row.run_id}, is not compared: {row.reason}")
        if row.selection is not None:
            line(f"{row.name}, run {row.run_id}: {row.selection}")


def _verdict(verdict: PairedComparison | None) -> tuple[str, str, str]:
    if verdict is None:
        return "", "", ""
    difference = f"{verdict.value:+.4f} ({verdict.low:+.4f} to {verdict.high:+.4f})"
    within = f" within {verdict.margin:g}" if verdict.verdict == "not inferior" else ""
    return difference, f"{verdict.p_holm:.2g}", f"{verdict.verdict}{within}"
