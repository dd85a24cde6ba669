"""What the commands that combine several trainings print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mobilenet_chest.cli.compared import document
from mobilenet_chest.cli.output import duration, ends, line, metrics_table, number, out, print_json, with_interval

if TYPE_CHECKING:
    from mobilenet_chest.combine.ablate import AblationRow
    from mobilenet_chest.combine.ensemble import Combined
    from mobilenet_chest.combine.members import Member
    from mobilenet_chest.selection.compare import Row


def combined(result: Combined, kind: str, as_json: bool) -> None:
    """A run made of several."""
    if as_json:
        print_json({"run_id": result.run_id, "members": result.members, "metrics": result.metrics,
                    "intervals": ends(result.intervals)})  # fmt: skip
        return
    metrics_table(f"{kind} of {len(result.members)}, run {result.run_id}", result.metrics, result.intervals)
    line(f"members: {', '.join(result.members)}")
    line(f"promote: mobilenet-chest promote {result.run_id}")


def member(student: Member, teacher: str, as_json: bool) -> None:
    """A taught student."""
    metrics = student.run.data.metrics
    if as_json:
        print_json({"run_id": student.run_id, "teacher": student.run.data.tags["teacher"], "metrics": metrics})
        return
    line(f"run {student.run_id}, taught by {teacher}: val_auc {metrics['val_auc']:.4f} on the validation split")
    line(f"compare: mobilenet-chest compare {student.run_id} --baseline {student.run.data.tags['teacher']}")


def ablation(rows: Sequence[AblationRow], pairs: str, as_json: bool) -> None:
    """A row for each choice, its differences to the baseline with their intervals."""
    from mobilenet_chest.combine.ablate import ABLATION_METRICS, settings_text

    if as_json:
        print_json({"rows": [asdict(row) for row in rows]})
        return
    title = f"each choice alone, {len(rows[0].run_ids)} {pairs}"
    table = Table(title=f"{title}; differences to the baseline, 95% intervals of their means")
    for heading in ("choice", "val AUC", "Δ val AUC", "Δ cross-fitted accuracy", "Δ val loss", "times slower"):
        table.add_column(heading, justify="left" if heading == "choice" else "right")
    for row in rows:
        shown = [
            f"{d.mean:+.4f}" + (f" ({d.low:+.4f} to {d.high:+.4f})" if math.isfinite(d.low) else "")
            for d in row.differences.values()
        ]
        auc, slower = f"{row.metrics['val_auc']:.4f}", f"{row.times_slower:.2f}"
        table.add_row(escape(settings_text(row.choice)), auc, *(shown or [""] * len(ABLATION_METRICS)), slower)
    out.print(table)
    line(f"an interval that holds 0 is no evidence either way; more {pairs} make it narrower")


def baselines(rows: Sequence[Row], as_json: bool) -> None:
    """The source report's table, with what it left out."""
    if as_json:
        print_json(document(rows))
        return
    table = Table()
    headings = ("name", "kind", "model", "parameters", "val accuracy", "TTA + threshold", "val AUC", "training",
                "speed ratio", "1 image ms", "64 images ms")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("name", "kind", "model") else "right")
    for row in rows:
        m = row.metrics
        table.add_row(
            row.name,
            "reported, not reproduced" if row.kind == "reported" else row.kind,
            row.model,
            "" if row.parameters is None else f"{row.parameters:,}",
            *(
                with_interval(m.get(name), row.intervals.get(name))
                for name in ("val_accuracy", "val_accuracy_tta_threshold", "val_auc")
            ),
            duration(m["train_seconds"]) if "train_seconds" in m else "",
            number(row.baseline.get("speed_ratio")),
            *(number(m.get(name)) for name in ("latency_1_ms", "latency_64_ms")),
        )
    out.print(table)
